"""Rendered heads: JPEG files a second, by one process and by one per core."""

import tempfile
import time
from pathlib import Path

from benchmarks.measure import CORES, Row
from pipeline_steps.datasets.rendered import Rendered


def _rate(processes: int) -> float:
    """Images a second of 128 px; the start of the processes is taken out by two lengths of the same run."""

    def seconds(subjects: int) -> float:
        with tempfile.TemporaryDirectory() as folder:
            start = time.perf_counter()
            Rendered(subjects=subjects, images_per_subject=40, image_size=128).acquire(
                Path(folder), processes=processes
            )
            return time.perf_counter() - start

    seconds(processes)
    short, long = seconds(2 * processes), seconds(14 * processes)
    return 12 * processes * 40 / (long - short)


def measure() -> list[Row]:
    """All cores against one."""
    one = _rate(1)
    what = f"heads of 128 px, {CORES} processes"
    return [Row(what, _rate(CORES), "one process", one, "images/s", f">= {0.9 * CORES:g}")] if CORES > 1 else []
