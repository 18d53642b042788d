"""Training data as it grows: the memory of the process that reads it, and the time an image takes, epoch by epoch."""

import re
import tempfile
import time
from multiprocessing import get_context
from pathlib import Path

from benchmarks.crop_files import write_noise
from benchmarks.measure import Row
from pipeline_steps.job.worker_pool import worker_pool
from pipeline_steps.training.data import CropDataset, train_loader

BATCH, LEAST = 128, 20_000
FEW, MANY = 10_000, 122_450
"""LEAST: images of an epoch, where there are fewer; MANY: the images of 300W-LP."""


def _private_gb() -> float:
    """Memory of this process that no file backs, in GB."""
    (kilobytes,) = re.findall(r"RssAnon:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return int(kilobytes) / 1e6


def _read(crops: Path, count: int) -> tuple[float, float, float]:
    """Most memory in GB beyond what the process began with; microseconds an image in the first epoch, and the second.

    In the first, every page of the file is touched for the first time.
    """
    before = most = _private_gb()
    data = CropDataset(crops, [f"{index:07d}" for index in range(count)], True)
    loader = train_loader(data, BATCH, 0, max(count, LEAST))
    times = []
    for _ in range(2):
        batches = iter(loader)
        next(batches)  # draws the epoch's order
        start, done = time.perf_counter(), 0
        for batch in batches:
            done += len(batch["images"])
            if done % (100 * BATCH) == 0:
                most = max(most, _private_gb())
        times.append(1e6 * (time.perf_counter() - start) / done)
    return most - before, times[0], times[1]


def _measured(count: int, size: int) -> tuple[float, float, float]:
    """As `_read`, in a process of its own."""
    with tempfile.TemporaryDirectory() as folder, worker_pool(1, get_context("spawn")) as process:
        write_noise(Path(folder, "crops.h5"), count, size)
        return process.submit(_read, Path(folder, "crops.h5"), count).result()


def measure() -> list[Row]:
    """Memory at one size, time at two; the largest file takes 12 GB of disk."""
    few, many = _measured(FEW, 128), _measured(MANY, 128)
    fewest, most = _measured(1_000, 64), _measured(1_000_000, 64)
    memory = f"memory that reading {MANY:,} images of 128 px takes"
    small = "a shuffled image of 1,000,000 of 64 px"
    large = f"a shuffled image of {MANY:,} of 128 px"
    return [
        Row(memory, many[0], "what they may take", 4.0, "GB", "<= 1"),
        Row(f"{large}, first epoch", many[1], f"one of {FEW:,}, held in memory", few[2], "us"),
        Row(f"{large}, later epochs", many[2], f"one of {FEW:,}, held in memory", few[2], "us"),
        Row(f"{small}, first epoch", most[1], "one of 1,000, held in memory", fewest[2], "us"),
        Row(f"{small}, later epochs", most[2], "one of 1,000, held in memory", fewest[2], "us"),
    ]
