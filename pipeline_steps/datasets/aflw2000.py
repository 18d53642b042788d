"""AFLW2000-3D: 2,000 photographs in the wild with poses from fitted 3D models; the field's usual test set.

Zhu, Lei, Liu, Shi, Li: Face Alignment Across Large Poses: A 3D Solution, CVPR 2016. Official archive AFLW2000-3D.zip
(3DDFA project page): `AFLW2000/imageNNNNN.jpg` (450 x 450) with `.mat` beside it.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np

from pipeline_steps.datasets._archives import UNPACKED, unpack
from pipeline_steps.datasets.base import HeadPoseDataset, Sample
from pipeline_steps.errors import UserError
from pipeline_steps.pose.geometry import euler_to_matrix

_WANTED = re.compile(r"(^|/)image\d{5}\.(jpg|mat)$")


class Aflw2000(HeadPoseDataset):
    """The AFLW2000-3D data set. It names nobody: every image is its own subject."""

    kind: Literal["aflw2000"] = "aflw2000"
    needs_archive: ClassVar[bool] = True

    def acquire(self, raw: Path, archive: Path | None) -> None:
        """Unpack images and annotations."""
        assert archive is not None
        unpack(archive, raw, lambda name: _WANTED.search(name) is not None)

    def samples(self, raw: Path) -> Iterator[Sample]:
        """Every image with its annotation, by name; a broken annotation gives NaN.

        Pose_Para starts with pitch, yaw, roll in radians. The landmarks are the 68 of `pt3d_68`, which lie in the
        picture's pixels for every image; `pt2d` has 21 points, and -1 where one is hidden.
        """
        root = (raw / UNPACKED).resolve()
        annotations = sorted(path for path in root.rglob("image*.mat") if _WANTED.search(path.as_posix()))
        if not annotations:
            raise UserError(f"{root}: no imageNNNNN.mat in it; this is not the layout of AFLW2000-3D")
        for path in annotations:
            euler_deg, landmarks = _read_annotation(path)
            yield Sample(
                source_id=path.stem,
                image=path.with_suffix(".jpg"),
                rotation=euler_to_matrix(euler_deg),
                subject=path.stem,
                euler_deg=euler_deg,
                landmarks=landmarks,
            )


def _read_annotation(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Yaw, pitch, roll (3,) in degrees and landmarks (68, 2) in pixels; NaN where the file is broken."""
    from scipy.io import loadmat

    try:
        values = loadmat(path, variable_names=["Pose_Para", "pt3d_68"])
        pitch, yaw, roll = np.degrees(values["Pose_Para"][0, :3].astype(float))
        return np.array([yaw, pitch, roll]), values["pt3d_68"][:2].T.astype(float)
    except Exception:  # whatever SciPy makes of a damaged file
        return np.full(3, np.nan), np.full((68, 2), np.nan)
