"""What varies from image to image of a subject: camera, pose, expression, gaze and light, with exact labels."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from pipeline_steps.pose.geometry import euler_to_matrix
from pipeline_steps.rendering.heads import HeadModel
from pipeline_steps.rendering.landmarks import landmarks_3d
from pipeline_steps.rendering.subjects import Subject

_HEAD_HEIGHT = 0.235  # metres, from chin to crown of an average head


@dataclass(frozen=True)
class View:
    """A camera and the head's position relative to it.

    rotation: (3, 3) head to camera; position: (3,) the head's origin in the camera frame, metres; focal: focal length
    in pixels; size: width and height of the image in pixels.
    """

    rotation: np.ndarray
    position: np.ndarray
    focal: float
    size: int

    def to_camera(self, points: np.ndarray) -> np.ndarray:
        """Points (..., 3) of the head frame in the camera frame, metres."""
        return np.asarray(points @ self.rotation.T + self.position)

    def project(self, points: np.ndarray) -> np.ndarray:
        """Pixels (..., 2), x right, y down, (0, 0) the image's corner, of points (..., 3) of the head frame."""
        camera = self.to_camera(points)
        centre = self.size / 2
        depth = -camera[..., 2]
        return np.stack(
            [centre + self.focal * camera[..., 0] / depth, centre - self.focal * camera[..., 1] / depth], -1
        )

    def camera(self) -> dict[str, Any]:
        """The geometric fields of the renderer's camera."""
        return {
            "origin": -self.position @ self.rotation,
            "right": self.rotation[0],
            "up": self.rotation[1],
            "back": self.rotation[2],
            "focal": float(self.focal),
            "centre": np.full(2, self.size / 2),
            "width": self.size,
            "height": self.size,
        }


def draw_view(rng: np.random.Generator, euler_deg: np.ndarray, size: int) -> View:
    """A camera 0.35 to 3 m away, whose focal length makes the head fill 48 to 72 % of the image's height."""
    distance = float(np.exp(rng.uniform(np.log(0.35), np.log(3.0))))
    focal = rng.uniform(0.48, 0.72) * size * distance / _HEAD_HEIGHT
    shift = np.clip(rng.normal(0, 0.035, 2), -0.08, 0.08) * size * distance / focal
    return View(euler_to_matrix(euler_deg), np.array([shift[0], shift[1], -distance]), float(focal), size)


def draw_expression(rng: np.random.Generator) -> dict[str, float]:
    """Random amounts, 0 to 1, of facial actions by name."""
    amounts: dict[str, float] = {}

    def both(name: str, amount: float) -> None:
        for side in ("Left", "Right"):
            amounts[name + side] = float(np.clip(amount * rng.uniform(0.8, 1.2), 0, 1))

    mood = rng.choice(["neutral", "smile", "laugh", "talk", "frown", "surprise"], p=[0.3, 0.28, 0.1, 0.17, 0.09, 0.06])
    strength = float(rng.uniform(0.3, 1.0))
    if mood in ("smile", "laugh"):
        both("mouthSmile", strength)
        both("cheekSquint", 0.6 * strength)
        both("eyeSquint", 0.3 * strength)
        if mood == "laugh":
            both("mouthUpperUp", 0.6 * strength)
            amounts["jawOpen"] = float(0.6 * strength * rng.uniform(0.3, 1))
    elif mood == "talk":
        amounts["jawOpen"] = float(rng.uniform(0.05, 0.45))
        amounts["mouthFunnel"] = float(rng.uniform(0, 0.6) * (rng.random() < 0.5))
        amounts["mouthPucker"] = float(rng.uniform(0, 0.6) * (rng.random() < 0.3))
    elif mood == "frown":
        both("browDown", strength)
        both("mouthFrown", 0.7 * strength)
        both("noseSneer", 0.4 * strength * (rng.random() < 0.4))
    elif mood == "surprise":
        amounts["browInnerUp"] = strength
        both("browOuterUp", strength)
        both("eyeWide", 0.7 * strength)
        amounts["jawOpen"] = float(0.7 * strength)
    if rng.random() < 0.3:
        both("mouthPress", float(rng.uniform(0, 0.6)))
    if rng.random() < 0.3 and mood != "surprise":
        amounts["browInnerUp"] = float(rng.uniform(0, 0.6))
    blink = rng.uniform(0.75, 1.0) if rng.random() < 0.06 else abs(rng.normal(0, 0.13))
    both("eyeBlink", float(min(blink, 1.0)))
    return amounts


