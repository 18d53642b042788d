"""A study disturbed again and again, against the same study left alone."""

import random
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd

from drills.world import World, require_equal
from pipeline_steps.job.errors import UserError

Disturb = Callable[["subprocess.Popen[bytes]"], dict[str, str | int] | None]
"""What strikes a running snakemake: says what it did, or None where no step was at work."""


@dataclass(frozen=True)
class Outcome:
    """rows: one per disturbance; runs: how often the study came to its end under them; epochs, seconds: of the study
    left alone, and of all those runs; compared: files of a run and of the study left alone, equal in every run.
    """

    rows: pd.DataFrame
    runs: int
    epochs: tuple[int, int]
    seconds: tuple[float, float]
    compared: int

    @property
    def ending(self) -> str:
        """How the disturbed study went on in the end."""
        return "then it ran to its end" if self.runs == 1 else f"it came to its end {self.runs} times, begun anew"

    def in_words(self) -> str:
        """What was compared, and what the disturbances cost."""
        longer = self.seconds[1] / self.seconds[0] / self.runs
        again = self.epochs[1] - self.epochs[0] * self.runs
        runs = "the run" if self.runs == 1 else f"each of {self.runs} runs"
        return f"""All {self.compared} files compared (crops, weights, histories without their times, predictions,
tables) of {runs} equal those of the same study left alone, to the bit. It took {longer:.1f} times as long, with
{len(self.rows)} more starts and {again} more epochs."""


def disturbed_outcome(
    alone: World,
    disturbed: World,
    times: int,
    pause_seconds: tuple[float, float],
    chance: random.Random,
    disturb: Disturb,
) -> Outcome:
    """Run one world alone; start the other until it has been disturbed often enough, then run it to its end.

    One that comes to its end earlier is compared and begins anew. pause_seconds: least and most from a start to its
    disturbance. Raises UserError where snakemake fails by itself, or the two worlds differ in the end.
    """
    start = time.perf_counter()
    alone.run()
    between = time.perf_counter()
    rows: list[dict[str, str | int]] = []
    runs = 1
    while len(rows) < times:
        process = disturbed.start()
        try:
            code = process.wait(chance.uniform(*pause_seconds))
        except subprocess.TimeoutExpired:
            if row := disturb(process):
                rows.append(row)
                print(f"{len(rows)}/{times} {row}", flush=True)
        else:
            disturbed.wait_for_steps()
            if code:
                raise UserError(f"snakemake failed by itself after {len(rows)} of {times}:\n{disturbed.said()[-2000:]}")
            require_equal(alone, disturbed)
            disturbed.begin_anew()
            runs += 1
        process.wait()
        disturbed.run("--unlock")
    disturbed.run()
    disturbed.wait_for_steps()
    seconds = between - start, time.perf_counter() - between
    epochs = alone.epochs(), disturbed.epochs()
    return Outcome(pd.DataFrame(rows), runs, epochs, seconds, require_equal(alone, disturbed))
