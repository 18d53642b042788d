"""Dates of recipes, by which Snakemake decides what runs, when several processes of one run look at them."""

import os
from pathlib import Path

import pytest

from workflow.freshness.state import State
from workflow.params import load_params
from workflow.plan import Plan

LONG_AGO = 1e9


def test_a_job_that_starts_does_not_date_the_recipe_that_another_is_working_by(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    plan = Plan(load_params())
    State(plan.jobs).write_recipes()
    folder = plan.crops("rendered")
    recipe = plan.jobs[folder].recipe_file
    os.utime(recipe, (LONG_AGO, LONG_AGO))
    State(plan.jobs).write_recipes()
    assert recipe.stat().st_mtime == LONG_AGO
    other = Path(folder, "seal.json")
    other.parent.mkdir(parents=True)
    other.write_text("{}")
    State(plan.jobs).write_recipes()
    assert recipe.stat().st_mtime >= other.stat().st_mtime, "results of another recipe are older than this one"
