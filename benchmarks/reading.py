"""Random batches from a crop file, against the same bytes in a memory-mapped array of numpy."""

import tempfile
from pathlib import Path

import h5py
import numpy as np

from benchmarks.crop_files import write_noise
from benchmarks.measure import Row, rates
from pipeline_steps.images.crop_file import CropFile

BATCH = 64


def _row(size: int, count: int) -> Row:
    order = np.random.default_rng(1)

    def batch() -> np.ndarray:
        return order.choice(count, BATCH, replace=False)

    with tempfile.TemporaryDirectory() as folder:
        path, copy = Path(folder, "crops.h5"), Path(folder, "images.npy")
        write_noise(path, count, size)
        with h5py.File(path, locking=False) as file:
            np.save(copy, file["images"][:])
        mapped = np.load(copy, mmap_mode="r")
        with CropFile(path) as crops:
            ours, theirs = rates(lambda: len(crops.read(batch())), lambda: len(np.ascontiguousarray(mapped[batch()])))
    what = f"shuffled batches of {BATCH} crops of {size} px"
    return Row(what, ours, "memory-mapped numpy", theirs, "images/s", ">= 0.8")


def measure() -> list[Row]:
    """Crops of 64 px and of 128 px."""
    return [_row(64, 16000), _row(128, 8000)]
