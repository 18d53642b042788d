"""A pinhole camera in front of rendered subjects, with the exact geometry of every image.

Camera frame: x to the image's right, y up, z towards the viewer, metres. Pixels: x to the right, y down, (0, 0) the
image's corner. Head frame: `pipeline_steps.rendering.heads`.
"""

import io
import zlib
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from PIL import Image
from scipy.spatial.transform import Rotation

from pipeline_steps.job.errors import UserError
from pipeline_steps.rendering.heads import HeadModel, head_model, load_body_model
from pipeline_steps.rendering.landmarks import landmarks_3d
from pipeline_steps.rendering.meshes import hits_within
from pipeline_steps.rendering.renderer import HeadRenderer
from pipeline_steps.rendering.scenes import (
    View,
    draw_expression,
    draw_gaze,
    draw_light,
    draw_torso,
    draw_view,
    head_box,
    pose_subject,
    posed_landmarks,
)
from pipeline_steps.rendering.subjects import Subject, draw_shape, make_subject

_SKIN_DEPTH = 0.004  # metres


@dataclass(frozen=True)
class OffCentreView(View):
    """A view whose image need not be square, nor centred on the optical axis.

    size: width of the image in pixels; height: in pixels; centre: (2,) the principal point in pixels.
    """

    height: int
    centre: np.ndarray

    def project(self, points: np.ndarray) -> np.ndarray:
        """Pixels (..., 2) of points (..., 3) of the head frame."""
        x, y, z = np.moveaxis(self.to_camera(points), -1, 0)
        return np.asarray(self.centre + self.focal * np.stack([x / -z, y / z], -1))

    def window(self, points: np.ndarray) -> tuple[int, int, int, int]:
        """The part of the image x0, y0, x1, y1, in whole pixels, that contains points (N, 3) of the head frame."""
        pixels, limit = self.project(points), np.array([self.size, self.height])
        x0, y0 = np.clip(np.floor(pixels.min(0)) - 1, 0, limit).astype(int)
        x1, y1 = np.clip(np.ceil(pixels.max(0)) + 1, 0, limit).astype(int)
        return int(x0), int(y0), int(x1), int(y1)

    def camera(self) -> dict[str, Any]:
        """The geometric fields of the renderer's camera."""
        return super().camera() | {"height": self.height, "centre": self.centre}


@dataclass(frozen=True)
class PosableSubject:
    """A subject that can be posed and rendered."""

    model: HeadModel
    subject: Subject
    renderer: HeadRenderer

    @property
    def nose_tip(self) -> np.ndarray:
        """The tip (3,) of the nose of the neutral face, head frame."""
        return np.asarray(landmarks_3d(self.subject.vertices, self.model.landmark_ids)[30])

    def pose(self, actions: dict[str, float], gaze_deg: np.ndarray, torso_in_head: np.ndarray) -> np.ndarray:
        """Vertices (W, 3), head frame; the parameters are those of `pose_subject`."""
        return pose_subject(self.model, self.subject, actions, gaze_deg, torso_in_head)

    def shoot(self, posed: np.ndarray, view: OffCentreView, light: dict[str, Any]) -> "Shot":
        """Render the vertices (W, 3) of a pose. light: as `draw_light` returns it."""
        landmarks = posed_landmarks(self.model, posed)
        return Shot(
            view=view,
            light=self.renderer.render(posed, view.camera() | light),
            box=head_box(self.model, posed, view),
            landmarks_head=landmarks,
            visible=_visible(posed, self.subject.faces, landmarks, view),
        )

    def random_shot(self, rng: np.random.Generator, euler_deg: np.ndarray, size: int) -> "Shot":
        """The subject with yaw, pitch, roll (3,) and a random expression, light and camera; `size` pixels square."""
        drawn = draw_view(rng, euler_deg, size)
        view = OffCentreView(rotation_of(euler_deg), drawn.position, drawn.focal, size, size, np.full(2, size / 2))
        posed = self.pose(draw_expression(rng), draw_gaze(rng), draw_torso(rng, euler_deg))
        return self.shoot(posed, view, draw_light(rng, view))


@dataclass(frozen=True)
class Shot:
    """What the camera sees.

    light: (height, width, 4) linear colours, premultiplied, and coverage. box: (4,) x0, y0, x1, y1 of the face and
    skull in pixels. landmarks_head: (68, 3) head frame, metres. visible: (68,) whether nothing hides the landmark from
    the camera.
    """

    view: OffCentreView
    light: np.ndarray
    box: np.ndarray
    landmarks_head: np.ndarray
    visible: np.ndarray

    @property
    def landmarks(self) -> np.ndarray:
        """The 68 landmarks (68, 2) in pixels."""
        return self.view.project(self.landmarks_head)

    def truth(self, member: str, subject: str) -> dict[str, Any]:
        """A row of ground truth.

        member: name in the archive; subject; rotation (9) head to camera, row by row; position (3) of the head's origin
        in the camera frame; box (4); landmarks (136) x, y in pixels; landmarks_head (204) x, y, z; focal and
        principal_point (2) in pixels.
        """
        return {
            "member": member,
            "subject": subject,
            "rotation": self.view.rotation.ravel(),
            "position": self.view.position,
            "box": self.box,
            "landmarks": self.landmarks.ravel(),
            "landmarks_head": self.landmarks_head.ravel(),
            "focal": self.view.focal,
            "principal_point": self.view.centre,
        }


def _visible(vertices: np.ndarray, faces: np.ndarray, points: np.ndarray, view: View) -> np.ndarray:
    camera = -view.position @ view.rotation
    toward = camera - points
    toward /= np.linalg.norm(toward, axis=1, keepdims=True)
    lifted = points + _SKIN_DEPTH * toward  # the points themselves are in the skin
    return ~hits_within(vertices, faces, lifted, toward, reach=1.0)


def stream(layout: str, seed: int, *keys: int) -> np.random.Generator:
    """Random numbers for a layout, whose name is part of the seed, so that no two layouts show the same people."""
    return np.random.default_rng([zlib.crc32(layout.encode()), seed, *keys])


@cache
def _models() -> tuple[Any, HeadModel]:
    body = load_body_model()
    return body, head_model(body)


def make_posable(layout: str, seed: int, number: int) -> PosableSubject:
    """The subject with this number; loads the body model once per process."""
    body, model = _models()
    shape, sex, age = draw_shape(stream(layout, seed, number, 0), body)
    neutral = model.identity(shape[model.identity_columns])
    subject = make_subject(stream(layout, seed, number, 1), model, neutral, sex, age)
    return PosableSubject(model, subject, HeadRenderer(subject))


def rotation_of(euler_deg: np.ndarray) -> np.ndarray:
    """Rotation (3, 3) of yaw, pitch, roll (3,) in degrees: Rx(pitch) Ry(yaw) Rz(roll) of 300W-LP.

    Its elementary rotations have the opposite sense of SciPy's.
    """
    yaw, pitch, roll = euler_deg
    return np.asarray(Rotation.from_euler("XYZ", [-pitch, -yaw, -roll], degrees=True).as_matrix())


def jpeg(pixels: np.ndarray) -> bytes:
    """A JPEG file of an image (H, W, 3)."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=92)
    return buffer.getvalue()


def check_counts(subjects: int, images: int, most_subjects: int, most_images: int) -> None:
    """Raise UserError where the layout has no room for so many."""
    for name, count, most in (("subjects", subjects, most_subjects), ("images", images, most_images)):
        if not 1 <= count <= most:
            raise UserError(f"--{name}: 1 to {most} in this layout, got {count}")
