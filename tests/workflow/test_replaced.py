"""Results that a change has replaced are kept: a revert takes them back, and what was asked for is there afterwards."""

import os
import shutil
import time
from pathlib import Path

import psutil
import pytest

from tests.cluster.slurm import wait_for
from tests.conftest import World
from tests.workflow.fake_steps import FakeSteps
from workflow.freshness import replaced
from workflow.layout import FILES

pytestmark = pytest.mark.workflow

LONGER = {"finetune": {"epochs": 2}}
OTHER_DATA = {"datasets": {"rendered": {"source": {"seed": 1}}}}
MODEL = "results/tiny/default/finetune/hybrid/seed0/model.safetensors"
EXPORT = "results/tiny/default/export/hybrid/seed0/seal.json"


@pytest.fixture
def faked(copy: World, finished: World) -> FakeSteps:
    """A copy of the finished study, in which further steps are faked."""
    return FakeSteps(copy.folder, finished.folder)


def succeeds(world: World, *arguments: str, overlay: dict | None = None) -> str:
    done = world.snakemake(*arguments, overlay=overlay)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout + done.stderr


def content(folder: Path) -> dict[str, bytes]:
    found = (path for top in ("data", "results") for path in (folder / top).rglob("*"))
    return {str(path.relative_to(folder)): path.read_bytes() for path in found if path.is_file()}


@pytest.mark.parametrize("change", [LONGER, OTHER_DATA], ids=["of a training", "of the data"])
def test_a_revert_takes_back_what_the_change_replaced_and_runs_no_step(faked: FakeSteps, change: dict):
    before = content(faked.folder)
    succeeds(faked, overlay=change)
    steps = len(faked.steps())
    assert content(faked.folder) != before
    assert "taken back from" in succeeds(faked)
    assert content(faked.folder) == before
    succeeds(faked, overlay=change)
    succeeds(faked)
    assert content(faked.folder) == before
    assert len(faked.steps()) == steps, "neither the revert nor the change back computed anything"
    assert not faked.planned()


def test_a_changed_run_that_was_stopped_and_undone_has_lost_nothing(faked: FakeSteps, monkeypatch: pytest.MonkeyPatch):
    before = content(faked.folder)
    monkeypatch.setenv("FAKE_SECONDS", "60")
    with faked.started("--cores", "1", overlay=LONGER) as process:
        wait_for((faked.folder / "finetune.begun").exists, "training")
        for running in psutil.Process(process.pid).children(recursive=True):
            running.kill()
    assert content(faked.folder).keys() < before.keys()
    monkeypatch.setenv("FAKE_SECONDS", "0")
    succeeds(faked)
    assert content(faked.folder) == before
    assert faked.steps().empty


def test_results_that_are_deleted_on_purpose_are_computed_again(faked: FakeSteps, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("FAKE_SECONDS", "60")
    with faked.started("--cores", "1", overlay=LONGER) as process:  # what it would replace is kept at its start
        wait_for((faked.folder / "finetune.begun").exists, "training")
        for running in psutil.Process(process.pid).children(recursive=True):
            running.kill()
    monkeypatch.setenv("FAKE_SECONDS", "0")
    succeeds(faked)
    assert not list((faked.folder / ".replaced").rglob("seal.json"))
    shutil.rmtree((faked.folder / MODEL).parent)
    succeeds(faked, MODEL)
    assert faked.steps()["folder"].tolist() == [str(Path(MODEL).parent)]


def test_where_data_were_deleted_a_revert_needs_none(faked: FakeSteps):
    succeeds(faked, overlay=LONGER)
    for name in ("raw", "crops"):
        shutil.rmtree(faked.folder / "data" / name)
    steps = len(faked.steps())
    succeeds(faked)
    assert len(faked.steps()) == steps
    assert not (faked.folder / "data/crops").exists()


def test_a_corrupt_copy_is_not_taken_back(faked: FakeSteps):
    model = (faked.folder / MODEL).read_bytes()
    succeeds(faked, overlay=LONGER)
    (kept,) = (faked.folder / ".replaced" / MODEL).parent.glob("*/model.safetensors")
    os.truncate(kept, 100)
    succeeds(faked)
    assert (faked.folder / MODEL).read_bytes() != model[:100]
    assert faked.steps()["folder"].tolist().count(str(Path(MODEL).parent)) == 2


def test_forced_jobs_run_instead_of_being_taken_back(faked: FakeSteps):
    succeeds(faked, overlay=LONGER)
    steps = len(faked.steps())
    succeeds(faked, "--forcerun", "finetune")
    assert len(faked.steps()) >= steps + 4


def test_what_is_too_old_or_too_large_is_deleted_the_oldest_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    for days, name in enumerate(["new", "day", "two_days", "old"]):
        folder = tmp_path / ".replaced/results" / name / "f1"
        folder.mkdir(parents=True)
        (folder / "seal.json").write_text("x" * 100)
        moment = time.time() - (days if name != "old" else replaced.KEPT_DAYS + 1) * 86400
        os.utime(folder, (moment, moment))
    monkeypatch.setattr(replaced, "KEPT_BYTES", 250)
    replaced.prune()
    assert sorted(path.parent.parent.name for path in tmp_path.rglob("seal.json")) == ["day", "new"]


SITUATIONS = [
    (("data/crops", "data/raw"), EXPORT, None),
    (("data/crops/rendered-32px/crops.h5", "results/tiny/default/evaluate"), EXPORT, None),
    (("results/tiny/default/evaluate/test/rendered/hybrid",), EXPORT, {"evaluate": {"flip_test": True}}),
    (("data/splits", "results/tiny/default/pretrain"), "all", {"arms": {"third": {"init": "ssl:rotation"}}}),
    (("results/tiny/default/compare/table.md", "data/cards"), "all", None),
    (("results/tiny/default/report", "results/tiny/default/finetune/baseline"), "all", LONGER),
    (("data",), "all_data", None),
    (("data/raw", "results/tiny/default/finetune"), "all_finetuned", {"seeds": [0, 1]}),
]


@pytest.mark.parametrize(("deleted", "target", "change"), SITUATIONS)
def test_what_was_asked_for_is_there_when_snakemake_ends_well(
    faked: FakeSteps, deleted: tuple[str, ...], target: str, change: dict | None
):
    for name in deleted:
        path = faked.folder / name
        path.unlink() if path.is_file() else shutil.rmtree(path)
    succeeds(faked, target, overlay=change)
    if target == EXPORT:
        assert all((faked.folder / EXPORT).with_name(name).exists() for name in FILES["export_model"])
    assert not faked.planned(change, target), "a dry run finds nothing that is left"
