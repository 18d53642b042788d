"""BIWI Kinect Head Pose: recordings of people who turn their heads before a depth and a colour camera.

Fanelli, Dantone, Gall, Fossati, Van Gool: Random Forests for Real Time 3D Face Analysis, IJCV 2013. Members, as in the
official kinect_head_pose_db.tgz: `hpdb/NN/frame_NNNNN_rgb.png` (640 x 480), `_pose.txt` (rotation row by row, blank
line, head centre in mm), `_depth.bin`; `hpdb/NN/rgb.cal` and `depth.cal` (intrinsics, distortion, rotation and
translation in mm from the depth camera, size of the picture), the head template `hpdb/NN.obj` and a readme.

Frames in those files: x to the right, y down, z away from the camera; that of pose.txt is the depth camera's. The
official colour camera stands 28 mm beside the depth camera and is turned by 1 degree against it; here by less than
half a degree, so that the label is the pose in the colour picture too, within that. The truth has both rotations.
Text layout, numbers of the cameras and the format of `_depth.bin` are certain. The head's centre is the origin of the
official templates, whose place in the head is known only from depth maps: about 65 mm behind the tip of the nose, 46
mm behind the face. The official depth maps hold the body alone, too. Four people were recorded twice, as there.
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
from pipeline_steps.rendering.landmarks import landmarks_3d
from pipeline_steps.rendering.meshes import first_hits
from pipeline_steps.rendering.photographs import develop, draw_background
from pipeline_steps.rendering.scenes import draw_expression, draw_light, draw_torso, pose_person
from stand_ins.archives import Add, tar_archive
from stand_ins.heads import (
    Framed,
    Sitter,
    check_counts,
    draw_gaze,
    rotation_of,
    shoot,
    sitter,
    stream,
)

MOST_PEOPLE, MOST_IMAGES = 20, 10_000
_LAYOUT = "biwi"
_FIRST_FRAME = 3

_AGAIN = {15: 3, 18: 5, 21: 2, 22: 7}
"""Recording of a person who was recorded before, and that earlier recording."""

_FLIP = np.array([1.0, -1.0, -1.0])  # from x right, y down, z away to x right, y up, z towards the viewer, and back

_NOSE_TO_CENTRE = np.array([0.0, 0.025, -0.065])  # metres, head frame

_POSES = PosePrior(
    yaw=AnglePrior(mean=0.0, std=30.0, min=-75.0, max=75.0),
    pitch=AnglePrior(mean=0.0, std=20.0, min=-60.0, max=60.0),
    roll=AnglePrior(mean=0.0, std=12.0, min=-45.0, max=45.0),
)


@dataclass(frozen=True)
class Rig:
    """The two cameras of a recording, in their files' frames.

    rotation (3, 3) and translation (3,) in mm take points from the depth camera's frame to the colour camera's.
    colour, depth: (3, 3) intrinsics in pixels; width, height: pixels of both pictures.
    """

    rotation: np.ndarray
    translation: np.ndarray
    colour: np.ndarray
    depth: np.ndarray
    width: int
    height: int

    def depth_view(self, rotation: np.ndarray, position: np.ndarray) -> Framed:
        """The depth camera's view of a head turned by `rotation` (3, 3) at `position` (3,), metres, y up."""
        return self._view(rotation, position, self.depth)

    def colour_view(self, rotation: np.ndarray, position: np.ndarray) -> Framed:
        """The colour camera's view of the same head, placed in the depth camera's frame."""
        turn = _turned_over(self.rotation)
        return self._view(turn @ rotation, turn @ position + _FLIP * self.translation / 1000, self.colour)

    def _view(self, rotation: np.ndarray, position: np.ndarray, matrix: np.ndarray) -> Framed:
        return Framed(rotation, position, float(matrix[0, 0]), self.width, self.height, matrix[:2, 2])


def write_biwi(path: Path, people: int, images: int, seed: int, size: int = 640) -> pd.DataFrame:
    """Write `images` frames of each recording of `people`, `size` pixels wide and three quarters as high.

    Returns the truth, a row per frame. box, landmarks, position, focal and principal_point are those of the colour
    picture, as `Shot.truth` describes them; rotation (9) is the label, the head before the depth camera,
    rotation_colour (9) the head before the colour camera, both in the project's convention; centre_mm (3) is the
    head's centre in pose.txt's frame; recording is its number, subject the number of the person's first recording.
    """
    check_counts(people, images, MOST_PEOPLE, MOST_IMAGES)
    rows = []
    with tar_archive(path) as add:
        add("hpdb/readme.txt", b"Rendered heads in the layout of the BIWI Kinect Head Pose Database.\n")
        for recording, first in recordings(people):
            rows += list(_write_recording(add, recording, first, images, seed, size))
    return pd.DataFrame(rows)


