"""BIWI Kinect Head Pose: recordings of people who turn their heads in front of a depth and a colour camera.

Fanelli, Dantone, Gall, Fossati, Van Gool: Random Forests for Real Time 3D Face Analysis, IJCV 2013. Members, as in the
official kinect_head_pose_db.tgz: `hpdb/NN/frame_NNNNN_rgb.png` (640 x 480), `_pose.txt` (rotation row by row, blank
line, head centre in mm), `_depth.bin`; `hpdb/NN/rgb.cal` and `depth.cal` (intrinsics, distortion, rotation and
translation in mm from the depth camera, size of the image), the head template `hpdb/NN.obj` and a readme.

Frames in those files: x to the right, y down, z away from the camera; pose.txt uses the frame of the depth camera. The
official colour camera is 28 mm beside the depth camera and rotated by 1 degree relative to it; here it is rotated by
less than half a degree, so that the label is also the pose in the colour image within that tolerance. The ground truth
has both rotations. The text layout, the cameras' parameters and the format of `_depth.bin` are the official ones. The
head's centre is the origin of the official templates, whose position in the head is known only from depth maps: about
65 mm behind the tip of the nose and 46 mm behind the face. As in the official depth maps, nothing but the body is
visible. Four people were recorded twice, as in the official data set.
"""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image
from scipy.spatial.transform import Rotation

from pipeline_steps.datasets.rendered import AnglePrior, PosePrior
from pipeline_steps.rendering.compositing import compose, draw_background
from pipeline_steps.rendering.landmarks import landmarks_3d
from pipeline_steps.rendering.meshes import first_hits
from pipeline_steps.rendering.scenes import draw_expression, draw_gaze, draw_light, draw_torso
from stand_ins.archives import Add, tar_archive
from stand_ins.camera import OffCentreView, PosableSubject, check_counts, make_posable, rotation_of, stream

MOST_SUBJECTS, MOST_IMAGES = 20, 10_000
_LAYOUT = "biwi"
_FIRST_FRAME = 3

_REPEATED = {15: 3, 18: 5, 21: 2, 22: 7}
"""Number of each second recording of a subject, and of the first."""

_FLIP = np.array([1.0, -1.0, -1.0])  # x right, y down, z away to x right, y up, z towards the viewer, and back

_NOSE_TO_CENTRE = np.array([0.0, 0.025, -0.065])  # metres, head frame

_POSES = PosePrior(
    yaw=AnglePrior(mean=0.0, std=30.0, min=-75.0, max=75.0),
    pitch=AnglePrior(mean=0.0, std=20.0, min=-60.0, max=60.0),
    roll=AnglePrior(mean=0.0, std=12.0, min=-45.0, max=45.0),
)


@dataclass(frozen=True)
class Rig:
    """The two cameras of a recording, in the frames of the data set's files.

    rotation (3, 3) and translation (3,) in mm take points from the depth camera's frame to the colour camera's.
    colour, depth: (3, 3) intrinsics in pixels; width, height: size of both images in pixels.
    """

    rotation: np.ndarray
    translation: np.ndarray
    colour: np.ndarray
    depth: np.ndarray
    width: int
    height: int

    def depth_view(self, rotation: np.ndarray, position: np.ndarray) -> OffCentreView:
        """The depth camera's view of a head with `rotation` (3, 3) at `position` (3,), in metres with y up."""
        return self._view(rotation, position, self.depth)

    def colour_view(self, rotation: np.ndarray, position: np.ndarray) -> OffCentreView:
        """The colour camera's view of a head whose rotation and position are given in the depth camera's frame."""
        to_colour = _flipped(self.rotation)
        return self._view(to_colour @ rotation, to_colour @ position + _FLIP * self.translation / 1000, self.colour)

    def _view(self, rotation: np.ndarray, position: np.ndarray, matrix: np.ndarray) -> OffCentreView:
        return OffCentreView(rotation, position, float(matrix[0, 0]), self.width, self.height, matrix[:2, 2])


