"""However params.yaml names study, size and question, make prints, exports and versions these, or says why not."""

import json
import re
import shutil
from pathlib import Path

import pytest
import yaml

from tests.conftest import Repository

pytestmark = pytest.mark.workflow

MADE = """
import json
from pathlib import Path
from pipeline_steps.job.seal import seal
from workflow.commands.best_model import print_export
from workflow.commands.outcome import outcome
from workflow.commands.record import record
from workflow.params import load_params
from workflow.plan import Plan
plan = Plan(load_params())
for folder, job in plan.jobs.items():
    Path(folder).mkdir(parents=True, exist_ok=True)
    Path(folder, "metrics.json").write_text(json.dumps({"made_by": folder}))
    Path(folder, "table.md").write_text(f"| made by {folder} |")
    Path(folder, "history.csv").write_text("epoch,val_geodesic_deg\\n1,9.0")
    Path(folder, "run.json").write_text('{"chosen_epoch": 1}')
    for path in map(Path, job.outputs):
        path.parent.mkdir(exist_ok=True)
        path.touch()
    seal(job.recipe, Path(folder))
"""
"""Finishes every job of the study in params.yaml without doing it."""
COMMANDS = """
outcome()
print_export()
record()
"""
"""What `make reproduce`, `make export` and `make record` call."""
QUESTIONS = 'questions: {roles: {asks: "Which role?", arms: [baseline, hybrid]}, all: {asks: "Which arm?"}}'


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    """The tiny study, with params.yaml as people write it: a line per key."""
    made = Repository(tmp_path / "repository")
    values = yaml.safe_load((made.folder / "params.yaml").read_text())
    plain = [f"{key}: {json.dumps(value)}\n" for key, value in values.items()]
    (made.folder / "params.yaml").write_text("".join(plain))
    return made


def written(repository: Repository, **lines: str | None) -> None:
    """Replace the lines of these keys in params.yaml; None comments the line out."""
    path = repository.folder / "params.yaml"
    text = path.read_text()
    for key, line in lines.items():
        found = re.search(rf"^{key}: .*$", text, re.MULTILINE)
        text = text.replace(found[0], line or f"# {found[0]}") if found else f"{text}{line or ''}\n"
    path.write_text(text)


def versioned(repository: Repository) -> set[str]:
    """Folders of results that DVC has versioned."""
    stages = yaml.safe_load((repository.folder / "dvc.lock").read_text())["stages"]
    return {out["path"] for stage in stages.values() for out in stage["outs"] if "results/" in out["path"]}


def folders(study: str, size: str) -> set[str]:
    return {f"results/{study}/{size}/{kind}" for kind in ("pretrain", "finetune", "evaluate", "compare", "report")}


