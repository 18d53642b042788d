"""Rendered people before a pinhole camera, with the exact geometry of what the picture shows.

Camera frame: x to the image's right, y up, z towards the viewer, metres. Pixels: x to the right, y down, (0, 0) the
picture's corner. Head frame: `pipeline_steps.rendering.heads`.
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
from pipeline_steps.rendering.people import Person, draw_shape, make_person
from pipeline_steps.rendering.renderer import HeadRenderer
from pipeline_steps.rendering.scenes import (
    View,
    draw_expression,
    draw_light,
    draw_torso,
    draw_view,
    head_box,
    pose_person,
    posed_landmarks,
)

_SKIN_DEPTH = 0.004  # metres


@dataclass(frozen=True)
class Framed(View):
    """A view whose picture need be neither square nor centred on the optical axis.

    size: its width in pixels; height: in pixels; centre: (2,) the principal point in pixels.
    """

    height: int
    centre: np.ndarray

    def project(self, points: np.ndarray) -> np.ndarray:
        """Pixels (..., 2) of points (..., 3) of the head frame."""
        x, y, z = np.moveaxis(self.to_camera(points), -1, 0)
        return np.asarray(self.centre + self.focal * np.stack([x / -z, y / z], -1))

    def window(self, points: np.ndarray) -> tuple[int, int, int, int]:
        """Whole pixels x0, y0, x1, y1 of the picture around points (N, 3) of the head frame."""
        pixels, limit = self.project(points), np.array([self.size, self.height])
        x0, y0 = np.clip(np.floor(pixels.min(0)) - 1, 0, limit).astype(int)
        x1, y1 = np.clip(np.ceil(pixels.max(0)) + 1, 0, limit).astype(int)
        return int(x0), int(y0), int(x1), int(y1)

    def camera(self) -> dict[str, Any]:
        """The geometric fields of the renderer's camera."""
        return super().camera() | {"height": self.height, "centre": self.centre}


@dataclass(frozen=True)
class Sitter:
    """One person who can be posed and seen."""

    model: HeadModel
    person: Person
    renderer: HeadRenderer

    @property
    def nose_tip(self) -> np.ndarray:
        """The tip (3,) of the nose of the neutral face, head frame."""
        return np.asarray(landmarks_3d(self.person.vertices, self.model.landmark_ids)[30])


@dataclass(frozen=True)
class Shot:
    """What the camera sees. light: (height, width, 4) linear colours, premultiplied, and coverage.

    box: (4,) x0, y0, x1, y1 of face and skull in pixels; landmarks_head: (68, 3) head frame, metres; visible: (68,)
    whether nothing of the body stands between the landmark and the camera.
    """

    view: Framed
    light: np.ndarray
    box: np.ndarray
    landmarks_head: np.ndarray
    visible: np.ndarray

    @property
    def landmarks(self) -> np.ndarray:
        """The 68 landmarks (68, 2) in pixels."""
        return self.view.project(self.landmarks_head)

    def truth(self, member: str, subject: str) -> dict[str, Any]:
        """A row of truth: member, subject, rotation (9) head to camera row by row, position (3) of the head's origin
        in the camera frame, box (4), landmarks (136) x, y in pixels, landmarks_head (204) x, y, z, focal, and
        principal_point (2).
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


def stream(layout: str, seed: int, *keys: int) -> np.random.Generator:
    """Random numbers of a layout's own, so that no two layouts show the same people."""
    return np.random.default_rng([zlib.crc32(layout.encode()), seed, *keys])


@cache
def _models() -> tuple[Any, HeadModel]:
    body = load_body_model()
    return body, head_model(body)


def sitter(layout: str, seed: int, person: int) -> Sitter:
    """The person of this number; loads the body model once per process."""
    body, model = _models()
    shape, sex, age = draw_shape(stream(layout, seed, person, 0), body)
    neutral = model.identity(shape[model.identity_columns])
    made = make_person(stream(layout, seed, person, 1), model, neutral, sex, age)
    renderer = HeadRenderer(made.vertices, made.faces, made.material, made.places, made.traits, made.look)
    return Sitter(model, made, renderer)


def shoot(sitter: Sitter, posed: np.ndarray, view: Framed, light: dict[str, Any]) -> Shot:
    """See the posed person."""
    seen = sitter.renderer.picture(posed, view.camera() | light)
    landmarks = posed_landmarks(sitter.model, posed)
    visible = _in_sight(posed, sitter.person.faces, landmarks, view)
    return Shot(view, seen, head_box(sitter.model, posed, view), landmarks, visible)


def _in_sight(vertices: np.ndarray, faces: np.ndarray, points: np.ndarray, view: View) -> np.ndarray:
    camera = -view.position @ view.rotation
    toward = camera - points
    toward /= np.linalg.norm(toward, axis=1, keepdims=True)
    lifted = points + _SKIN_DEPTH * toward  # the point itself lies in the skin
    return ~hits_within(vertices, faces, lifted, toward, reach=1.0)


def snapshot(rng: np.random.Generator, sitter: Sitter, euler_deg: np.ndarray, size: int) -> Shot:
    """The person in this pose (yaw, pitch, roll), any mood, light and camera; `size` pixels square."""
    drawn = draw_view(rng, euler_deg, size)
    view = Framed(rotation_of(euler_deg), drawn.position, drawn.focal, size, size, np.full(2, size / 2))
    posed = pose_person(sitter.model, sitter.person, draw_expression(rng), draw_gaze(rng), draw_torso(rng, euler_deg))
    return shoot(sitter, posed, view, draw_light(rng, view))


def draw_gaze(rng: np.random.Generator) -> np.ndarray:
    """Turn (2,) of the eyeballs to +x and up, in degrees."""
    return np.asarray(np.clip(rng.normal(0, [12.0, 7.0]), [-30, -18], [30, 18]))


def rotation_of(euler_deg: np.ndarray) -> np.ndarray:
    """Rotation (3, 3) of yaw, pitch, roll (3,) in degrees: Rx(pitch) Ry(yaw) Rz(roll) of 300W-LP, whose elementary
    rotations turn the other way round than SciPy's.
    """
    yaw, pitch, roll = euler_deg
    return np.asarray(Rotation.from_euler("XYZ", [-pitch, -yaw, -roll], degrees=True).as_matrix())


def jpeg(pixels: np.ndarray) -> bytes:
    """A JPEG file of a picture (H, W, 3)."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=92)
    return buffer.getvalue()


def check_counts(people: int, images: int, most_people: int, most_images: int) -> None:
    """Raise UserError where the layout has no place for so many."""
    for name, count, most in (("people", people, most_people), ("images", images, most_images)):
        if not 1 <= count <= most:
            raise UserError(f"--{name}: 1 to {most} in this layout, got {count}")