def write_biwi(path: Path, subjects: int, images: int, seed: int, size: int = 640) -> pd.DataFrame:
    """Write `images` frames of each recording of `subjects`, `size` pixels wide and three quarters as high.

    Returns the ground truth, one row per frame. box, landmarks, position, focal and principal_point refer to the colour
    image, as in `Shot.truth`; rotation (9) is the label, relative to the depth camera, and rotation_colour (9) is
    relative to the colour camera, both in the project's convention; centre_mm (3) is the head's centre in the frame of
    pose.txt; recording is a number, and subject the number of the subject's first recording.
    """
    check_counts(subjects, images, MOST_SUBJECTS, MOST_IMAGES)
    rows = []
    with tar_archive(path) as add:
        add("hpdb/readme.txt", b"Rendered heads in the layout of the BIWI Kinect Head Pose Database.\n")
        for recording, first in recordings(subjects):
            rows += list(_write_recording(add, recording, first, images, seed, size))
    return pd.DataFrame(rows)


def recordings(subjects: int) -> list[tuple[int, int]]:
    """Number of each recording of the first `subjects`, and the number of the same subject's first recording."""
    firsts = [number for number in range(1, 25) if number not in _REPEATED][:subjects]
    again = [(number, first) for number, first in _REPEATED.items() if first in firsts]
    return sorted([*zip(firsts, firsts, strict=True), *again])


def draw_rig(rng: np.random.Generator, size: int) -> Rig:
    """Two cameras as in the official recordings, for images `size` pixels wide."""
    scale = np.array([[size / 640], [size / 640], [1.0]])
    return Rig(
        rotation=Rotation.from_rotvec(rng.uniform(-0.25, 0.25, 3), degrees=True).as_matrix(),
        translation=np.array([-24.0, 5.9, -13.2]) + rng.normal(0, 0.5, 3),
        colour=scale * [[517.679, 0, 320.0], [0, 517.679, 240.5], [0, 0, 1]],
        depth=scale * [[575.816, 0, 320.0], [0, 575.816, 240.0], [0, 0, 1]],
        width=size,
        height=size * 3 // 4,
    )


def _write_recording(
    add: Add, recording: int, first: int, images: int, seed: int, size: int
) -> Iterator[dict[str, Any]]:
    subject = make_posable(_LAYOUT, seed, first)
    rng = stream(_LAYOUT, seed, recording, 3)
    rig, folder = draw_rig(rng, size), f"hpdb/{recording:02d}"
    seat = rng.uniform([-0.10, -0.05, -1.10], [0.10, 0.05, -0.90])
    background = draw_background(rng, size)[: rig.height]
    add(f"{folder}.obj", _template(subject))
    add(f"{folder}/depth.cal", calibration(rig.depth, np.eye(3), np.zeros(3), rig))
    add(f"{folder}/rgb.cal", calibration(rig.colour, rig.rotation, rig.translation, rig))
    for index, euler_deg in enumerate(_POSES.draw(rng, images)):
        rng = stream(_LAYOUT, seed, recording, 2, index)
        rotation = rotation_of(euler_deg)
        centre = seat + rng.normal(0, 0.02, 3)
        position = centre - rotation @ (subject.nose_tip + _NOSE_TO_CENTRE)
        torso, gaze_deg = draw_torso(rng, euler_deg), draw_gaze(rng)
        posed = subject.pose(draw_expression(rng), gaze_deg, torso)
        view = rig.colour_view(rotation, position)
        room_light = draw_light(stream(_LAYOUT, seed, recording, 4), view)
        shot = subject.shoot(posed, view, room_light)
        frame = f"{folder}/frame_{_FIRST_FRAME + index:05d}"
        add(
            f"{frame}_depth.bin",
            run_lengths(depth_map(subject.subject.faces, posed, rig.depth_view(rotation, position))),
        )
        add(f"{frame}_pose.txt", _lines([*_flipped(rotation), [], 1000 * _FLIP * centre, []]))
        add(f"{frame}_rgb.png", _png(compose(rng, shot.light, background)))
        yield shot.truth(f"{frame}_rgb.png", f"{first:02d}") | {
            "rotation": rotation.ravel(),
            "rotation_colour": view.rotation.ravel(),
            "centre_mm": 1000 * _FLIP * centre,
            "recording": f"{recording:02d}",
        }


