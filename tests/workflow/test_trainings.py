"""Questions of a study share their trainings: none asks for one that another asks for with other parameters."""

from pathlib import Path

import pytest

from workflow.plan import Plan
from workflow.studies import Study, all_studies

SIZES = [(study, size) for study in all_studies() for size in study.sizes]


@pytest.fixture(autouse=True)
def archives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some file in place of every archive that stands in for an official one: a plan needs its name and content."""
    for archive in ("biwi_face_crops.tar.gz", "aflw2000_dev300.tar.gz"):
        (tmp_path / archive).write_text(archive)
    monkeypatch.setenv("HEADPOSE_REAL_DATA", str(tmp_path))
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(("study", "size"), SIZES, ids=lambda value: value if isinstance(value, str) else value.name)
def test_no_question_trains_anew_what_another_has_trained(study: Study, size: str):
    fingerprints: dict[str, str] = {}
    for params in study.questions(size):
        plan = Plan(params)
        for folder in [*plan.pretrainings(), *plan.finetunings()]:
            fingerprint = plan.jobs[folder].recipe.fingerprint
            first = fingerprints.setdefault(folder, fingerprint)
            assert first == fingerprint, f"{params.question} trains {folder} otherwise"
