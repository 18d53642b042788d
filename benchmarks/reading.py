"""Random batches from a crop file, against the same bytes in a memory-mapped array of numpy."""

import tempfile
from functools import partial
from pathlib import Path

import h5py
import numpy as np

from benchmarks.crop_files import write_crops
from benchmarks.measure import Row, rate
from pipeline_steps.crops import CropFile


def measure() -> list[Row]:
    """Batches of 64 crops of 64 px and of 128 px."""
    rows = []
    order = np.random.default_rng(1)
    for size, count in ((64, 16000), (128, 8000)):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "crops.h5")
            write_crops(path, count, size)
            with h5py.File(path) as file:
                np.save(Path(folder, "images.npy"), file["images"][:])
            mapped = np.load(Path(folder, "images.npy"), mmap_mode="r")

            def some(count: int = count) -> np.ndarray:
                return order.choice(count, 64, replace=False)

            def by_numpy(mapped: np.ndarray = mapped) -> int:
                return len(np.ascontiguousarray(mapped[some()]))

            with CropFile(path) as crops:
                ours = rate(partial(lambda crops: len(crops.read(some())), crops))
            what = f"shuffled batches of 64 crops of {size} px"
            rows.append(Row(what, ours, "memory-mapped numpy", rate(by_numpy), "images/s", ">= 0.8"))
    return rows
