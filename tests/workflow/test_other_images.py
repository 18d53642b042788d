"""A finished study tested on other images: the example of docs/extending.md makes no training run again."""

import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline_steps.job.seal import seal
from tests.conftest import ROOT, TINY
from workflow.freshness.state import State
from workflow.params import load_params
from workflow.plan import Plan
from workflow.why import would_run

FILES = dict(re.findall(r"`([\w/.]+)`:\n\n```\w*\n(.*?)```", (ROOT / "docs/extending.md").read_text(), re.DOTALL))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with the overlay, its photographs, and empty but complete results of the tiny study."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos/anna").mkdir(parents=True)
    for name in ("001", "002"):
        Image.fromarray(np.zeros((64, 64, 3), np.uint8)).save(tmp_path / f"photos/anna/{name}.jpg")
    (tmp_path / "photos/labels.csv").write_text(FILES["photos/labels.csv"])
    (tmp_path / "elsewhere.yaml").write_text(FILES["studies/elsewhere.yaml"])
    for name, job in Plan(load_params([TINY])).jobs.items():
        for file in job.outputs:
            Path(file).parent.mkdir(parents=True, exist_ok=True)
            Path(file).touch()
        seal(job.recipe, Path(name))
    return tmp_path


def steps(plan: Plan, *targets: str) -> list[str]:
    state = State(plan.jobs)
    found = would_run(state, list(targets) or [plan.comparison, plan.report])
    return sorted(f"{state.jobs[name].recipe.step} {state.jobs[name].recipe.job.get('dataset', '')}" for name in found)


def test_only_the_new_images_are_read_and_tested_on(folder: Path):
    assert steps(Plan(load_params([TINY]))) == []
    plan = Plan(load_params([TINY, folder / "elsewhere.yaml"]))
    data = [f"{step} elsewhere" for step in ("acquire_dataset", "crop_faces", "describe_dataset", "split_dataset")]
    arms = 4
    assert steps(plan) == sorted(["compare ", *data, *["evaluate elsewhere"] * arms, "write_report "])
    assert plan.comparison == "results/tiny/default/compare/elsewhere", "the study's own table stays"
    assert steps(Plan(load_params([TINY]))) == [], "and is up to date afterwards"


def test_an_export_is_described_by_the_new_test_too(folder: Path):
    plan = Plan(load_params([TINY, folder / "elsewhere.yaml"]))
    export = plan.layout.export("hybrid", 0)
    found = steps(plan, export)
    assert "export_model " in found
    assert found.count("evaluate elsewhere") == 1
    assert not [step for step in found if step.startswith(("pretrain", "finetune"))]
    assert set(plan.jobs[export].upstream) >= {plan.card("elsewhere"), plan.evaluation("elsewhere", "hybrid", 0)}


def test_what_commands_of_the_documentation_write_is_not_offered_to_git(tmp_path: Path):
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    shutil.copy(ROOT / ".gitignore", tmp_path)
    written = ("copies/photo.jpg", "poses.csv", "poses.jsonl", "dvc_plots/index.html", "data/raw/a", "results/a")
    for name in [*written, "studies/mine.yaml"]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    shown = subprocess.check_output(["git", "status", "--porcelain", "-uall"], cwd=tmp_path, text=True)
    assert shown.split() == ["??", ".gitignore", "??", "studies/mine.yaml"]
