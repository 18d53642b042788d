"""Every training and comparison of the studies has the parameters on record in trainings.json, in all questions.

They were recorded when each question still had a file of its own, before studies had questions. A change on purpose,
such as another learning rate in a study, is entered there too. A parameter that has been renamed is renamed there.

trainings.json: {study: {kind: {"common": {size: values}, "otherwise": {name: [{"sizes": [...], "values": ...}]}}}},
where kind is questions, datasets, pretrain or finetune, and keys within values are joined by dots.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT
from workflow.params import Params
from workflow.plan import Plan
from workflow.studies import Study, all_studies

RECORDED = json.loads((ROOT / "tests/workflow/trainings.json").read_text())
SIZES = [(study, size) for study in all_studies() for size in study.sizes]
STEPS = ("pretrain", "finetune")


def flat(value: Any, key: str = "") -> dict[str, Any]:
    """Nested values by key path."""
    if not isinstance(value, dict) or not value:
        return {key: value}
    parts = [flat(part, f"{key}.{name}" if key else name) for name, part in value.items()]
    return {path: leaf for part in parts for path, leaf in part.items()}


def recorded(study: str, size: str, kind: str) -> dict[str, dict[str, Any]]:
    """Values on record by name."""
    found = RECORDED.get(study, {}).get(kind, {"otherwise": {}})
    return {
        name: found["common"][size] | entry["values"]
        for name, entries in found["otherwise"].items()
        for entry in entries
        if size in entry["sizes"]
    }


def comparison_of(params: Params) -> dict[str, Any]:
    whole = params.model_dump(mode="json", include={"seeds", "test_on", "compare", "evaluate"})
    return flat(whole | {"arms": list(params.arms)})


def datasets_of(params: Params) -> dict[str, dict[str, Any]]:
    whole = params.model_dump(mode="json", include={"datasets", "crops"})
    return {name: flat(dataset | {"crops": whole["crops"]}) for name, dataset in whole["datasets"].items()}


def training_of(plan: Plan, folder: str) -> tuple[tuple[str, str], dict[str, Any]]:
    """Step and name of a training, and its parameters without the seed."""
    recipe, params = plan.jobs[folder].recipe, plan.params
    values = {key: value for key, value in recipe.params.items() if key != "seed"}
    if recipe.step == "pretrain":
        name = str(recipe.job["pretext"])
        return (recipe.step, name), flat(values | {"trained_on": params.pretrain_on or params.train_on})
    name = str(recipe.job["arm"])
    return (recipe.step, name), flat(values | {"trained_on": params.train_on, "starts_from": params.arms[name].init})


@pytest.fixture(autouse=True)
def archives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some file in place of every archive that the trainings on record used: a plan needs its name and content."""
    for archive in ("biwi_face_crops.tar.gz", "aflw2000_dev300.tar.gz"):
        (tmp_path / archive).write_text(archive)
    monkeypatch.setenv("HEADPOSE_REAL_DATA", str(tmp_path))
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(("study", "size"), SIZES, ids=lambda value: value if isinstance(value, str) else value.name)
def test_trainings_and_comparisons_are_those_on_record_and_no_question_trains_anothers_anew(study: Study, size: str):
    comparisons = recorded(study.name, size, "questions")
    datasets = recorded(study.name, size, "datasets")
    trained: dict[tuple[str, str], dict[str, Any]] = {}
    fingerprints: dict[str, str] = {}
    for params in study.questions(size):
        plan = Plan(params)
        if (question := params.question or "") in comparisons:
            assert comparison_of(params) == comparisons.pop(question), question
            read = {name: values for name, values in datasets.items() if name in plan.datasets()}
            assert {name: datasets_of(plan.params)[name] for name in read} == read
        for folder in [*plan.pretrainings(), *plan.finetunings()]:
            fingerprint = plan.jobs[folder].recipe.fingerprint
            assert fingerprints.setdefault(folder, fingerprint) == fingerprint, f"{question} trains {folder} otherwise"
            training, values = training_of(plan, folder)
            assert trained.setdefault(training, values) == values, folder
    assert not comparisons, "these questions are gone"
    on_record = {(step, name): v for step in STEPS for name, v in recorded(study.name, size, step).items()}
    assert {training: trained.get(training) for training in on_record} == on_record


def test_every_study_and_size_on_record_is_still_there():
    on_record = {(study, size) for study, kinds in RECORDED.items() for size in kinds["finetune"]["common"]}
    assert on_record <= {(study.name, size) for study, size in SIZES}
