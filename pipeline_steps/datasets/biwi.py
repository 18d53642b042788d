"""BIWI Kinect Head Pose Database: 24 recordings of 20 people who turn their heads before a Kinect, 15,678 frames.

Fanelli, Dantone, Gall, Fossati, Van Gool: Random Forests for Real Time 3D Face Analysis, IJCV 2013. Official archive:
data.vision.ee.ethz.ch/cvl/gfanelli/kinect_head_pose_db.tgz, `hpdb/NN/frame_NNNNN_{rgb.png,pose.txt,depth.bin}` with
`hpdb/NN/rgb.cal`. A frame may also be a JPEG, and a face crop where there is no calibration.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar, Literal, NamedTuple

import numpy as np

from pipeline_steps.datasets._archives import UNPACKED, unpack
from pipeline_steps.datasets.base import HeadPoseDataset, Sample
from pipeline_steps.errors import UserError

_WANTED = re.compile(r"(^|/)\d\d/(frame_\d{5}_(rgb\.(png|jpg)|pose\.txt)|rgb\.cal)$")
_HEAD_RADIUS_MM = 120.0
"""Half the side of the box around the recorded head centre: about half the height of an adult's head."""


_TWICE = ("02_21", "03_15", "05_18", "07_22")
_PERSON = {recording: person for person in _TWICE for recording in person.split("_")}
"""Four of the 20 people were recorded twice; which ones, the archive does not say. Found by looking at all 24."""


class Biwi(HeadPoseDataset):
    """The BIWI data set. The person is the subject, so that people recorded twice (`02_21`, ...) stay on one side."""

    kind: Literal["biwi"] = "biwi"
    needs_archive: ClassVar[bool] = True

    def acquire(self, raw: Path, archive: Path | None) -> None:
        """Unpack colour frames, poses and calibrations; the depth maps stay in the archive."""
        assert archive is not None
        unpack(archive, raw, lambda name: _WANTED.search(name) is not None)

    def samples(self, raw: Path) -> Iterator[Sample]:
        """Every colour frame that has a pose, recording by recording; a broken pose file gives NaN."""
        root = (raw / UNPACKED).resolve()
        folders = sorted({pose.parent for pose in root.rglob("frame_*_pose.txt")})
        if not folders:
            raise UserError(f"{root}: no NN/frame_NNNNN_pose.txt in it; this is not the layout of BIWI")
        for folder in folders:
            calibration = _read_calibration(folder / "rgb.cal")
            for picture in sorted([*folder.glob("frame_*_rgb.png"), *folder.glob("frame_*_rgb.jpg")]):
                frame = picture.stem.removesuffix("_rgb")
                pose = folder / f"{frame}_pose.txt"
                if not pose.exists():
                    continue
                rotation, centre = _read_pose(pose)
                yield Sample(
                    source_id=f"{folder.name}/{frame}",
                    image=picture,
                    rotation=to_project_convention(rotation),
                    subject=_PERSON.get(folder.name, folder.name),
                    box=None if calibration is None else _head_box(centre, calibration),
                )


def to_project_convention(rotation: np.ndarray) -> np.ndarray:
    """Rotation (..., 3, 3) of pose.txt in the project's convention.

    pose.txt has x to the right, y down and z away from the camera in camera and head alike; turning y and z round in
    both gives F R F with F = diag(1, -1, -1). Its angles are those that the literature reports (Hopenet, FSA-Net,
    6DRepNet): with A the transpose of R, roll = -atan2(A[1,0], A[0,0]), yaw = -atan2(-A[2,0], hypot(A[2,1], A[2,2])),
    pitch = atan2(A[2,1], A[2,2]).
    """
    flip = np.array([1.0, -1.0, -1.0])
    return np.asarray(rotation * flip[:, None] * flip)


def _read_pose(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Rotation (3, 3) and head centre (3,) in mm, both in the depth camera's frame; NaN where the file is broken."""
    try:
        numbers = np.array(path.read_text().split(), float)
    except ValueError:
        numbers = np.empty(0)
    if numbers.shape != (12,):
        return np.full((3, 3), np.nan), np.full(3, np.nan)
    return numbers[:9].reshape(3, 3), numbers[9:]


class Calibration(NamedTuple):
    """The colour camera. matrix: (3, 3) intrinsics in pixels; rotation (3, 3) and translation (3,) in mm from depth."""

    matrix: np.ndarray
    rotation: np.ndarray
    translation: np.ndarray


def _read_calibration(path: Path) -> Calibration | None:
    """rgb.cal: intrinsics (9), distortion (4, all zero), rotation (9), translation (3), size (2); None without one."""
    if not path.exists():
        return None
    try:
        numbers = np.array(path.read_text().split(), float)
        return Calibration(numbers[:9].reshape(3, 3), numbers[13:22].reshape(3, 3), numbers[22:25].reshape(3))
    except ValueError as error:
        raise UserError(f"{path}: not a calibration of BIWI ({error}); unpack the archive again") from error


def _head_box(centre: np.ndarray, camera: Calibration) -> np.ndarray:
    """Square box (4,) in pixels around the recorded head centre (3,) in mm."""
    x, y, depth = camera.matrix @ (camera.rotation @ centre + camera.translation)
    radius = _HEAD_RADIUS_MM * camera.matrix[0, 0] / depth
    return np.array([x / depth - radius, y / depth - radius, x / depth + radius, y / depth + radius])
