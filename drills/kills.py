"""SIGKILL at random moments of a study, compared with the same study undisturbed: python -m drills.kills [--kills N].

The victim is drawn each time: `everything` (snakemake and its steps at once, as when the machine goes down), `step`
(only the steps, as when memory runs out), or `snakemake` (only snakemake; its steps continue while the next starts).
"""

import os
import random
import shutil
import signal
import subprocess
from pathlib import Path
from tempfile import mkdtemp
from typing import Annotated

import pandas as pd
from typer import Option

from drills.outcome import Outcome, disturbed_outcome
from drills.world import World, names_of
from pipeline_steps.job.command_line import main
from pipeline_steps.job.files import write_text

VICTIMS = ("everything", "step", "snakemake")
PAUSE_SECONDS = (3.0, 25.0)
"""Least and most time from a start to its kill; the first step starts working after about ten seconds."""


def kill(world: World, victim: str, process: subprocess.Popen[bytes]) -> dict[str, str | int] | None:
    """Kill the victim and return which steps were running; None where there were none.

    Without a step to kill, Snakemake is killed, so that it does not run to its end before the next victim.
    """
    steps = world.steps()
    if victim == "everything":
        os.killpg(process.pid, signal.SIGKILL)
    elif victim == "snakemake" or not steps:
        process.kill()
    else:
        for step in steps:
            step.kill()
    return {"killed": victim, "steps": " ".join(names_of(steps))} if steps else None


def report(outcome: Outcome) -> str:
    """The page with the outcome, in words and as a table."""
    rows = outcome.rows
    steps = sorted({step for steps in rows["steps"] for step in steps.split()})
    table = pd.DataFrame(
        {
            victim: {
                step: sum(step in steps.split() for steps in rows["steps"][rows["killed"] == victim]) for step in steps
            }
            for victim in VICTIMS
        }
    )
    table.index.name = "running when killed"
    counted = ", ".join(f"{(rows['killed'] == victim).sum()} times {victim}" for victim in VICTIMS)
    return f"""# Kills at random moments

`make drill` wrote this page. One study with {outcome.epochs[0]} epochs of training was started and killed by SIGKILL
{len(rows)} times ({counted}); {outcome.ending}.
{outcome.in_words()}

{table.to_markdown()}

`everything`: snakemake and its steps at once, as when the machine goes down. `step`: only the steps, as when
memory runs out. `snakemake`: only snakemake; its steps continue, alongside those of the next start.
"""


def drill(
    kills: Annotated[int, Option(min=1, help="number of kills")] = 24,
    seed: Annotated[int, Option(help="for the moments and victims")] = 0,
    output: Annotated[Path, Option(help="page to write")] = Path("docs/drill.md"),
) -> None:
    """Kill a study at random moments, and compare the results with those of the undisturbed study."""
    folder = Path(mkdtemp(prefix="drill-")).resolve()
    alone, disturbed = World(folder / "alone"), World(folder / "killed")
    chance = random.Random(seed)
    outcome = disturbed_outcome(
        alone, disturbed, kills, PAUSE_SECONDS, chance, lambda process: kill(disturbed, chance.choice(VICTIMS), process)
    )
    shutil.rmtree(folder)
    page = report(outcome)
    write_text(output, page)
    print(page)


if __name__ == "__main__":
    main(drill)
