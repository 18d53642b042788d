"""What a running Snakemake does: in which order, when it is killed or stopped, and what it says last."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.cluster.slurm import wait_for
from tests.conftest import ROOT, World
from tests.workflow.fake_steps import FakeSteps
from workflow.running import failures, stopping

pytestmark = pytest.mark.workflow

LONGER = {"finetune": {"epochs": 2}}


@pytest.fixture
def faked(copy: World, finished: World) -> FakeSteps:
    """A copy of the finished study, in which further steps are faked."""
    return FakeSteps(copy.folder, finished.folder)


def test_with_two_cores_and_three_data_sets_no_training_starts_before_all_data_are_there(
    finished: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    faked = FakeSteps(tmp_path / "faked", finished.folder)
    monkeypatch.setenv("FAKE_SECONDS", "1")
    rendered = {"kind": "rendered", "subjects": 8, "images_per_subject": 4, "image_size": 64}
    split = {"seed": 0, "test_subjects": 2, "validation_subjects": 2}
    crop = {"box": "given_box", "margin": 0.1}
    sets = {f"set{seed}": {"source": rendered | {"seed": seed}, "crop": crop, "split": split} for seed in (1, 2)}
    overlay = {"datasets": sets, "test_on": ["rendered", *sets]}
    done = faked.snakemake("data/splits/rendered-32px/seal.json", overlay=overlay)  # trainings could start with these
    assert done.returncode == 0, done.stderr
    done = faked.snakemake("all_finetuned", overlay=overlay)
    assert done.returncode == 0, done.stderr
    ran = faked.steps()
    data = ran[ran["step"].isin(["acquire_dataset", "crop_faces", "split_dataset"])]
    trained = ran[ran["step"].isin(["pretrain", "finetune"])]
    assert len(data) == 9
    assert len(trained) == 5
    assert data["end"].max() <= trained["start"].min()


def test_after_any_kill_the_same_command_continues_and_says_that_it_removed_the_lock(
    faked: FakeSteps, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("FAKE_SECONDS", "5")
    with faked.started(overlay=LONGER) as process:
        wait_for(lambda: list((faked.folder / ".snakemake/locks").glob("*.lock")), "lock")
        process.send_signal(signal.SIGKILL)
        process.communicate()
    assert list((faked.folder / ".snakemake/locks").glob("*.lock"))
    monkeypatch.setenv("FAKE_SECONDS", "0")
    done = faked.snakemake(overlay=LONGER)
    assert done.returncode == 0, done.stderr
    said = f"removed the lock of a Snakemake that no longer runs (process {process.pid})"
    assert said in done.stderr
    assert said not in faked.snakemake(overlay=LONGER).stderr


def test_the_lock_of_a_living_snakemake_is_left_alone(faked: FakeSteps, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("FAKE_SECONDS", "15")
    with faked.started(overlay=LONGER) as process:
        wait_for(lambda: list((faked.folder / ".snakemake/locks").glob("*.lock")), "lock")
        second = faked.snakemake(overlay=LONGER)
        assert process.poll() is None
    assert second.returncode != 0
    assert "cannot be locked" in second.stderr
    assert "removed the lock" not in second.stderr


def test_the_lock_of_another_machine_is_left_and_the_machine_is_named(faked: FakeSteps):
    for folder, name in (("locks", "0.output.lock"), ("holders", "elsewhere-7-12.lock")):
        path = faked.folder / ".snakemake" / folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("results/tiny/default/compare/seal.json\n")
    done = faked.snakemake(overlay=LONGER)
    assert done.returncode != 0
    assert "a Snakemake of elsewhere-7 may still run; where none does: make unlock" in done.stderr
    assert faked.snakemake("--unlock", overlay=LONGER).returncode == 0
    assert not list((faked.folder / ".snakemake/holders").glob("elsewhere*")), "later locks are removed by themselves"
    assert faked.snakemake(overlay=LONGER).returncode == 0


def test_a_wrong_tracking_address_stops_the_study_before_its_first_job(
    faked: FakeSteps, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("HEADPOSE_TRACKING", "on")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "htp://elsewhere")
    done = faked.snakemake(overlay=LONGER)
    assert done.returncode != 0
    assert "htp://elsewhere" in done.stderr
    assert "Traceback" not in done.stderr
    assert faked.steps().empty


def test_the_last_line_says_why_a_step_failed(copy: World):
    rejected = {"datasets": {"rendered": {"split": {"test_subjects": 7, "validation_subjects": 7}}}}
    done = copy.snakemake(overlay=rejected)
    assert done.returncode != 0
    last = done.stderr.rstrip().splitlines()[-1]
    assert re.fullmatch(r"error: .*test_subjects.*\(split_dataset, logs/split_dataset/rendered-32px.log\)", last), last


@pytest.mark.parametrize(
    ("log", "line"),
    [
        ("10:00:00 begins\nerror: x.h5: missing; make it\n", "error: x.h5: missing; make it (finetune, LOG)"),
        ("Traceback\nValueError: 3\n", "error: finetune failed; see its log, LOG, which ends in: ValueError: 3"),
        (None, "error: finetune failed; see its log, LOG"),
    ],
    ids=["one clear line", "a traceback", "no log"],
)
def test_a_failed_step_is_reported_by_what_its_log_says(tmp_path: Path, log: str | None, line: str):
    path = tmp_path / "log"
    if log:
        path.write_text(log)
    assert failures.reason("finetune", path) == line.replace("LOG", str(path))


def test_sigterm_while_the_scheduler_holds_its_lock_does_not_stop_it_forever():
    lock, asked = threading.Lock(), threading.Event()

    def exit_gracefully() -> None:
        with lock:
            asked.set()

    before = signal.getsignal(signal.SIGTERM)
    try:
        stopping.stop_on_sigterm(SimpleNamespace(exit_gracefully=exit_gracefully))
        with lock:  # as when it deals with a job that has just ended
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0.1)
        assert asked.wait(5)
    finally:
        signal.signal(signal.SIGTERM, before)


def test_snakemake_and_its_training_end_when_both_get_sigterm(faked: FakeSteps, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("FAKE_SECONDS", "60")
    with faked.started("--cores", "1", overlay=LONGER) as process:
        wait_for((faked.folder / "finetune.begun").exists, "training")
        process.terminate()
        subprocess.run(["pkill", "-TERM", "-f", str(faked.programs / "python")], check=True)
        process.terminate()
        process.communicate(timeout=30)
    assert process.returncode != 0
    assert not list((faked.folder / ".snakemake").glob("locks/*.lock"))


UNPRIVILEGED = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"]
SEE_ALL = ["--inh-caps", "+dac_read_search", "--ambient-caps", "+dac_read_search"]  # Python may lie in root's home


def as_another_user(world: World, home: Path, *command: str) -> subprocess.CompletedProcess:
    """Run a command in a study's folder as nobody."""
    environment = os.environ | world.environment() | {"PYTHONPATH": str(ROOT), "HOME": str(home)}
    environment |= {"HEADPOSE_TRACKING": "off", "PYTHONDONTWRITEBYTECODE": "1", "XDG_CACHE_HOME": str(home)}
    return subprocess.run(
        [*UNPRIVILEGED, *SEE_ALL, *command],
        cwd=world.folder,
        env=environment,
        text=True,
        capture_output=True,
        check=False,
    )


