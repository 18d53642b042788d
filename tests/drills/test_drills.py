"""A drill disturbs a study as often as requested, however fast it is, and accepts only equal files."""

import random
import subprocess
import sys
from pathlib import Path

import pytest

from drills import kills
from drills.outcome import disturbed_outcome
from drills.world import World
from pipeline_steps.job.errors import UserError

AT_ONCE, LATE = 0.0, 600.0


class Rehearsal(World):
    """Processes instead of snakemake: the first ones take long where `lasting` says so, all others end at once."""

    def __init__(self, folder: Path, *lasting: bool, code: int = 0, made: bytes = b"weights") -> None:
        super().__init__(folder)
        self.lasting, self.code, self.made = list(lasting), code, made

    def start(self) -> "subprocess.Popen[bytes]":
        """A process that writes one file."""
        path = self.folder / "results/model.safetensors"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(self.made)
        with self.log.open("a") as said:
            said.write("epoch 1/1  24 images/s\n")
        seconds = LATE if self.lasting and self.lasting.pop(0) else 0
        run = f"import sys, time; time.sleep({seconds}); sys.exit({self.code})"
        return subprocess.Popen([sys.executable, "-c", run])


class Moments(random.Random):
    """A random generator that returns given moments."""

    def __init__(self, *moments: float) -> None:
        super().__init__()
        self.moments = list(moments)

    def uniform(self, a: float, b: float) -> float:
        """The next one."""
        return self.moments.pop(0)


def kill(process: "subprocess.Popen[bytes]") -> dict[str, str | int]:
    process.kill()
    return {"killed": "everything"}


def test_a_study_that_ends_early_is_compared_and_started_from_scratch(tmp_path: Path):
    alone, disturbed = Rehearsal(tmp_path / "alone"), Rehearsal(tmp_path / "disturbed", True, False, True)
    outcome = disturbed_outcome(alone, disturbed, 2, (0, 0), Moments(AT_ONCE, LATE, AT_ONCE), kill)
    assert outcome.rows["killed"].tolist() == ["everything"] * 2
    assert (outcome.runs, outcome.compared) == (2, 1)
    assert "of each of 2 runs equal those" in outcome.in_words()


def test_a_disturbance_between_two_steps_does_not_count(tmp_path: Path):
    alone, disturbed = Rehearsal(tmp_path / "alone"), Rehearsal(tmp_path / "disturbed", True, True)
    struck = iter([None, {"killed": "step"}])

    def strike(process: "subprocess.Popen[bytes]") -> dict[str, str | int] | None:
        process.kill()
        return next(struck)

    outcome = disturbed_outcome(alone, disturbed, 1, (0, 0), Moments(AT_ONCE, AT_ONCE), strike)
    assert outcome.rows["killed"].tolist() == ["step"]
    assert "then it was completed" in outcome.ending


def test_a_drill_fails_if_files_differ_or_snakemake_fails_by_itself(tmp_path: Path):
    alone, other = Rehearsal(tmp_path / "alone"), Rehearsal(tmp_path / "other", True, made=b"weighty")
    with pytest.raises(UserError, match=r"these results differ in .*alone and .*other; .*: results/model.safetensors"):
        disturbed_outcome(alone, other, 1, (0, 0), Moments(AT_ONCE), kill)
    failing = Rehearsal(tmp_path / "failing", code=1)
    with pytest.raises(UserError, match="snakemake failed by itself after 0 of 1"):
        disturbed_outcome(alone, failing, 1, (0, 0), Moments(LATE), kill)


def test_a_start_that_has_no_step_to_kill_ends_at_once(tmp_path: Path):
    process = subprocess.Popen([sys.executable, "-c", f"import time; time.sleep({LATE})"])
    assert kills.kill(World(tmp_path / "world"), "step", process) is None
    assert process.wait(30) != 0