def recordings(people: int) -> list[tuple[int, int]]:
    """Number of each recording of the first so many people, and the number of that person's first recording."""
    firsts = [number for number in range(1, 25) if number not in _AGAIN][:people]
    again = [(number, first) for number, first in _AGAIN.items() if first in firsts]
    return sorted([*zip(firsts, firsts, strict=True), *again])


def draw_rig(rng: np.random.Generator, size: int) -> Rig:
    """Two cameras as in the official recordings, for pictures `size` pixels wide."""
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
    who = sitter(_LAYOUT, seed, first)
    rng = stream(_LAYOUT, seed, recording, 3)
    rig, folder = draw_rig(rng, size), f"hpdb/{recording:02d}"
    seat = rng.uniform([-0.10, -0.05, -1.10], [0.10, 0.05, -0.90])
    background = draw_background(rng, size)[: rig.height]
    add(f"{folder}.obj", _template(who))
    add(f"{folder}/depth.cal", calibration(rig.depth, np.eye(3), np.zeros(3), rig))
    add(f"{folder}/rgb.cal", calibration(rig.colour, rig.rotation, rig.translation, rig))
    for index, euler_deg in enumerate(_POSES.draw(rng, images)):
        rng = stream(_LAYOUT, seed, recording, 2, index)
        rotation = rotation_of(euler_deg)
        centre = seat + rng.normal(0, 0.02, 3)
        position = centre - rotation @ (who.nose_tip + _NOSE_TO_CENTRE)
        torso, gaze_deg = draw_torso(rng, euler_deg), draw_gaze(rng)
        posed = pose_person(who.model, who.person, draw_expression(rng), gaze_deg, torso)
        view = rig.colour_view(rotation, position)
        room_light = draw_light(stream(_LAYOUT, seed, recording, 4), view)
        shot = shoot(who, posed, view, room_light)
        frame = f"{folder}/frame_{_FIRST_FRAME + index:05d}"
        add(f"{frame}_depth.bin", run_lengths(depth_map(who, posed, rig.depth_view(rotation, position))))
        add(f"{frame}_pose.txt", _lines([*_turned_over(rotation), [], 1000 * _FLIP * centre, []]))
        add(f"{frame}_rgb.png", _png(develop(rng, shot.light, background)))
        yield shot.truth(f"{frame}_rgb.png", f"{first:02d}") | {
            "rotation": rotation.ravel(),
            "rotation_colour": view.rotation.ravel(),
            "centre_mm": 1000 * _FLIP * centre,
            "recording": f"{recording:02d}",
        }


def depth_map(sitter: Sitter, posed: np.ndarray, view: Framed) -> np.ndarray:
    """Distance along the optical axis in whole mm, int16 (height, width), 0 where no body is."""
    depth = np.zeros((view.height, view.size), np.int16)
    x0, y0, x1, y1 = view.window(posed)
    columns, rows = np.meshgrid(np.arange(x0, x1) + 0.5, np.arange(y0, y1) + 0.5)
    x, y = (columns.ravel() - view.centre[0]) / view.focal, (view.centre[1] - rows.ravel()) / view.focal
    rays = np.stack([x, y, -np.ones_like(x)], -1) @ view.rotation  # as long as they take for 1 m of depth
    origin, faces = -view.position @ view.rotation, sitter.person.faces
    unit = rays / np.linalg.norm(rays, axis=1, keepdims=True)
    met = first_hits(posed, faces, np.tile(origin, (len(rays), 1)), unit)
    a, b, c = np.moveaxis(posed[faces[met]], 1, 0)
    normals = np.cross(b - a, c - a)
    slope = (rays * normals).sum(-1)
    metres = ((a - origin) * normals).sum(-1) / np.where(slope == 0, 1e-12, slope)
    nearest, farthest = (depths := -view.to_camera(posed)[:, 2]).min(), depths.max()
    millimetres = np.rint(1000 * np.clip(metres, nearest, farthest))  # grazing rays lose their precision
    depth[y0:y1, x0:x1] = np.where(met >= 0, millimetres, 0).reshape(y1 - y0, x1 - x0)
    return depth


def run_lengths(depth: np.ndarray) -> bytes:
    """The content of `_depth.bin`: width and height (int32), then by turns a number of zeros (int32), a number of
    other values (int32) and these values (int16), all little-endian, row by row.
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


def _turned_over(rotation: np.ndarray) -> np.ndarray:
    """A rotation (3, 3) of frames with y down and z away in ones with y up and z towards the viewer, or back."""
    return np.asarray(rotation * _FLIP[:, None] * _FLIP)


def _template(sitter: Sitter) -> bytes:
    """The neutral face's landmarks alone, in mm: nobody here reads the official template."""
    points = landmarks_3d(sitter.person.vertices, sitter.model.landmark_ids)
    return "".join(f"v {x:g} {y:g} {z:g}\n" for x, y, z in 1000 * _FLIP * points).encode()


def _png(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()
