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

from pipeline_steps.datasets._archived import ArchivedDataset
from pipeline_steps.datasets.base import Entry, Sample
from pipeline_steps.job.errors import UserError, brief

_HEAD_RADIUS_MM = 120.0
"""Half the side of the box around the recorded head centre: about half the height of an adult's head."""


_TWICE = ("02_21", "03_15", "05_18", "07_22")
_PERSON = {recording: person for person in _TWICE for recording in person.split("_")}
"""Four of the 20 people were recorded twice, as the data set's readme lists them."""


class Biwi(ArchivedDataset):
    """The BIWI data set. The person is the subject, so that people recorded twice (`02_21`, ...) stay on one side."""

    kind: Literal["biwi"] = "biwi"
    members: ClassVar[re.Pattern[str]] = re.compile(r"(^|/)\d\d/(frame_\d{5}_(rgb\.(png|jpg)|pose\.txt)|rgb\.cal)$")

    def entries(self, raw: Path) -> Iterator[Entry]:
        """Every colour frame, recording by recording; the depth maps stay in the archive."""
        root = self.unpacked(raw)
        folders = sorted({pose.parent for pose in root.rglob("frame_*_pose.txt")})
        if not folders:
            raise UserError(f"{root}: no NN/frame_NNNNN_pose.txt in it; this is not the layout of BIWI")
        for folder in folders:
            camera = _read_calibration(folder / "rgb.cal")
            for picture in sorted([*folder.glob("frame_*_rgb.png"), *folder.glob("frame_*_rgb.jpg")]):
                yield Entry(f"{folder.name}/{picture.stem.removesuffix('_rgb')}", picture, camera)

    def read(self, entry: Entry) -> Sample:
        """Pose and, where the recording has a calibration, the head projected into the picture."""
        recording, _, frame = entry.source_id.partition("/")
        rotation, centre = _read_pose(entry.image.with_name(f"{frame}_pose.txt"))
        return Sample(
            subject=_PERSON.get(recording, recording),
            rotation=to_project_convention(rotation),
            projected_head=None if entry.label is None else _head_box(centre, entry.label),
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
    """Rotation (3, 3) and head centre (3,) in mm, both in the depth camera's frame."""
    try:
        numbers = np.array(path.read_text().split(), float)
    except FileNotFoundError as error:
        raise ValueError(f"{path.name} is missing") from error
    except ValueError as error:
        raise ValueError(f"{path.name} holds something else than numbers ({error})") from error
    if numbers.shape != (12,):
        raise ValueError(f"{path.name} holds {len(numbers)} numbers, expected 12")
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
        raise UserError(f"{path}: not a calibration of BIWI ({brief(error)}); unpack the archive again") from error


def _head_box(centre: np.ndarray, camera: Calibration) -> np.ndarray:
    """Square box (4,) in pixels around the recorded head centre (3,) in mm."""
    x, y, depth = camera.matrix @ (camera.rotation @ centre + camera.translation)
    radius = _HEAD_RADIUS_MM * camera.matrix[0, 0] / depth
    return np.array([x / depth - radius, y / depth - radius, x / depth + radius, y / depth + radius])
