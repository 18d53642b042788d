"""BIWI Kinect Head Pose Database: 24 recordings of 20 people who turn their heads in front of a Kinect; 15,678 frames.

Fanelli, Dantone, Gall, Fossati, Van Gool: Random Forests for Real Time 3D Face Analysis, IJCV 2013. Official archive:
data.vision.ee.ethz.ch/cvl/gfanelli/kinect_head_pose_db.tgz, `hpdb/NN/frame_NNNNN_{rgb.png,pose.txt,depth.bin}` with
`hpdb/NN/rgb.cal`. Copies in circulation with face crops as JPEG and without calibration are read too.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar, Literal, NamedTuple

import numpy as np

from pipeline_steps.datasets._archived import ArchivedDataset
from pipeline_steps.datasets.base import Entry, Sample
from pipeline_steps.job.errors import UserError, brief

_HEAD_RADIUS_MM = 120.0
"""Half the side of the box around the recorded head centre: about half the height of an adult's head."""

_RECORDED_TWICE = ("02_21", "03_15", "05_18", "07_22")
_SUBJECT = {recording: subject for subject in _RECORDED_TWICE for recording in subject.split("_")}
"""The four subjects who were recorded twice, according to the data set's readme, by recording."""


class Biwi(ArchivedDataset):
    """The BIWI data set. The two recordings of one person are one subject (`02_21`, ...)."""

    kind: Literal["biwi"] = "biwi"
    members: ClassVar[re.Pattern[str]] = re.compile(r"(^|/)\d\d/(frame_\d{5}_(rgb\.(png|jpg)|pose\.txt)|rgb\.cal)$")

    def entries(self, raw: Path) -> Iterator[Entry]:
        """Every colour frame, recording by recording."""
        root = self.unpacked(raw)
        folders = sorted({pose.parent for pose in root.rglob("frame_*_pose.txt")})
        if not folders:
            raise UserError(f"{root}: no NN/frame_NNNNN_pose.txt in it; it does not have the layout of BIWI")
        for folder in folders:
            camera = _read_calibration(folder / "rgb.cal")
            for image in sorted([*folder.glob("frame_*_rgb.png"), *folder.glob("frame_*_rgb.jpg")]):
                yield Entry(f"{folder.name}/{image.stem.removesuffix('_rgb')}", image, camera)

    def read(self, entry: Entry) -> Sample:
        """Pose and, where the recording has a calibration, the head projected into the image."""
        recording, _, frame = entry.source_id.partition("/")
        rotation, centre = _read_pose(entry.image.with_name(f"{frame}_pose.txt"))
        return Sample(
            subject=_SUBJECT.get(recording, recording),
            rotation=to_project_convention(rotation),
            projected_head=None if entry.label is None else _head_box(centre, entry.label),
        )


def to_project_convention(rotation: np.ndarray) -> np.ndarray:
    """Rotation (..., 3, 3) of pose.txt in the project's convention.

    In pose.txt, x points right, y down and z away from the camera, for camera and head alike; inverting y and z of both
    gives F R F with F = diag(1, -1, -1). Its angles equal those in the literature (Hopenet, FSA-Net, 6DRepNet): with A
    the transpose of R, roll = -atan2(A[1,0], A[0,0]), yaw = -atan2(-A[2,0], hypot(A[2,1], A[2,2])), pitch =
    atan2(A[2,1], A[2,2]).
    """
    flip = np.array([1.0, -1.0, -1.0])
    return np.asarray(rotation * flip[:, None] * flip)


def _read_pose(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Rotation (3, 3) and head centre (3,) in mm, both in the depth camera's frame."""
    try:
        numbers = np.array(path.read_text().split(), float)
    except FileNotFoundError as error:
        raise ValueError(f"{path.name} is missing") from error
    except ValueError as error:
        raise ValueError(f"{path.name} does not consist of numbers ({error})") from error
    if numbers.shape != (12,):
        raise ValueError(f"{path.name} has {len(numbers)} numbers, expected 12")
    return numbers[:9].reshape(3, 3), numbers[9:]


class Calibration(NamedTuple):
    """The colour camera. matrix: (3, 3) intrinsics in pixels.

    rotation (3, 3) and translation (3,) in mm take points from the depth camera's frame to the colour camera's.
    """

    matrix: np.ndarray
    rotation: np.ndarray
    translation: np.ndarray


def _read_calibration(path: Path) -> Calibration | None:
    """Reads rgb.cal: intrinsics (9), distortion (4, all zero), rotation (9), translation (3), size (2).

    None where there is no such file.
    """
    if not path.exists():
        return None
    try:
        numbers = np.array(path.read_text().split(), float)
        return Calibration(numbers[:9].reshape(3, 3), numbers[13:22].reshape(3, 3), numbers[22:25].reshape(3))
    except ValueError as error:
        raise UserError(f"{path}: not a BIWI calibration ({brief(error)}); unpack the archive again") from error


def _head_box(centre: np.ndarray, camera: Calibration) -> np.ndarray:
    """Square box (4,) in pixels around the recorded head centre (3,) in mm."""
    x, y, depth = camera.matrix @ (camera.rotation @ centre + camera.translation)
    radius = _HEAD_RADIUS_MM * camera.matrix[0, 0] / depth
    return np.array([x / depth - radius, y / depth - radius, x / depth + radius, y / depth + radius])