@pytest.mark.parametrize(
    ("lines", "comparison"),
    [
        ({}, "results/tiny/default/compare"),
        ({"size": "size: 'small'  # 2 CPU cores"}, "results/tiny/small/compare"),
        ({"study": 'study:   "mine" # mine', "size": "size: small"}, "results/mine/small/compare"),
        ({"size": "size: &name small", "study": "study: *name"}, "results/small/small/compare"),
        ({"study": "? study\n: mine"}, "results/mine/default/compare"),
        ({"question": "question: all", "questions": QUESTIONS}, "results/tiny/default/compare/all"),
        ({"question": "'question': 'roles'", "questions": QUESTIONS}, "results/tiny/default/compare/roles"),
        ({"labels": None, "evaluate": None, "pretrain_on": None}, "results/tiny/default/compare"),
        (
            {"arms": "arms: {baseline: {init: random}, other: {init: random, auxiliary: {puzzling: 1.0}}}"},
            "results/tiny/default/compare",
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, dict) else value,
)
def test_the_study_that_is_asked_for_is_shown_exported_and_versioned_and_no_other(
    repository: Repository, lines: dict, comparison: str
):
    for folder in folders("tiny", "default") | folders("quick", "default"):  # of earlier studies
        (repository.folder / folder).mkdir(parents=True)
    written(repository, **lines)
    said = repository("python", "-c", f"{MADE}{COMMANDS}")
    assert said.splitlines()[-1].startswith("recorded  git add params.yaml dvc.lock && git commit ")
    study, size = comparison.split("/")[1:3]
    assert f"| made by {comparison} |" in said
    assert f"\nresults/{study}/{size}/export/baseline/seed0/seal.json\n" in said
    assert versioned(repository) == folders(study, size)
    shown = json.loads(repository("dvc", "metrics", "show", "--json"))[""]["data"]
    assert {path: of["data"] for path, of in shown.items()} == {f"{comparison}/metrics.json": {"made_by": comparison}}


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (
            {"size": None},
            "params.yaml: size: DVC looks for it in this file and finds none; write `size: default` there",
        ),
        (
            {"size": "size: 08", "sizes": "sizes: {'08': {seeds: [0]}}"},
            'params.yaml: size: DVC looks for it in this file and reads 8; write `size: "08"` there',
        ),
        (
            {"question": None, "questions": QUESTIONS},
            "params.yaml: question: DVC looks for it in this file and finds none; write `question: roles` there",
        ),
        (
            {"questions": QUESTIONS},
            "params.yaml: question: DVC looks for it in this file and reads ''; write `question: roles` there",
        ),
        ({"study": None}, "params.yaml: study: missing; add it"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, dict) else "",
)
def test_a_name_that_dvc_does_not_find_is_to_be_written(repository: Repository, lines: dict, message: str):
    written(repository, **lines)
    assert repository("python", "-m", "workflow.commands.record", fails=True) == f"error: {message}\n"
    assert not (repository.folder / "dvc.lock").exists()


def test_a_model_that_the_study_does_not_have_is_not_asked_of_snakemake(repository: Repository):
    written(repository, question="question: roles", questions=QUESTIONS)
    for arm, seed in (("pretrained", "0"), ("hybrid", "7")):
        command = "python", "-m", "workflow.commands.best_model", "--arm", arm, "--seed", seed
        assert repository(*command, fails=True) == (
            f"error: {arm}, seed {seed}: the study in params.yaml has no such model; arms: baseline, hybrid; seeds: 0\n"
        )


def test_nothing_is_versioned_while_jobs_are_left(repository: Repository):
    said = repository("python", "-m", "workflow.commands.record", fails=True)
    assert said.startswith("error: data/crops/rendered-32px: it has no results yet")
    assert said.endswith("run: snakemake all_data all_pretrained all_finetuned all\n")


@pytest.mark.parametrize(
    "name",
    [
        "data/crops/rendered-32px/crops.h5",
        "results/tiny/default/finetune/hybrid/seed0/model.safetensors",
        "results/tiny/default/compare/figures/training_curves.svg",
    ],
)
def test_nothing_is_versioned_of_which_a_file_is_missing(repository: Repository, name: str):
    repository("python", "-c", MADE)
    (repository.folder / name).unlink()
    said = repository("python", "-m", "workflow.commands.record", fails=True)
    assert said.startswith(f"error: {Path(name).parent}: ".replace("/figures", ""))
    assert f"{name} is missing" in said


def test_no_mixture_is_versioned_of_results_of_two_states_of_the_parameters(repository: Repository):
    """As a changed run leaves that was stopped: a table by the old parameters beside a model by the new ones."""
    repository("python", "-c", MADE)
    old = repository.folder / "results/tiny/default/compare"
    shutil.copytree(old, repository.folder / "kept")
    repository.set_params({"finetune": {"epochs": 2}})
    repository("python", "-c", MADE)
    shutil.rmtree(old)
    shutil.copytree(repository.folder / "kept", old)
    repository.set_params({"finetune": {"epochs": 1}})
    said = repository("python", "-m", "workflow.commands.record", fails=True)
    assert re.match(r"error: results/tiny/default/finetune/\w+/seed0: finetune\.epochs 2 -> 1;", said), said
