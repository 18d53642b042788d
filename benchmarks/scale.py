"""Training data as it grows: the memory of the process that reads it, and the time an image takes."""

import re
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from benchmarks.crop_files import write_crops
from benchmarks.measure import Row
from pipeline_steps.training.data import CropDataset, train_loader

BATCH, READ = 128, 20_000
FEW, MANY = 10_000, 122_450
"""MANY: the images of 300W-LP."""


def _private_gb() -> float:
    """Memory of this process that no file backs, in GB."""
    (kilobytes,) = re.findall(r"RssAnon:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return int(kilobytes) / 1e6


def _read(crops: Path, count: int) -> tuple[float, float]:
    """Most memory in GB beyond what the process began with, and microseconds an image, over shuffled batches."""
    before = most = _private_gb()
    data = CropDataset(crops, [f"{index:07d}" for index in range(count)], True)
    batches = iter(train_loader(data, BATCH, 0, READ))
    for _ in range(20):
        next(batches)
    start, done = time.perf_counter(), 0
    for batch in batches:
        done += len(batch["images"])
        most = max(most, _private_gb())
    return most - before, 1e6 * (time.perf_counter() - start) / done


def _measured(count: int, size: int) -> tuple[float, float]:
    """As `_read`, in a process of its own."""
    with tempfile.TemporaryDirectory() as folder, ProcessPoolExecutor(1, get_context("spawn")) as process:
        write_crops(Path(folder, "crops.h5"), count, size)
        return process.submit(_read, Path(folder, "crops.h5"), count).result()


def measure() -> list[Row]:
    """Memory at one size, time at two; the largest file takes 12 GB of disk."""
    few, many = _measured(FEW, 128), _measured(MANY, 128)
    fewest, most = _measured(1_000, 64), _measured(1_000_000, 64)
    what = f"{MANY:,} images of 128 px"
    return [
        Row(f"memory that reading {what} takes", many[0], "what they may take", 4.0, "GB", "<= 1"),
        Row(f"a shuffled image of {what}", many[1], f"one of {FEW:,}, held in memory", few[1], "us"),
        Row("a shuffled image of 1,000,000 of 64 px", most[1], "one of 1,000, held in memory", fewest[1], "us"),
    ]
