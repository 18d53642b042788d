"""Crop files to be read at speed."""

from pathlib import Path

import h5py
import numpy as np

from pipeline_steps.crops import SCHEMA_VERSION, stored_size


def write_crops(path: Path, count: int, size: int) -> None:
    """A crop file of noise, without context, every image its own subject."""
    rng = np.random.default_rng(0)
    rotation = np.broadcast_to(np.eye(3, dtype=np.float32), (count, 3, 3))
    with h5py.File(path, "w") as file:
        stored = stored_size(size, 0.0)
        images = file.create_dataset("images", (count, stored, stored, 3), np.uint8, chunks=(1, stored, stored, 3))
        for start in range(0, count, 512):
            part = min(512, count - start)
            images[start : start + part] = rng.integers(0, 255, (part, stored, stored, 3), dtype=np.uint8)
        file["rotation"], file["euler_deg"] = rotation, np.zeros((count, 3), np.float32)
        names = [f"{i:07d}" for i in range(count)]
        file.create_dataset("subject", data=names, dtype=h5py.string_dtype())
        file.create_dataset("source_id", data=names, dtype=h5py.string_dtype())
        file.attrs.update(
            schema_version=SCHEMA_VERSION, dataset="noise", source="{}", crop=f'{{"size": {size}, "context": 0.0}}'
        )