@pytest.fixture
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home of nobody; skips the test where this user cannot become nobody."""
    if os.geteuid() != 0:
        pytest.skip("another user's rights can be tried by root alone")
    folder = tmp_path_factory.mktemp("home")
    os.chown(folder, 65534, 65534)
    return folder


def planned_by(world: World, home: Path, overlay: dict | None = None) -> subprocess.CompletedProcess:
    files = [str(ROOT / "tests/studies/tiny.yaml"), *map(str, world.overlays(overlay))]
    command = [sys.executable, "-m", "snakemake", "--dry-run", "--cores", "2", "--snakefile", str(ROOT / "Snakefile")]
    return as_another_user(world, home, *command, "--configfile", *files)


def test_a_checkout_that_a_group_shares_works_for_all_of_it(faked: FakeSteps, home: Path):
    assert not faked.planned()
    assert faked.planned(LONGER)
    subprocess.run(["chmod", "-R", "g+rwX", str(faked.folder)], check=True)
    subprocess.run(["chown", "-hR", "1234:65534", str(faked.folder)], check=True)
    done = planned_by(faked, home)
    assert done.returncode == 0, done.stderr
    assert "Nothing to be done" in done.stdout + done.stderr
    again = planned_by(faked, home, LONGER)
    assert again.returncode == 0, again.stderr
    assert "finetune" in again.stdout + again.stderr


def test_a_folder_that_may_only_be_read_says_so_and_why_works_there(faked: FakeSteps, home: Path):
    assert not faked.planned()
    done = planned_by(faked, home)
    assert done.returncode != 0
    assert "you may not write there" in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    command = [sys.executable, "-m", "workflow.why", "--configfile", str(ROOT / "tests/studies/tiny.yaml")]
    why = as_another_user(faked, home, *command)
    assert why.stdout == "nothing would run: all results are up to date\n", why.stderr


def test_make_says_before_anything_else_that_python_is_too_old_or_missing(tmp_path: Path):
    (tmp_path / "Makefile").write_text((ROOT / "Makefile").read_text())
    (tmp_path / "requirements.lock").touch()
    old = tmp_path / "python3.10"
    old.write_text('#!/bin/sh\n[ "$1" = --version ] && echo Python 3.10.13\n[ "$1" = --version ]\n')
    old.chmod(0o755)
    for python, named in ((old, f"error: {old}: Python 3.10.13;"), ("python9", "error: python9: not found;")):
        command = ["make", f"PYTHON={python}", "reproduce"]
        done = subprocess.run(command, cwd=tmp_path, text=True, capture_output=True, check=False)
        assert done.returncode != 0
        assert done.stderr.startswith(
            f"{named} Python 3.11 or newer is needed, as in: make PYTHON=python3.12 reproduce"
        )
        assert not (tmp_path / ".venv").exists()


def test_an_environment_of_another_folder_is_made_again(tmp_path: Path):
    for name in ("there", "moved"):
        folder = tmp_path / name
        (folder / ".venv").mkdir(parents=True)
        (folder / "Makefile").write_text((ROOT / "Makefile").read_text())
        (folder / "requirements.lock").touch()
        (folder / ".venv/installed").write_text(str((tmp_path / "there").resolve()))
    plans = {
        name: subprocess.run(["make", "-n", "why"], cwd=tmp_path / name, text=True, capture_output=True, check=True)
        for name in ("there", "moved")
    }
    assert "venv --clear" not in plans["there"].stdout
    assert "venv --clear" in plans["moved"].stdout


def test_make_clean_keeps_downloads_and_mlflow_and_distclean_does_not(tmp_path: Path):
    (tmp_path / "Makefile").write_text((ROOT / "Makefile").read_text())
    kept = ["data/archives/a.zip", "mlflow.db", "mlartifacts/1/model"]
    gone = ["data/crops/x/crops.h5", "results/x/table.md", ".replaced/x", ".recipes/x.json", ".venv/installed"]
    for name in (*kept, *gone):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(name))
    subprocess.run(["make", "clean"], cwd=tmp_path, check=True, capture_output=True)
    assert [name for name in (*kept, *gone) if (tmp_path / name).exists()] == kept
    subprocess.run(["make", "distclean"], cwd=tmp_path, check=True, capture_output=True)
    assert [path.name for path in tmp_path.iterdir()] == ["Makefile"]
