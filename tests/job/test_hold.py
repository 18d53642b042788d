"""One process at a time writes results into a folder."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipeline_steps.job import hold as module
from pipeline_steps.job.errors import UserError
from pipeline_steps.job.hold import hold, release
from pipeline_steps.job.recipe import Recipe
from pipeline_steps.job.seal import seal, unseal

HOLDING = """
import sys, time
from pathlib import Path
from pipeline_steps.job.hold import hold
hold(Path(sys.argv[1]))
print("held", flush=True)
time.sleep(float(sys.argv[2]))
"""


def holding(folder: Path, seconds: float) -> subprocess.Popen:
    """Another process that holds a folder for a while."""
    process = subprocess.Popen([sys.executable, "-c", HOLDING, str(folder), str(seconds)], stdout=subprocess.PIPE)
    assert process.stdout
    assert process.stdout.readline() == b"held\n"
    return process


def test_a_folder_that_another_process_holds_for_long_is_refused_by_its_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(module, "WAIT_SECONDS", 0.2)
    folder = tmp_path / "seed0"
    with holding(folder, 60) as process:
        with pytest.raises(UserError, match=rf"^\S*seed0: process {process.pid} on \S+ still writes there; wait until"):
            unseal(folder)
        process.kill()
        process.wait()
    unseal(folder)  # no longer: the system has released the lock
    release(folder)


def test_a_folder_is_waited_for_and_nothing_is_left_of_its_lock(tmp_path: Path):
    folder, begun = tmp_path / "seed0", time.monotonic()
    with holding(folder, 2):
        hold(folder)
        assert time.monotonic() - begun > 1
    hold(folder)  # again, by the same process
    folder.mkdir()
    seal(Recipe(step="finetune", job={}, params={}), folder)
    assert [path.name for path in tmp_path.iterdir()] == ["seed0"]
    with holding(folder, 0):
        pass


def test_a_step_takes_the_seal_off_what_it_replaces(tmp_path: Path):
    """Else a step that is killed would leave its files under the seal of others."""
    folder = tmp_path / "seed0"
    folder.mkdir()
    seal(Recipe(step="finetune", job={}, params={}), folder)
    unseal(folder)
    release(folder)
    assert not (folder / "seal.json").exists()
