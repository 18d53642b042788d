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

SIZE, BATCH, READ = 128, 128, 20_000
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


def measure() -> list[Row]:
    """Each in a process of its own."""
    found = {}
    for count in (FEW, MANY):
        with tempfile.TemporaryDirectory() as folder, ProcessPoolExecutor(1, get_context("spawn")) as process:
            write_crops(Path(folder, "crops.h5"), count, SIZE)
            found[count] = process.submit(_read, Path(folder, "crops.h5"), count).result()
    what = f"{MANY:,} images of {SIZE} px"
    return [
        Row(f"memory that reading {what} takes", found[MANY][0], "what they may take", 4.0, "GB", "<= 1"),
        Row(f"a shuffled image of {what}", found[MANY][1], f"one of {FEW:,}, held in memory", found[FEW][1], "us"),
    ]
