"""What a benchmark says: something of ours beside something it can be compared with, in one run."""

import os
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import Any

import torch

CORES = len(os.sched_getaffinity(0))
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


@dataclass(frozen=True)
class Row:
    """One comparison. ours, theirs: in `unit`; the ratio is ours by theirs. reach: the ratio to be had, as `>= 0.8`."""

    what: str
    ours: float
    against: str
    theirs: float
    unit: str
    reach: str = ""

    @property
    def ratio(self) -> float:
        """Ours by theirs."""
        return self.ours / self.theirs

    def record(self) -> dict[str, Any]:
        """The row as JSON and the table hold it."""
        return {
            "what": self.what,
            "ours": round(self.ours, 3),
            "against": self.against,
            "theirs": round(self.theirs, 3),
            "unit": self.unit,
            "ratio": round(self.ratio, 3),
            "reach": self.reach,
        }


TURNS = 7
"""A machine's speed drifts by more than is looked for: what is compared is measured in turns, and its medians count."""


def rates(*works: Callable[[], int]) -> list[float]:
    """Images a second of each work, which returns how many it did, in turns after one unmeasured call."""
    for work in works:
        work()
    in_turns = [[_rate(work) for work in works] for _ in range(TURNS)]
    return [median(of_work) for of_work in zip(*in_turns, strict=True)]


def _rate(work: Callable[[], int]) -> float:
    """Images a second, by calls for a second."""
    wait()
    start, done = time.perf_counter(), 0
    while time.perf_counter() - start < 1:
        done += work()
    wait()
    return done / (time.perf_counter() - start)


def wait() -> None:
    """Until the device has done all that it was asked to do."""
    if DEVICE == "cuda":
        torch.cuda.synchronize()


def device_name() -> str:
    """The GPU, or else the kind of processor, that measures."""
    return torch.cuda.get_device_name() if DEVICE == "cuda" else platform.processor() or platform.machine()
