"""Dates of recipes, by which Snakemake decides what runs, when several processes of one run look at them."""

import os
from pathlib import Path

import pytest
import yaml

from tests.conftest import ROOT
from workflow.freshness.dates import Upkeep
from workflow.params import parse_params
from workflow.plan import Plan

LONG_AGO = 1e9


def test_a_job_that_starts_does_not_date_the_recipe_by_which_another_is_writing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    params = parse_params(yaml.safe_load((ROOT / "params.yaml").read_text()))
    plan = Plan(params)
    Upkeep(plan).write_recipes()
    folder = plan.crops("rendered")
    recipe = Path(plan.recipe_file(folder))
    os.utime(recipe, (LONG_AGO, LONG_AGO))
    Upkeep(Plan(params)).write_recipes()
    assert recipe.stat().st_mtime == LONG_AGO
    other = Path(folder, "recipe.json")
    other.parent.mkdir(parents=True)
    other.write_text("{}")
    Upkeep(Plan(params)).write_recipes()
    assert recipe.stat().st_mtime >= other.stat().st_mtime, "results of another recipe are older than this one"