def draw_gaze(rng: np.random.Generator) -> np.ndarray:
    """Random rotation (2,) of the eyeballs towards +x and up, in degrees."""
    return np.asarray(np.clip(rng.normal(0, [12.0, 7.0]), [-30, -18], [30, 18]))


def draw_light(rng: np.random.Generator, view: View) -> dict[str, Any]:
    """One to three lamps and ambient light of two colours, as fields of the renderer's camera."""
    lights = int(rng.choice([1, 2, 3], p=[0.45, 0.4, 0.15]))
    fields: dict[str, Any] = {"lights": lights, "shadow": float(rng.uniform(0.35, 0.95))}
    warmth = rng.normal(0, 0.10)
    ambient = rng.uniform(0.25, 0.75)
    tint = np.array([1 + warmth, 1.0, 1 - warmth])
    fields["sky"] = np.clip(ambient * tint * (1 + rng.normal(0, 0.06, 3)), 0.02, None)
    fields["ground"] = np.clip(ambient * rng.uniform(0.3, 0.9) * (1 + rng.normal(0, 0.1, 3)), 0.02, None)
    for index, name in enumerate("abc"):
        azimuth, height = rng.uniform(-100, 100), rng.uniform(-10, 70)
        if index == 0 and rng.random() < 0.7:
            azimuth, height = rng.normal(0, 45), rng.normal(35, 18)
        azimuth, height = np.deg2rad(azimuth), np.deg2rad(height)
        direction = np.array([np.sin(azimuth) * np.cos(height), np.sin(height), np.cos(azimuth) * np.cos(height)])
        power = (rng.uniform(0.45, 1.25) if index == 0 else rng.uniform(0.1, 0.6)) / lights**0.4
        heat = warmth + rng.normal(0, 0.07)
        colour = power * np.array([1 + heat, 1.0, 1 - heat])
        fields[f"direction_{name}"] = direction @ view.rotation
        fields[f"colour_{name}"] = np.clip(colour, 0.0, None)
    fields["sky_up"] = view.rotation[1]
    return fields


def pose_subject(
    model: HeadModel, subject: Subject, actions: dict[str, float], gaze_deg: np.ndarray, torso_in_head: np.ndarray
) -> np.ndarray:
    """Vertices (W, 3), head frame, of a subject with one expression, gaze and orientation of the shoulders.

    gaze_deg: (2,) rotation of the eyeballs towards +x and up, in degrees; torso_in_head: (3, 3) orientation of the
    shoulders in the head frame, the identity where they face in the same direction as the face.
    """
    vertices = subject.vertices.copy()
    count = len(model.template)
    vertices[:count] += model.expression(actions)
    turn = Rotation.from_euler("yx", [gaze_deg[0], -gaze_deg[1]], degrees=True)
    for side, centre in zip((-1, 1), subject.eye_centres, strict=True):
        eye = np.flatnonzero(model.eye_side == side)
        vertices[eye] = turn.apply(vertices[eye] - centre) + centre
    follows = subject.follows_torso
    moved = np.flatnonzero(follows > 1e-3)
    vector = Rotation.from_matrix(torso_in_head).as_rotvec()
    bend = Rotation.from_rotvec(follows[moved, None] * vector)
    vertices[moved] = bend.apply(vertices[moved] - subject.neck) + subject.neck
    return np.asarray(vertices)


def draw_torso(rng: np.random.Generator, euler_deg: np.ndarray) -> np.ndarray:
    """Random orientation (3, 3) of the shoulders in the head frame.

    They follow the head's pose (3,) only in part, but far enough that the neck turns by at most 65 degrees of yaw, 35
    of pitch and 30 of roll.
    """
    share = np.array([rng.uniform(0.1, 0.9), rng.uniform(0.0, 0.5), rng.uniform(0.0, 0.6)])
    torso = share * euler_deg + rng.normal(0, [8.0, 5.0, 4.0])
    torso = euler_deg - np.clip(euler_deg - torso, [-65, -35, -30], [65, 35, 30])
    return np.asarray(euler_to_matrix(euler_deg).T @ euler_to_matrix(torso))


def head_box(model: HeadModel, vertices: np.ndarray, view: View) -> np.ndarray:
    """Bounding box (4,) x0, y0, x1, y1 in pixels of the face and skull, without neck and hair."""
    pixels = view.project(vertices[: len(model.template)][model.follows_torso < 0.05])
    return np.concatenate([pixels.min(0), pixels.max(0)])


def posed_landmarks(model: HeadModel, vertices: np.ndarray) -> np.ndarray:
    """The 68 landmarks (68, 3) of a posed subject in the head frame, metres."""
    return landmarks_3d(vertices, model.landmark_ids)
