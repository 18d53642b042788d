"""crops.h5: how `crop_faces` writes it and all later steps read it. No other module knows its layout."""

import json
import math
import mmap
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

import h5py
import numpy as np

from pipeline_steps.images.rejected_file import Rejected
from pipeline_steps.job.errors import UserError

SCHEMA_VERSION = 2

LANDMARKS = 68
"""Landmarks of a face, in the order of iBUG; other sets of points are not stored."""


def stored_size(size: int, context: float) -> int:
    """Side in pixels of a crop of `size` with `context` (a share of `size`) on each side; the crop is its centre."""
    return size + 2 * math.ceil(size * context)


@dataclass(frozen=True)
class Crop:
    """A crop and its label.

    image: uint8 (T, T, 3) with its context. rotation: (3, 3); euler_deg: (3,) yaw, pitch, roll in degrees; both NaN
    where unknown. landmarks: (68, 2) x to the right and y down, as shares of the crop's side from its upper left
    corner, NaN where a point is hidden; None where the data set gives none. mirror_of: source id of the image whose
    mirror image this is, empty where it is none.
    """

    source_id: str
    image: np.ndarray
    subject: str
    rotation: np.ndarray
    euler_deg: np.ndarray
    landmarks: np.ndarray | None = None
    mirror_of: str = ""


def write_crops(
    path: Path, crops: Iterable[Crop | Rejected], count: int, dataset: str, source: str, rule: Mapping[str, Any]
) -> list[Rejected]:
    """Write at most `count` crops and their labels in the order given; return the rejected images.

    source: file name and SHA-256 of the archive, as JSON. rule: how the crops are cut; its `size` and `context`
    determine their size in pixels. The file contains no timestamps, so that equal crops give equal bytes. Landmarks and
    mirror images are written only where there are any. Raises UserError where the file system refuses a lock that the
    environment asks for.
    """
    rejected: list[Rejected] = []
    subjects: list[str] = []
    source_ids: list[str] = []
    mirror_of: list[str] = []
    stored = stored_size(rule["size"], rule["context"])
    rotation, euler_deg = np.empty((count, 3, 3), np.float32), np.empty((count, 3), np.float32)
    landmarks = np.full((count, LANDMARKS, 2), np.nan, np.float32)
    with _open(path, "w") as file:
        file.attrs["schema_version"] = SCHEMA_VERSION
        file.attrs["dataset"] = dataset
        file.attrs["source"] = source
        file.attrs["crop"] = json.dumps(rule, sort_keys=True)
        file.attrs["euler_convention"] = "yaw, pitch, roll in degrees; R = Rx(pitch) Ry(yaw) Rz(roll) as 300W-LP"
        shape = (stored, stored, 3)
        images = file.create_dataset(
            "images", (count, *shape), "u1", chunks=(1, *shape), maxshape=(count, *shape), track_times=False
        )
        for item in crops:
            if isinstance(item, Rejected):
                rejected.append(item)
                continue
            row = len(source_ids)
            images[row], rotation[row], euler_deg[row] = item.image, item.rotation, item.euler_deg
            if item.landmarks is not None and item.landmarks.shape == landmarks.shape[1:]:
                landmarks[row] = item.landmarks
            subjects.append(item.subject)
            source_ids.append(item.source_id)
            mirror_of.append(item.mirror_of)
        kept = len(source_ids)
        images.resize(kept, axis=0)
        file.create_dataset("rotation", data=rotation[:kept], track_times=False)
        file.create_dataset("euler_deg", data=euler_deg[:kept], track_times=False)
        if np.isfinite(landmarks[:kept]).any():
            file.create_dataset("landmarks", data=landmarks[:kept], track_times=False)
        texts = {"subject": subjects, "source_id": source_ids} | ({"mirror_of": mirror_of} if any(mirror_of) else {})
        for name, values in texts.items():
            file.create_dataset(name, data=values, dtype=h5py.string_dtype(), track_times=False)
    return rejected