def depth_map(faces: np.ndarray, posed: np.ndarray, view: OffCentreView) -> np.ndarray:
    """Distance along the optical axis in whole mm, int16 (height, width), 0 where there is no body.

    faces: (F, 3) triangles; posed: (W, 3) vertices in the head frame, metres.
    """
    depth = np.zeros((view.height, view.size), np.int16)
    x0, y0, x1, y1 = view.window(posed)
    columns, rows = np.meshgrid(np.arange(x0, x1) + 0.5, np.arange(y0, y1) + 0.5)
    x, y = (columns.ravel() - view.centre[0]) / view.focal, (view.centre[1] - rows.ravel()) / view.focal
    rays = np.stack([x, y, -np.ones_like(x)], -1) @ view.rotation  # of the length that gives 1 m of depth
    origin = -view.position @ view.rotation
    unit = rays / np.linalg.norm(rays, axis=1, keepdims=True)
    hit = first_hits(posed, faces, np.tile(origin, (len(rays), 1)), unit)
    a, b, c = np.moveaxis(posed[faces[hit]], 1, 0)
    normals = np.cross(b - a, c - a)
    slope = (rays * normals).sum(-1)
    metres = ((a - origin) * normals).sum(-1) / np.where(slope == 0, 1e-12, slope)
    nearest, farthest = (depths := -view.to_camera(posed)[:, 2]).min(), depths.max()
    millimetres = np.rint(1000 * np.clip(metres, nearest, farthest))  # grazing rays are imprecise
    depth[y0:y1, x0:x1] = np.where(hit >= 0, millimetres, 0).reshape(y1 - y0, x1 - x0)
    return depth


def run_lengths(depth: np.ndarray) -> bytes:
    """The content of `_depth.bin`, little-endian.

    Width and height (int32), then, row by row and repeatedly: a number of zeros (int32), a number of other values
    (int32), and these values (int16).
    """
    values = depth.ravel().astype("<i2")
    edges = np.flatnonzero(np.diff(np.concatenate([[False], values != 0, [False]])))
    chunks, done = [np.array(depth.shape[::-1], "<i4").tobytes()], 0
    for start, end in edges.reshape(-1, 2):
        chunks += [np.array([start - done, end - start], "<i4").tobytes(), values[start:end].tobytes()]
        done = end
    if done < len(values):
        chunks.append(np.array([len(values) - done, 0], "<i4").tobytes())
    return b"".join(chunks)


def calibration(matrix: np.ndarray, rotation: np.ndarray, translation: np.ndarray, rig: Rig) -> bytes:
    """The content of a `.cal` file."""
    return _lines([*matrix, [], np.zeros(4), [], *rotation, [], translation, [], [rig.width, rig.height]]).rstrip()


def _lines(rows: list[Any]) -> bytes:
    return "".join("".join(f"{number:g} " for number in row) + "\n" for row in rows).encode()


def _flipped(rotation: np.ndarray) -> np.ndarray:
    """A rotation (3, 3) in frames with y down and z away, converted to y up and z towards the viewer, or back."""
    return np.asarray(rotation * _FLIP[:, None] * _FLIP)


def _template(subject: PosableSubject) -> bytes:
    """Only the landmarks of the neutral face, in mm, because the pipeline does not read the official template."""
    points = landmarks_3d(subject.subject.vertices, subject.model.landmark_ids)
    return "".join(f"v {x:g} {y:g} {z:g}\n" for x, y, z in 1000 * _FLIP * points).encode()


def _png(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()
