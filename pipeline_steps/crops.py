"""Reading crops.h5, the file that `crop_faces` writes and all later steps read."""

import json
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import h5py
import numpy as np

from pipeline_steps.errors import UserError

SCHEMA_VERSION = 1


class CropFile:
    """An open crops.h5. Use as a context manager, or keep it open for a process's life.

    size: side of the crops in pixels. rotation: float32 (N, 3, 3) in the project's convention.
    euler_deg: float32 (N, 3) yaw, pitch, roll in degrees as the data set publishes them.
    Raises UserError where the file is missing, cut off or of another schema.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self.file = h5py.File(path, "r")
            version = int(self.file.attrs["schema_version"])
            self.size = int(self.file["images"].shape[1])
            self.rotation: np.ndarray = self.file["rotation"][:]
            self.euler_deg: np.ndarray = self.file["euler_deg"][:]
            self.subjects: list[str] = list(self.file["subject"].asstr()[:])
            self.source_ids: list[str] = list(self.file["source_id"].asstr()[:])
            self.crop_rule: dict[str, Any] = json.loads(self.file.attrs["crop"])
        except (OSError, KeyError, ValueError) as error:
            raise UserError(f"{path}: not a whole crop file ({error}); delete it and run snakemake again") from error
        if version != SCHEMA_VERSION:
            raise UserError(
                f"{path}: schema version {version}, expected {SCHEMA_VERSION}; delete it and run snakemake again"
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.file.close()

    def __len__(self) -> int:
        return len(self.source_ids)

    def read(self, rows: np.ndarray) -> np.ndarray:
        """Images uint8 (n, S, S, 3) of the given rows, in their order."""
        stored = self.file["images"]
        images = np.empty((len(rows), *stored.shape[1:]), np.uint8)
        for place, row in enumerate(rows):  # fifty times as fast as one selection of many rows
            images[place] = stored[row]
        return images
