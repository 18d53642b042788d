"""The `.mat` annotations that 300W-LP and AFLW2000-3D have in common."""

import struct
import zlib
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np

_MATRIX, _COMPRESSED = 14, 15
_STORED_AS = {1: "i1", 2: "u1", 3: "<i2", 4: "<u2", 5: "<i4", 6: "<u4", 7: "<f4", 9: "<f8", 12: "<i8", 13: "<u8"}
_NUMERIC = range(6, 16)
"""Classes of dense numeric matrices; lower numbers are cells, structures, objects, text and sparse matrices."""

_HIDDEN = -1.0
"""Coordinate of a point that annotators could not see, as in (-1, -1) and (-1, 452)."""

_FEWEST = 34
"""Known landmarks of 68: the box of fewer says little about where the head is."""

_COMPLEX = 8
_LARGEST = 1 << 24
"""Bytes; limit on a decompressed variable, as a guard against hostile files. Real ones are below 10,000."""


class Annotation(NamedTuple):
    """euler_deg: yaw, pitch, roll (3,) in degrees. landmarks: (68, 2) in pixels, NaN where hidden.

    pt2d: (K, 2) in pixels, the field of that name as it stands, with -1 for hidden points; None where there is none.
    """

    euler_deg: np.ndarray
    landmarks: np.ndarray
    pt2d: np.ndarray | None


def read_annotation(path: Path, landmarks: str) -> Annotation:
    """The annotation in one image's `.mat`.

    landmarks: name of the field with the landmarks (2 or 3, 68). Pose_Para starts with pitch, yaw, roll in radians.
    Raises ValueError that says what is missing or wrong.
    """
    shapes, names = {"Pose_Para": (1, 3), landmarks: (2, 68)}, {"Pose_Para", landmarks, "pt2d"}
    try:
        fields = dict(islice(_matrices(path.read_bytes(), names), len(names)))
    except FileNotFoundError as error:
        raise ValueError(f"{path.name} is missing") from error
    except (ValueError, struct.error, zlib.error) as error:
        raise ValueError(f"{path.name} is not a readable .mat file ({error})") from error
    raw = _points(fields.get("pt2d"))
    for name, (rows, columns) in shapes.items():
        value = fields.get(name)
        if value is None:
            raise ValueError(f"{path.name} has no {name}")
        if value.ndim != 2 or value.shape[0] < rows or value.shape[1] < columns:
            raise ValueError(f"{path.name}: {name} has shape {value.shape}, expected {(rows, columns)} numbers")
        fields[name] = value[:rows, :columns].astype(float)
        if not np.isfinite(fields[name]).all():
            raise ValueError(f"{path.name}: {name} contains NaN or infinity")
    pitch, yaw, roll = np.degrees(fields["Pose_Para"][0])
    points = fields[landmarks].T
    hidden = (points == _HIDDEN).any(1)
    if (known := len(points) - hidden.sum()) < _FEWEST:
        raise ValueError(f"{path.name}: {landmarks} has {known} of {len(points)} landmarks, the others are hidden (-1)")
    return Annotation(np.array([yaw, pitch, roll]), np.where(hidden[:, None], np.nan, points), raw)


def _points(pt2d: np.ndarray | None) -> np.ndarray | None:
    """Points (K, 2) of a field (2 or more, K), None where it is missing or something else."""
    if pt2d is None or pt2d.ndim != 2 or len(pt2d) < 2 or not pt2d.size or not np.isfinite(pt2d).all():
        return None
    return pt2d[:2].T.astype(float)


def _matrices(content: bytes, names: set[str]) -> Iterator[tuple[str, np.ndarray]]:
    """The named variables of a MATLAB 5 file; an empty array in place of anything but a dense matrix of real numbers.

    SciPy's reader is not used because an unknown storage type crashes it with a segmentation fault.
    """
    if content[124:128] != b"\0\1IM":
        raise ValueError("its header is not that of MATLAB 5")
    for kind, data in _elements(content[128:]):
        if kind == _COMPRESSED:
            kind, data = next(_elements(zlib.decompressobj().decompress(data, _LARGEST)), (0, b""))
        parts = list(islice(_elements(data), 4)) if kind == _MATRIX else []
        if len(parts) < 4 or (name := parts[2][1].decode("latin-1")) not in names:
            continue
        (_, flags), (_, shape), _, (stored, numbers) = parts
        matrix_class, bits = struct.unpack_from("2B", flags)
        if matrix_class not in _NUMERIC or bits & _COMPLEX or stored not in _STORED_AS:
            yield name, np.empty(0)
        else:
            yield name, np.frombuffer(numbers, _STORED_AS[stored]).reshape(np.frombuffer(shape, "<i4"), order="F")


def _elements(content: bytes) -> Iterator[tuple[int, bytes]]:
    """Type and content of every element of a MATLAB 5 file, or of a matrix in it."""
    position = 0
    while position < len(content):
        kind, size = struct.unpack_from("<2I", content, position)
        start = position + 8
        if kind >> 16:  # an element of four bytes or fewer is stored within its own tag
            kind, size, start = kind & 0xFFFF, kind >> 16, position + 4
        end = start + size
        if end > len(content):
            raise ValueError("it is truncated")
        yield kind, content[start:end]
        position = end if kind == _COMPRESSED else end + -(end - position) % 8
