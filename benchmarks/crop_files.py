"""Crop files to be read at speed."""

from pathlib import Path

import numpy as np

from pipeline_steps.images.crop_file import Crop, write_crops


def write_noise(path: Path, count: int, size: int) -> None:
    """A crop file of noise, without context, every image its own subject."""
    rng, front = np.random.default_rng(0), np.eye(3, dtype=np.float32)
    names = (f"{index:07d}" for index in range(count))
    crops = (
        Crop(name, rng.integers(0, 255, (size, size, 3), dtype=np.uint8), name, front, np.zeros(3)) for name in names
    )
    write_crops(path, crops, count, "noise", "{}", {"size": size, "context": 0.0})
