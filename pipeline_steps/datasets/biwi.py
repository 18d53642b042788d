"""BIWI Kinect Head Pose Database: 24 recordings of 20 people who turn their heads in front of a Kinect; 15,678 frames.

Fanelli, Dantone, Gall, Fossati, Van Gool: Random Forests for Real Time 3D Face Analysis, IJCV 2013. Official archive:
data.vision.ee.ethz.ch/cvl/gfanelli/kinect_head_pose_db.tgz, `hpdb/NN/frame_NNNNN_{rgb.png,pose.txt,depth.bin}` with
`hpdb/NN/rgb.cal`. Copies in circulation are read too: face crops as JPEG without calibration, and frames in one folder
(`faces_0/NN/frame_NNNNN_rgb.png`) with their poses in another (`db_annotations/NN/frame_NNNNN_pose.bin`).
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar, Literal, NamedTuple

import numpy as np
from pydantic import Field

from pipeline_steps.datasets._archived import ArchivedDataset
from pipeline_steps.datasets.base import Entry, Sample
from pipeline_steps.job.errors import UserError, brief
from pipeline_steps.pose.view_ray import about_view_ray

_HEAD_RADIUS_MM = 120.0
"""Half the side of the box around the recorded head centre: about half the height of an adult's head."""

_FLIP = np.array([1.0, -1.0, -1.0])
"""From the frame of pose.txt, x right, y down, z away from the camera, to the project's, and back."""

_RECORDED_TWICE = ("02_21", "03_15", "05_18", "07_22")
_SUBJECT = {recording: subject for subject in _RECORDED_TWICE for recording in subject.split("_")}
"""The four subjects who were recorded twice, according to the data set's readme, by recording."""


class Biwi(ArchivedDataset):
    """The BIWI data set. The two recordings of one person are one subject (`02_21`, ...).

    labels: `camera` are the rotations as published, in the depth camera's frame. A crop does not show these: heads are
    6 degrees off the optical axis on average and up to 16, and a crop does not tell where in the frame it was cut out.
    `view_ray` are the same rotations about the ray from the head to the camera (`pipeline_steps.pose.view_ray`): to the
    colour camera where the recording has its calibration, otherwise to the depth camera, 28 mm beside it and rotated by
    1 degree, which makes some 2 degrees, nearly the same ones in all frames of a recording.

    Either holds for training and testing alike. Errors by one cannot be compared with errors by the other; published
    ones are by `camera`. (A head that turns moves its centre to the same side, so that labels about the ray spread by
    7% more, and errors with them.) A test by `view_ray` uses the label's head centre, but only to express the label:
    the model sees the crop and nothing else. What a deployed model has not is that centre; where its camera is
    calibrated, the crop's place in the image rotates its answer back to the camera's frame (`about_camera`).
    """

    kind: Literal["biwi"] = "biwi"
    labels: Literal["camera", "view_ray"] = Field(
        default="camera",
        description="camera: rotations in the depth camera's frame, as published; view_ray: about the ray from the "
        "head to the camera, which is what a crop shows. Errors by one cannot be compared with errors by the other",
    )
    members: ClassVar[re.Pattern[str]] = re.compile(
        r"(^|/)\d\d/(frame_\d{5}_(rgb\.(png|jpg)|pose\.(txt|bin))|rgb\.cal)$"
    )

    def entries(self, raw: Path) -> Iterator[Entry]:
        """Every colour frame, recording by recording."""
        poses = {_frame(path): path for ending in ("bin", "txt") for path in self.files(raw, f"frame_*_pose.{ending}")}
        if not poses:
            names = "no NN/frame_NNNNN_pose.txt or _pose.bin in it"
            raise UserError(f"{self.unpacked(raw)}: {names}; it does not have the layout of BIWI")
        recordings = {name.partition("/")[0] for name in poses}
        images = [path for ending in ("png", "jpg") for path in self.files(raw, f"frame_*_rgb.{ending}")]
        cameras: dict[Path, Calibration | None] = {}
        for image in sorted(images):
            folder = image.parent
            if folder.name not in recordings:
                continue
            if folder not in cameras:
                cameras[folder] = _read_calibration(folder / "rgb.cal")
            name = _frame(image)
            beside = image.with_name(f"{name.partition('/')[2]}_pose.txt")
            yield Entry(name, image, (poses.get(name, beside), cameras[folder]))

    def read(self, entry: Entry) -> Sample:
        """Pose and, where the recording has a calibration, the head projected into the image."""
        recording = entry.source_id.partition("/")[0]
        path, camera = entry.label
        rotation, centre = (_read_pose if path.suffix == ".txt" else _read_binary_pose)(path)
        label = to_project_convention(rotation)
        return Sample(
            subject=_SUBJECT.get(recording, recording),
            rotation=label if self.labels == "camera" else _about_view_ray(label, centre, camera),
            projected_head=None if camera is None else _head_box(centre, camera),
        )


