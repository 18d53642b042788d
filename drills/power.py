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
import time
from collections import Counter
from pathlib import Path
from tempfile import mkdtemp
from typing import Annotated

from typer import Option

from drills.disk import MOUNT, Disk
from drills.world import STUDY, World, modules_of, require_equal
from pipeline_steps.errors import UserError
from pipeline_steps.files import whole_file
from pipeline_steps.step import main

PAUSE_SECONDS = (8.0, 40.0)
"""From a start to its failure."""


def drill(
    failures: Annotated[int, Option(min=1, help="how often the power fails")] = 12,
    seed: Annotated[int, Option(help="of the moments")] = 0,
    output: Annotated[Path, Option(help="page to write")] = Path("docs/power_drill.md"),
) -> None:
    """Let the power fail at random moments, and compare what came out with the same study left alone."""
    if sys.platform != "linux" or os.geteuid() != 0:
        raise UserError("this drill mounts a file system: run it as root, on Linux")
    chance = random.Random(seed)
    folder = Path(mkdtemp(prefix="drill-")).resolve()
    disk = Disk(folder / "disk.img", folder / "disk")
    alone, disturbed = World(folder / "alone"), World(disk.folder / "failed")
    disturbed.log = folder / "failed.log"
    start = time.perf_counter()
    alone.run()
    between = time.perf_counter()
    hit: Counter[str] = Counter()
    lost: list[int] = []
    while len(lost) < failures:
        process = disturbed.start()
        try:
            code = process.wait(chance.uniform(*PAUSE_SECONDS))
        except subprocess.TimeoutExpired:
            code = None
        if code:
            raise UserError(f"snakemake failed by itself after {len(lost)} failures:\n{disturbed.said()[-2000:]}")
        if code == 0:
            raise UserError(f"{STUDY}: done after {len(lost)} failures of {failures}; give it more seeds or epochs")
        hit += modules_of(steps := disturbed.steps())
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        for step in steps:
            step.wait()
        lost.append(disk.lose_what_is_not_on_it())
        print(f"{len(lost)}/{failures} {lost[-1]} files lost or cut", flush=True)
        disturbed.run("--unlock")
    disturbed.run()
    seconds = between - start, time.perf_counter() - between
    compared = require_equal(alone, disturbed)
    page = report(lost, hit, (alone.epochs(), disturbed.epochs()), seconds, compared)
    disk.unmount()
    shutil.rmtree(folder)
    with whole_file(output) as temporary:
        temporary.write_text(page, encoding="utf-8")
    print(page)


def report(
    lost: list[int], hit: Counter[str], epochs: tuple[int, int], seconds: tuple[float, float], compared: int
) -> str:
    """The outcome in words."""
    at_work = ", ".join(f"{step} {count}" for step, count in sorted(hit.items()))
    return f"""# Power failures at random moments

`python -m drills.power`, as root, wrote this page. One study, {epochs[0]} epochs of training, ran on an ext4 file
system (`{MOUNT}`) in an image file. {len(lost)} times everything was killed, and only what had reached
the image was left for the next start; then it ran to its end. Each time, {min(lost)} to {max(lost)} files that
programs had seen as written were gone or cut off.

All {compared} files compared (crops, weights, histories without their times, predictions, tables) equal those
of the same study left alone, to the bit. It took {seconds[1] / seconds[0]:.1f} times as long, with {len(lost)} more
starts and {epochs[1] - epochs[0]} more epochs. Steps at work when the power failed: {at_work}.
"""


if __name__ == "__main__":
    main(drill)