def _open(path: Path, mode: Literal["r", "w"]) -> h5py.File:
    """An HDF5 file, opened without a lock: some network file systems have none.

    None is needed: a crop file is written under another name by one process, and never again once it has its own.
    """
    try:
        return h5py.File(path, mode, libver="latest" if mode == "w" else None, locking=False)
    except OSError as error:
        if "unable to lock file" not in str(error):
            raise
        raise UserError(
            f"{path}: the file system refuses the lock that the environment variable HDF5_USE_FILE_LOCKING asks for; "
            "unset it, or set it to FALSE"
        ) from error


class CropFile:
    """An open crops.h5. Use it as a context manager, or keep it open for the life of the process.

    dataset: name of the data set; source: file name and SHA-256 of its archive, if any; crop_rule: how the crops were
    cut. size: side of a crop in pixels; stored: side of a crop with its context, from which training cuts its windows.
    rotation: float32 (N, 3, 3) in the project's convention. euler_deg: float32 (N, 3) yaw, pitch, roll in degrees as
    the data set publishes them. Both are NaN where a label is unknown. landmarks: float32 (N, 68, 2) as in `Crop`, None
    where no image has any. mirror_of: source id (N) of the image that each one mirrors, or empty.
    Raises UserError where the file is missing, cannot be read, is corrupt or of another schema version.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self.file = _open(path, "r")
            version = int(self.file.attrs["schema_version"])
            self.crop_rule: dict[str, Any] = json.loads(self.file.attrs["crop"])
            self.dataset = str(self.file.attrs["dataset"])
            self.source: dict[str, str] = json.loads(self.file.attrs["source"])
            self.stored = int(self.file["images"].shape[1])
            self.offsets = _offsets(self.file["images"])
            self.size = int(self.crop_rule["size"])
            self.rotation: np.ndarray = self.file["rotation"][:]
            self.euler_deg: np.ndarray = self.file["euler_deg"][:]
            self.subjects: list[str] = list(self.file["subject"].asstr()[:])
            self.source_ids: list[str] = list(self.file["source_id"].asstr()[:])
            self.landmarks: np.ndarray | None = self.file["landmarks"][:] if "landmarks" in self.file else None
            mirrors = list(self.file["mirror_of"].asstr()[:]) if "mirror_of" in self.file else []
            self.mirror_of: list[str] = mirrors or [""] * len(self.source_ids)
            with path.open("rb") as file:
                content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            length = self.stored**2 * 3
            self.windows = np.ndarray(len(content) - length + 1, f"V{length}", content, strides=(1,))
            """Overlapping views of the file, one starting at every byte, each as long as an image."""
        except FileNotFoundError as error:
            raise UserError(f"{path}: no such file; run snakemake again") from error
        except (OSError, KeyError, ValueError) as error:
            if isinstance(error, OSError) and error.errno:  # of the disk or the network, not of what the file holds
                reason = os.strerror(error.errno)
                raise UserError(f"{path}: cannot be read ({reason}); check its permissions and the disk") from error
            raise UserError(f"{path}: not a complete crop file ({error}); delete it and run snakemake again") from error
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
        """Crops uint8 (n, size, size, 3) of the given rows, in their order."""
        return self._read(rows, (self.stored - self.size) // 2)

    def read_with_context(self, rows: np.ndarray) -> np.ndarray:
        """Crops with their context, uint8 (n, stored, stored, 3), of the given rows, in their order."""
        return self._read(rows, 0)

    def _read(self, rows: np.ndarray, edge: int) -> np.ndarray:
        stored = self.windows[self.offsets[rows]].view(np.uint8).reshape(len(rows), self.stored, self.stored, 3)
        inner = slice(edge, self.stored - edge)
        return np.ascontiguousarray(stored[:, inner, inner])


def _offsets(images: h5py.Dataset) -> np.ndarray:
    """The byte offset of each image in the file; ValueError where images are not stored uncompressed, one per chunk.

    Reading random images at these offsets takes a third of the time of h5py's selections.
    """
    if images.chunks != (1, *images.shape[1:]) or images.compression or images.fletcher32 or images.shuffle:
        raise ValueError("its images are not stored uncompressed, one per chunk")
    offsets = np.full(len(images), -1, np.int64)

    def record(chunk: h5py.h5d.StoreInfo) -> None:
        offsets[chunk.chunk_offset[0]] = chunk.byte_offset

    images.id.chunk_iter(record)
    if (offsets < 0).any():
        raise ValueError("some images are missing")
    return offsets
