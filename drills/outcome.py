"""A study that is disturbed repeatedly, compared with the same study undisturbed."""

import random
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd

from drills.world import World, require_equal
from pipeline_steps.job.errors import UserError

Disturb = Callable[["subprocess.Popen[bytes]"], dict[str, str | int] | None]
"""Disturbs a running snakemake; returns what it did, or None where no step was running."""


@dataclass(frozen=True)
class Outcome:
    """rows: one per disturbance. runs: how often the disturbed study was completed.

    epochs, seconds: those of the undisturbed study, and those of all disturbed runs. compared: number of files in which
    every run equals the undisturbed study.
    """

    rows: pd.DataFrame
    runs: int
    epochs: tuple[int, int]
    seconds: tuple[float, float]
    compared: int

    @property
    def ending(self) -> str:
        """How the disturbed study ended."""
        return (
            "then it was completed" if self.runs == 1 else f"it was completed {self.runs} times, each time from scratch"
        )

    def in_words(self) -> str:
        """What was compared, and what the disturbances cost."""
        longer = self.seconds[1] / self.seconds[0] / self.runs
        again = self.epochs[1] - self.epochs[0] * self.runs
        runs = "the run" if self.runs == 1 else f"each of {self.runs} runs"
        return f"""All {self.compared} files compared (crops, weights, histories without times, predictions, tables)
of {runs} equal those of the undisturbed study, to the bit. It took {longer:.1f} times as long, with
{len(self.rows)} more starts and {again} more epochs."""


def disturbed_outcome(
    alone: World,
    disturbed: World,
    times: int,
    pause_seconds: tuple[float, float],
    chance: random.Random,
    disturb: Disturb,
) -> Outcome:
    """Complete one world undisturbed; start and disturb the other until it has been disturbed `times` times.

    If the disturbed world is completed before that, it is compared and starts from scratch. pause_seconds: least and
    most time from a start to its disturbance. Raises UserError where snakemake fails by itself, or where the results of
    the two worlds differ.
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
                raise UserError(
                    f"snakemake failed by itself after {len(rows)} of {times}:\n{disturbed.output()[-2000:]}"
                )
            require_equal(alone, disturbed)
            disturbed.start_from_scratch()
            runs += 1
        process.wait()
    disturbed.run()
    disturbed.wait_for_steps()
    seconds = between - start, time.perf_counter() - between
    epochs = alone.epochs(), disturbed.epochs()
    return Outcome(pd.DataFrame(rows), runs, epochs, seconds, require_equal(alone, disturbed))