def _frame(path: Path) -> str:
    """`NN/frame_NNNNN`, which a frame's image and its pose have in common, wherever they lie."""
    return f"{path.parent.name}/{path.stem.rpartition('_')[0]}"


def to_project_convention(rotation: np.ndarray) -> np.ndarray:
    """Rotation (..., 3, 3) of pose.txt in the project's convention.

    In pose.txt, x points right, y down and z away from the camera, for camera and head alike; inverting y and z of both
    gives F R F with F = diag(1, -1, -1). Its angles equal those in the literature (Hopenet, FSA-Net, 6DRepNet): with A
    the transpose of R, roll = -atan2(A[1,0], A[0,0]), yaw = -atan2(-A[2,0], hypot(A[2,1], A[2,2])), pitch =
    atan2(A[2,1], A[2,2]).
    """
    return np.asarray(rotation * _FLIP[:, None] * _FLIP)


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


def _read_binary_pose(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Rotation (3, 3) and head centre (3,) in mm as in pose.txt, from six little-endian float32 numbers.

    These are the head's centre in mm and three angles in degrees: R = Rz(c) Ry(b) Rx(a), each with the usual sense
    of rotation, is the matrix of pose.txt. (SciPy calls this order "xyz".)
    """
    content = path.read_bytes()
    if len(content) != 24:
        raise ValueError(f"{path.name} has {len(content)} bytes, expected 24, which are 6 numbers")
    numbers = np.frombuffer(content, "<f4").astype(float)
    if not np.isfinite(numbers).all():
        raise ValueError(f"{path.name} contains NaN or infinity")
    (ca, cb, cc), (sa, sb, sc) = (f(np.radians(numbers[3:])) for f in (np.cos, np.sin))
    x = np.array([[1, 0, 0], [0, ca, -sa], [0, sa, ca]])
    y = np.array([[cb, 0, sb], [0, 1, 0], [-sb, 0, cb]])
    z = np.array([[cc, -sc, 0], [sc, cc, 0], [0, 0, 1]])
    return z @ y @ x, numbers[:3]


class Calibration(NamedTuple):
    """The colour camera. matrix: (3, 3) intrinsics in pixels.

    rotation (3, 3) and translation (3,) in mm take points from the depth camera's frame to the colour camera's.
    """

    matrix: np.ndarray
    rotation: np.ndarray
    translation: np.ndarray

    def in_colour(self, point: np.ndarray) -> np.ndarray:
        """A point (3,) in mm of the depth camera's frame, in the colour camera's."""
        return np.asarray(self.rotation @ point + self.translation)


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


def _about_view_ray(label: np.ndarray, centre: np.ndarray, camera: Calibration | None) -> np.ndarray:
    """A label (3, 3) in the depth camera's frame, about the ray from the head centre (3,) in mm to the colour camera.

    To the depth camera where there is no calibration. Raises ValueError where the head is not in front of the camera.
    """
    if camera is not None:
        label, centre = to_project_convention(camera.rotation) @ label, camera.in_colour(centre)
    if not centre[2] > 0:
        raise ValueError(f"the head centre {centre.round(1).tolist()} is not before the camera; use `labels: camera`")
    return about_view_ray(label, centre * _FLIP)


def _head_box(centre: np.ndarray, camera: Calibration) -> np.ndarray:
    """Square box (4,) in pixels around the recorded head centre (3,) in mm."""
    x, y, depth = camera.matrix @ camera.in_colour(centre)
    radius = _HEAD_RADIUS_MM * camera.matrix[0, 0] / depth
    return np.array([x / depth - radius, y / depth - radius, x / depth + radius, y / depth + radius])
