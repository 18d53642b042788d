"""`python -m workflow.why` says, for every job that would run, what makes it run."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import TINY, Repository, World

pytestmark = pytest.mark.workflow


def why(world: World, *words: str, overlay: dict | None = None, fails: bool = False) -> list[str]:
    files = [TINY, *world.overlays(overlay)]
    command = [sys.executable, "-m", "workflow.why", *words, "--configfile", *map(str, files)]
    environment = os.environ | {"PYTHONPATH": str(world.repository)}
    done = subprocess.run(command, cwd=world.folder, env=environment, text=True, capture_output=True, check=False)
    assert (done.returncode != 0) == fails, done.stderr
    return (done.stderr if fails else done.stdout).splitlines()


def jobs(lines: list[str]) -> list[str]:
    return [line.partition(" would run because ")[0].split()[0] for line in lines]


def test_nothing_would_run_where_all_is_up_to_date(finished: World):
    assert why(finished) == ["nothing would run: all results are up to date"]
    assert why(finished, "results/tiny/default/finetune/hybrid/seed0/") == ["finetune hybrid/seed0 is up to date"]


def test_a_parameter_is_named_with_its_old_and_its_new_value(finished: World):
    change = {"finetune": {"learning_rate": 0.002}}
    lines = why(finished, overlay=change)
    assert lines[0].endswith("seed0 would run because finetune.learning_rate 0.001 -> 0.002")
    assert sorted(jobs(lines)) == ["compare", *["evaluate"] * 4, *["finetune"] * 4, "write_report"]
    (evaluated,) = [line for line in lines if line.startswith("evaluate hybrid")]
    assert evaluated.endswith("because its input model comes from another run of finetune hybrid/seed0")
    asked = why(finished, "results/tiny/default/finetune/hybrid/seed0", overlay=change)
    assert asked == ["finetune hybrid/seed0 would run because finetune.learning_rate 0.001 -> 0.002"]


def test_a_new_a_gone_and_a_changed_key_are_told_apart(finished: World):
    change = {"arms": {"hybrid": {"auxiliary": {"rotation": 0.5, "puzzling": 0.4}}}}
    (line,) = [line for line in why(finished, overlay=change) if line.startswith("finetune")]
    assert "auxiliary.puzzling.weight 0.3 -> 0.4" in line
    assert "auxiliary.rotation.weight is new: 0.5" in line
    assert "pipeline_steps/pretext/rotation.py is new" not in line, "puzzling imports it already"


def test_the_same_jobs_are_named_as_snakemake_plans(finished: World):
    for change in (
        {"compare": {"error": "geodesic"}},
        {"arms": {"third": {"init": "random"}}},
        {"datasets": {"rendered": {"split": {"seed": 1}}}},
        {"crops": {"size": 48}},
    ):
        planned = finished.planned(change)
        del planned["all"]
        assert sorted(jobs(why(finished, overlay=change))) == sorted(planned.elements()), change


def test_an_edited_module_is_named(finished: World, tmp_path: Path):
    repository = Repository(tmp_path / "repository").folder
    path = repository / "pipeline_steps/evaluation/metrics.py"
    path.write_text(path.read_text() + "\nEDITED = 1\n")
    line, *_ = why(World(finished.folder, repository))
    assert line.startswith("evaluate ")
    assert line.endswith("would run because pipeline_steps/evaluation/metrics.py changed")


def test_missing_and_corrupt_results_are_named(copy: World):
    results = "results/tiny/default"
    shutil.rmtree(copy.folder / results / "compare")
    os.truncate(copy.folder / results / "finetune/hybrid/seed0/model.safetensors", 100)
    (copy.folder / results / "finetune/baseline/seed0/recipe.json").unlink()
    lines = why(copy)
    assert (
        f"finetune baseline/seed0 would run because {results}/finetune/baseline/seed0/recipe.json is missing" in lines
    )
    sealed = json.loads((copy.folder / results / "finetune/hybrid/seed0/seal.json").read_text())
    size = sealed["files"]["model.safetensors"]["size"]
    assert (
        "finetune hybrid/seed0 would run because its results are corrupt: "
        f"{results}/finetune/hybrid/seed0/model.safetensors has 100 of {size:,} bytes"
    ) in lines
    assert f"evaluate hybrid/rendered/seed0 would run because {results}/finetune/hybrid/seed0 is corrupt" in lines
    assert f"compare would run because it has no results yet ({results}/compare/seal.json is missing)" in lines


def test_other_versions_of_libraries_are_shown_and_make_nothing_run(copy: World):
    folder = "results/tiny/default/finetune/hybrid/seed0"
    seal = copy.folder / folder / "seal.json"
    sealed = json.loads(seal.read_text())
    now, sealed["versions"]["torch"] = sealed["versions"]["torch"], "1.0"
    seal.write_text(json.dumps(sealed))
    assert not copy.planned()
    up_to_date, versions = why(copy, folder)
    assert up_to_date == "finetune hybrid/seed0 is up to date"
    assert versions == f"computed with other versions, which makes nothing run: torch 1.0 -> {now}"


def test_a_folder_that_the_study_does_not_make_is_refused(finished: World):
    (line,) = why(finished, "results/tiny/finetune", fails=True)
    assert line.startswith("error: results/tiny/finetune: this study has no results there")
