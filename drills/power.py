"""Power failures at random moments of a study, compared with the same study undisturbed: python -m drills.power.

The study runs on a file system in a disk image. A failure kills every process, and the next start finds only the data
that had reached the disk image by then, which is less than what had been written. Needs Linux, and root for mounting.
"""

import os
import random
import shutil
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from tempfile import mkdtemp
from typing import Annotated

import psutil
from typer import Option

from drills.disk import MOUNT, Disk
from drills.outcome import Outcome, disturbed_outcome
from drills.world import World, names_of
from pipeline_steps.job.command_line import main
from pipeline_steps.job.errors import UserError
from pipeline_steps.job.files import write_text

PAUSE_SECONDS = (8.0, 40.0)
"""Least and most time from a start to the failure."""


def fail(world: World, disk: Disk, process: subprocess.Popen[bytes]) -> dict[str, str | int]:
    """Kill everything and lose unwritten data; return which steps were running and how many files were lost."""
    steps = world.steps()
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    psutil.wait_procs(steps)
    return {"steps": " ".join(names_of(steps)), "lost": disk.lose_unwritten_data()}


def report(outcome: Outcome) -> str:
    """The page with the outcome."""
    lost = outcome.rows["lost"]
    hit = Counter(step for steps in outcome.rows["steps"] for step in steps.split())
    running = ", ".join(f"{step} {count}" for step, count in sorted(hit.items()))
    return f"""# Power failures at random moments

`python -m drills.power`, as root, wrote this page. One study with {outcome.epochs[0]} epochs of training ran on an ext4
file system (`{MOUNT}`) in a disk image. {len(lost)} times everything was killed, and the next start found only
the data that had reached the disk image; {outcome.ending}. Each time, {lost.min()} to {lost.max()} files
that programs had written were lost or truncated.

{outcome.in_words()}
Steps running when the power failed: {running}.
"""


def drill(
    failures: Annotated[int, Option(min=1, help="how often the power fails")] = 12,
    seed: Annotated[int, Option(help="for the moments of failure")] = 0,
    output: Annotated[Path, Option(help="page to write")] = Path("docs/power_drill.md"),
) -> None:
    """Simulate power failures at random moments, and compare the results with those of the undisturbed study."""
    if sys.platform != "linux" or os.geteuid() != 0:
        raise UserError("this drill mounts a file system: run it as root, on Linux")
    folder = Path(mkdtemp(prefix="drill-")).resolve()
    disk = Disk(folder / "disk.img", folder / "disk")
    alone, disturbed = World(folder / "alone"), World(disk.folder / "failed")
    disturbed.log = folder / "failed.log"
    chance = random.Random(seed)
    outcome = disturbed_outcome(
        alone, disturbed, failures, PAUSE_SECONDS, chance, lambda process: fail(disturbed, disk, process)
    )
    disk.unmount()
    shutil.rmtree(folder)
    page = report(outcome)
    write_text(output, page)
    print(page)


if __name__ == "__main__":
    main(drill)
