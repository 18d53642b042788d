"""Results that a change has replaced are kept: a revert takes them back, and what was asked for is there afterwards."""

import errno
import os
import shutil
import time
from pathlib import Path

import psutil
import pytest

from pipeline_steps.job.recipe import Recipe
from pipeline_steps.job.seal import seal
from tests.cluster.slurm import wait_for
from tests.conftest import World
from tests.workflow.fake_steps import LONGER, MODEL, OTHER_DATA, FakeSteps, content, succeeds, times
from workflow.freshness import replaced

pytestmark = pytest.mark.workflow


@pytest.fixture
def faked(copy: World, finished: World) -> FakeSteps:
    """A copy of the finished study, in which further steps are faked."""
    return FakeSteps(copy.folder, finished.folder)


@pytest.mark.parametrize("change", [LONGER, OTHER_DATA], ids=["of a training", "of the data"])
def test_a_revert_takes_back_what_the_change_replaced_and_runs_no_step(faked: FakeSteps, change: dict):
    before = content(faked.folder)
    succeeds(faked, overlay=change)
    steps = len(faked.steps())
    assert content(faked.folder) != before
    assert "taken back from" in succeeds(faked)
    assert "taken back from" in (faked.folder / "logs/finetune/tiny-hybrid-seed0.log").read_text()
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


@pytest.mark.parametrize("fault", ["cut off", "a file is missing", "a file in a folder is missing"])
def test_a_corrupt_copy_is_not_taken_back_nor_what_was_made_from_it(faked: FakeSteps, fault: str):
    before = content(faked.folder)
    in_folder = fault == "a file in a folder is missing"
    step, name = ("compare", "figures/training_curves.svg") if in_folder else ("finetune", "model.safetensors")
    succeeds(faked, overlay=LONGER)
    kept = [path for path in (faked.folder / ".replaced").rglob(name) if "baseline" not in str(path)]
    os.truncate(kept[0], 100) if fault == "cut off" else kept[0].unlink()
    part = "" if in_folder else f"/{kept[0].parts[-4]}/"  # the arm
    ran = times(faked, step, part), times(faked, "evaluate", part), times(faked, "write_report")
    succeeds(faked)
    again = times(faked, step, part), times(faked, "evaluate", part), times(faked, "write_report")
    assert again == (ran[0] + 1, ran[1] + (not in_folder), ran[2] + 1)
    assert content(faked.folder).keys() == before.keys()
    assert not faked.planned()


def test_raw_data_of_which_a_file_is_missing_are_not_taken_back(faked: FakeSteps):
    succeeds(faked, "data/raw/rendered/seal.json", overlay=OTHER_DATA)
    (kept,) = (faked.folder / ".replaced/data/raw/rendered").glob("*/")
    made = next(path for path in kept.rglob("*") if path.is_file() and path.parent != kept)
    made.unlink()
    succeeds(faked, "data/raw/rendered/seal.json")
    assert times(faked, "acquire_dataset") == 2
    assert (faked.folder / "data/raw/rendered" / made.relative_to(kept)).exists()


def test_a_step_that_outlives_its_snakemake_destroys_nothing_that_is_taken_back(
    faked: FakeSteps, monkeypatch: pytest.MonkeyPatch
):
    before = content(faked.folder)
    monkeypatch.setenv("FAKE_SECONDS", "12")
    with faked.started("--cores", "1", overlay=LONGER) as process:
        wait_for((faked.folder / "finetune.begun").exists, "training")
        process.kill()
    monkeypatch.setenv("FAKE_SECONDS", "0")
    said = succeeds(faked)
    assert "which still writes there" in said
    assert len(faked.steps()) == 1, "the step went on"
    assert content(faked.folder) == before
    assert not faked.planned()


def test_what_is_kept_is_dated_when_it_is_replaced(faked: FakeSteps):
    """However old it is: it may be wanted again for a while from then."""
    long_ago = time.time() - 90 * 86400
    for path in sorted(faked.folder.rglob("*"), reverse=True):
        if path.parts[len(faked.folder.parts)] in ("data", "results"):
            os.utime(path, (long_ago, long_ago))
    before = content(faked.folder)
    succeeds(faked, overlay=LONGER)
    succeeds(faked)
    assert content(faked.folder) == before


def test_a_good_copy_takes_the_place_of_a_corrupt_one(faked: FakeSteps):
    before = content(faked.folder)
    succeeds(faked, overlay=LONGER)
    succeeds(faked, overlay=LONGER | {"labels": {"subjects": 1}})
    for kept in [*(faked.folder / ".replaced").rglob("model.safetensors")]:
        os.truncate(kept, 100)
    succeeds(faked)  # trains again, since nothing whole is kept
    steps = len(faked.steps())
    succeeds(faked, overlay=LONGER | {"labels": {"subjects": 2}})
    more = len(faked.steps())
    assert more > steps
    succeeds(faked)
    assert len(faked.steps()) == more
    assert content(faked.folder).keys() == before.keys()


def test_where_links_are_impossible_one_line_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
):
    def refuse(source: str, *_: object) -> None:
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV), source)

    monkeypatch.chdir(tmp_path)
    recipe = Recipe(step="finetune", job={}, params={})
    for name in ("a", "b", "c"):
        Path("results").mkdir(exist_ok=True)
        Path("results", name).write_text(name)
    seal(recipe, Path("results"))
    monkeypatch.setattr(os, "link", refuse)
    replaced.keep({Path("results"): recipe.model_copy(update={"params": {"epochs": 2}})})
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("results: results that are replaced cannot be kept here (")
    assert line.count(os.strerror(errno.EXDEV)) == 1
    assert not list(Path(".replaced").rglob("seal.json"))


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
    for name in (".f1.7.tmp", ".f2.8.tmp"):
        (tmp_path / ".replaced/results/new" / name).mkdir()
        (tmp_path / ".replaced/results/new" / name / "seal.json").write_text("x" * 100)
    replaced.prune()
    assert sorted(path.parent.parent.name for path in tmp_path.rglob("f1/seal.json")) == ["day", "new"]
    assert len([*tmp_path.rglob(".*.tmp")]) == 2, "another process may be at work on them"
    monkeypatch.setattr(replaced, "UNFINISHED_DAYS", -1)
    replaced.prune()
    assert not [*tmp_path.rglob(".*.tmp")]
