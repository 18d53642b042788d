"""Power failures at random moments of a study, against the same study left alone: python -m drills.power.

The study runs on a file system in an image file. A failure kills every process, and what had reached the image by then,
which is less than what had been written, is all that the next start finds. Needs Linux and root, for its mounts.
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
"""From a start to its failure."""


def fail(world: World, disk: Disk, process: subprocess.Popen[bytes]) -> dict[str, str | int]:
    """Kill everything, lose what is not on the disk, and say which steps were at work and how many files are lost."""
    steps = world.steps()
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    psutil.wait_procs(steps)
    return {"steps": " ".join(names_of(steps)), "lost": disk.lose_what_is_not_on_it()}


def report(outcome: Outcome) -> str:
    """The outcome in words."""
    lost = outcome.rows["lost"]
    hit = Counter(step for steps in outcome.rows["steps"] for step in steps.split())
    at_work = ", ".join(f"{step} {count}" for step, count in sorted(hit.items()))
    return f"""# Power failures at random moments

`python -m drills.power`, as root, wrote this page. One study, {outcome.epochs[0]} epochs of training, ran on an ext4
file system (`{MOUNT}`) in an image file. {len(lost)} times everything was killed, and only what had
reached the image was left for the next start; {outcome.ending}. Each time, {lost.min()} to {lost.max()} files
that programs had seen as written were gone or cut off.

{outcome.in_words()}
Steps at work when the power failed: {at_work}.
"""


def drill(
    failures: Annotated[int, Option(min=1, help="how often the power fails")] = 12,
    seed: Annotated[int, Option(help="of the moments")] = 0,
    output: Annotated[Path, Option(help="page to write")] = Path("docs/power_drill.md"),
) -> None:
    """Let the power fail at random moments, and compare what came out with the same study left alone."""
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
