"""SIGKILL at random moments of a study, against the same study left alone: python -m drills.kills [--kills N].

What is killed is drawn each time: `everything` (snakemake and its steps at once, as when the machine goes down),
`step` (the steps alone, as when memory runs out), or `snakemake` (alone: its steps live on while the next one starts).
"""

import os
import random
import shutil
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path
from tempfile import mkdtemp
from typing import Annotated

import pandas as pd
from typer import Option

from drills.world import STUDY, World, modules_of, require_equal
from pipeline_steps.errors import UserError
from pipeline_steps.files import whole_file
from pipeline_steps.step import main

VICTIMS = ("everything", "step", "snakemake")
PAUSE_SECONDS = (3.0, 25.0)
"""From a start to its kill; the first step of a start begins its work after ten seconds or so."""


def kill(world: World, victim: str, process: subprocess.Popen[bytes]) -> Counter[str]:
    """Kill, and say which steps were at work."""
    steps = world.steps()
    modules = modules_of(steps)
    if victim == "step":
        for step in steps:
            step.kill()
    elif victim == "everything":
        os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()
    return modules


def killed(world: World, kills: int, chance: random.Random) -> pd.DataFrame:
    """Start the study again and again, and kill it; a row for every kill that hit a step, until the study is done."""
    rows: list[dict[str, str | float]] = []
    while len(rows) < kills:
        victim, pause = chance.choice(VICTIMS), chance.uniform(*PAUSE_SECONDS)
        process = world.start()
        try:
            if process.wait(pause):
                raise UserError(f"snakemake failed by itself after {len(rows)} kills:\n{world.said()[-2000:]}")
            return pd.DataFrame(rows)
        except subprocess.TimeoutExpired:
            if modules := kill(world, victim, process):
                rows.append(
                    {"killed": victim, "after_seconds": round(pause, 1), "steps": " ".join(sorted(modules.elements()))}
                )
                print(f"{len(rows)}/{kills} {rows[-1]}", flush=True)
        process.wait()
        world.run("--unlock")
    return pd.DataFrame(rows)


def report(rows: pd.DataFrame, epochs: tuple[int, int], seconds: tuple[float, float], compared: int) -> str:
    """The outcome in words and a table."""
    steps = sorted({step for steps in rows["steps"] for step in steps.split()})
    table = pd.DataFrame(
        {
            victim: {
                step: sum(step in steps.split() for steps in rows["steps"][rows["killed"] == victim]) for step in steps
            }
            for victim in VICTIMS
        }
    )
    table.index.name = "at work when killed"
    counted = ", ".join(f"{(rows['killed'] == victim).sum()} times {victim}" for victim in VICTIMS)
    again, longer = epochs[1] - epochs[0], seconds[1] / seconds[0]
    return f"""# Kills at random moments

`make drill` wrote this page. One study, {epochs[0]} epochs of training, was started and killed by SIGKILL {len(rows)}
times ({counted}); then it ran to its end.
All {compared} files compared (crops, weights, histories without their times, predictions, tables) equal those of
the same study left alone, to the bit. It took {longer:.1f} times as long, with {len(rows)} more starts and {again}
more epochs.

{table.to_markdown()}

`everything`: snakemake and its steps at once, as when the machine goes down. `step`: the steps alone, as when
memory runs out. `snakemake`: alone; its steps live on, beside those of the next start.
"""


def drill(
    kills: Annotated[int, Option(min=1, help="how often to kill")] = 24,
    seed: Annotated[int, Option(help="of the moments and what is killed")] = 0,
    output: Annotated[Path, Option(help="page to write")] = Path("docs/drill.md"),
) -> None:
    """Kill a study at random moments, and compare what came out with the same study left alone."""
    folder = Path(mkdtemp(prefix="drill-")).resolve()
    alone, disturbed = World(folder / "alone"), World(folder / "killed")
    start = time.perf_counter()
    alone.run()
    between = time.perf_counter()
    rows = killed(disturbed, kills, random.Random(seed))
    if len(rows) < kills:
        disturbed.wait_for_steps()
        raise UserError(f"{STUDY}: done after {len(rows)} kills of {kills}; give it more seeds or epochs")
    disturbed.run()
    disturbed.wait_for_steps()
    seconds = between - start, time.perf_counter() - between
    compared = require_equal(alone, disturbed)
    page = report(rows, (alone.epochs(), disturbed.epochs()), seconds, compared)
    shutil.rmtree(folder)
    with whole_file(output) as temporary:
        temporary.write_text(page, encoding="utf-8")
    print(page)


if __name__ == "__main__":
    main(drill)
