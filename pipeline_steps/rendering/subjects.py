"""The appearance of one subject: shape of the head, hair, headgear, skin and clothes."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline_steps.rendering.heads import CLOTH, HAIR, SKIN, HeadModel
from pipeline_steps.rendering.landmarks import landmarks_3d
from pipeline_steps.rendering.meshes import vertex_normals

# sRGB colours of skin from light to dark: the six Fitzpatrick types, as commonly tabulated
_SKIN_TONES = np.array(
    [[247, 213, 188], [234, 188, 155], [214, 164, 128], [178, 121, 84], [132, 80, 50], [72, 44, 32]], float
)
_HAIR_TONES = np.array(
    [[14, 11, 10], [32, 22, 17], [58, 38, 26], [92, 62, 40], [140, 100, 62], [196, 160, 110], [120, 52, 28]], float
)
_IRIS_TONES = np.array([[46, 28, 16], [70, 44, 24], [96, 70, 36], [86, 96, 66], [92, 118, 140], [60, 88, 120]], float)

_HEAD_CHANGES = ("cheek", "chin", "ear", "eyebrows", "eye", "forehead", "head", "mouth", "neck", "nose")
_UNNATURAL = ("trans-out", "septumangle", "neck-trans", "head-trans", "head-angle", "measure-neck")


def linear(srgb: np.ndarray) -> np.ndarray:
    """Linear RGB, 0 to 1, of sRGB values 0 to 255, any shape."""
    x = np.clip(np.asarray(srgb, float) / 255.0, 0.0, 1.0)
    return np.asarray(np.where(x <= 0.04045, x / 12.92, ((x + 0.055) / 1.055) ** 2.4))


def draw_shape(rng: np.random.Generator, body: Any) -> tuple[np.ndarray, float, float]:
    """Random coefficients of all identity shapes of the body model, sex (0 male, 1 female), age (1/3 child, 1 old)."""
    sex = float(np.clip(rng.choice([0.08, 0.92]) + rng.normal(0, 0.08), 0, 1))
    age = float(rng.uniform(0.4, 0.6) if rng.random() < 0.12 else rng.triangular(0.6, 0.68, 1.0))
    weights = rng.dirichlet([0.6, 0.6, 0.6])
    changes: dict[str, float] = {}
    for label in body.local_change_labels:
        name = label[2:] if label[:2] in ("l-", "r-") else label
        if not name.startswith(_HEAD_CHANGES) or any(change in name for change in _UNNATURAL):
            continue
        amount = float(np.clip(rng.normal(0, 0.22), -0.6, 0.6))
        if label.startswith("r-") and f"l-{name}" in changes:
            amount = changes[f"l-{name}"] + float(rng.normal(0, 0.04))
        changes[label] = amount
    coefficients = body.get_phenotype_blendshape_coefficients(
        gender=sex,
        age=age,
        muscle=float(rng.uniform(0.25, 0.75)),
        weight=float(np.clip(rng.normal(0.5, 0.2), 0, 1)),
        height=0.5,
        proportions=float(rng.uniform(0.3, 0.9)),
        cupsize=0.4,
        firmness=0.6,
        african=float(weights[0]),
        asian=float(weights[1]),
        caucasian=float(weights[2]),
        local_changes=changes,
    )
    return coefficients[0].numpy(), sex, age


@dataclass(frozen=True)
class Subject:
    """One subject's neutral mesh and look.

    vertices: (W, 3) head frame, metres: the V vertices of the head model first, then hair or headgear.
    faces: (G, 3) triangles; material: (G,) their material codes.
    template_points: (W, 3) the corresponding points of the template head.
    traits: (W, 2) distance from the edge of the lips in metres (negative on the lips), and visible share of the sky.
    follows_torso: (W,) 0 where a vertex moves with the head, 1 where it moves with the shoulders.
    eye_centres: (2, 3) of the eyes at negative and positive x; neck: (3,) the pivot of the neck.
    look: fields of `shading.Look` by name.
    """

    vertices: np.ndarray
    faces: np.ndarray
    material: np.ndarray
    template_points: np.ndarray
    traits: np.ndarray
    follows_torso: np.ndarray
    eye_centres: np.ndarray
    neck: np.ndarray
    look: dict[str, Any]


def lip_distance(model: HeadModel) -> np.ndarray:
    """Distance (V,) in metres from the edge of the lips in the template's frontal view, negative on the lips."""
    from matplotlib.path import Path as Outline

    lips = model.landmarks[48:60, :2]
    points = model.template[:, :2]
    start, along = lips, np.roll(lips, -1, 0) - lips
    t = np.clip(((points[:, None] - start) * along).sum(-1) / (along**2).sum(-1), 0, 1)
    distance = np.linalg.norm(points[:, None] - start - t[..., None] * along, axis=-1).min(1)
    inside = Outline(lips).contains_points(points) & (model.template[:, 2] > 0.03)
    return np.asarray(np.where(inside, -distance, np.where(model.template[:, 2] > 0.03, distance, 0.05)))


def make_subject(rng: np.random.Generator, model: HeadModel, shape: np.ndarray, sex: float, age: float) -> Subject:
    """A random subject whose neutral face has the vertices `shape` (V, 3); sex and age as `draw_shape` returns them."""
    tone = rng.uniform(0, len(_SKIN_TONES) - 1)
    low = int(tone)
    high = min(low + 1, len(_SKIN_TONES) - 1)
    skin = linear(_SKIN_TONES[low] + (tone - low) * (_SKIN_TONES[high] - _SKIN_TONES[low]) + rng.normal(0, 5, 3))
    darkness = tone / (len(_SKIN_TONES) - 1)

    fair = [0.14, 0.16, 0.2, 0.2, 0.14, 0.1, 0.06]
    dark = [0.6, 0.3, 0.08, 0.02, 0, 0, 0]
    share = np.array(fair) if rng.random() > darkness * 1.3 + 0.15 else np.array(dark)
    hair = linear(_HAIR_TONES[rng.choice(len(share), p=share / share.sum())] * rng.uniform(0.75, 1.25))
    grey = float(np.clip((age - 0.78) * 4 + rng.normal(0, 0.35), 0, 1)) if age > 0.7 else 0.0
    hair = hair + grey * (linear(np.array([150, 146, 140]) + rng.uniform(-30, 60)) - hair)
    brows = hair * 0.6 + 0.4 * np.minimum(hair, skin * 0.25)
    blood = linear(np.array([190, 70, 70])) * np.array([1, 1, 1.0])
    lips = skin * 0.55 + 0.45 * blood * (0.35 + 0.65 * (1 - darkness)) * rng.uniform(0.7, 1.1)
    if sex > 0.5 and age > 0.55 and rng.random() < 0.4:  # lipstick
        lips = linear(np.array([rng.uniform(130, 210), rng.uniform(20, 80), rng.uniform(40, 100)]))
    man = sex < 0.5 and age > 0.6
    style = rng.choice(["clean", "stubble", "beard"], p=[0.4, 0.35, 0.25]) if man else "clean"
    iris = _IRIS_TONES[rng.integers(0, 2) if rng.random() < darkness + 0.2 else rng.integers(0, len(_IRIS_TONES))]
    look: dict[str, Any] = {
        "skin": skin,
        "lips": np.clip(lips, 0, 1),
        "blush": np.clip(skin * np.array([1.05, 0.72, 0.68]), 0, 1),
        "iris": linear(iris * rng.uniform(0.8, 1.3)),
        "sclera": linear(np.array([214, 206, 200]) + rng.normal(0, 6, 3)),
        "hair": np.clip(hair, 0, 1),
        "brows": np.clip(brows, 0, 1),
        "cloth": linear(rng.uniform(15, 240, 3)),
        "cloth_two": linear(rng.uniform(15, 240, 3)),
        "cap_colour": linear(rng.uniform(10, 230, 3)),
        "brow_strength": float(rng.uniform(0.55, 1.0)),
        "brow_width": float(rng.uniform(0.6, 1.3) * (1.15 if man else 0.85)),
        "brow_height": float(rng.normal(0, 0.0012)),
        "beard": float(rng.uniform(0.6, 0.95)) if style == "beard" else 0.0,
        "stubble": float(rng.uniform(0.15, 0.7)) if style != "clean" else 0.0,
        "freckles": float(rng.uniform(0, 0.35)) if rng.random() < 0.25 else 0.0,
        "mottle": float(rng.uniform(0.03, 0.10)),
        "shine": float(rng.uniform(0.02, 0.12)),
        "curls": float(rng.random() < 0.15 + 0.5 * (darkness > 0.7)) * float(rng.uniform(0.5, 1)),
        "streaks": float(rng.uniform(0.5, 1.0)),
        "fabric": float(rng.choice([0.0, 0.0, 1.5, 2.5])),
        "cap": 0.0,
        "eye_shadow": float(rng.uniform(0.05, 0.3)),
        "iris_size": float(rng.uniform(0.47, 0.54)),
        "seed": float(rng.integers(1, 2**20)),
        "eye_centre": model.template[model.eye_side > 0].mean(0),
    }

    vertices, faces, material = [shape], [model.faces], [model.material.copy()]
    template_points, follows = [model.template], [model.follows_torso]
    normals = vertex_normals(shape, model.faces)

    neckline = (
        -0.165 - 0.02 * rng.random() - rng.choice([0.0, 0.03, 0.06]) * np.exp(-((model.template[:, 0] / 0.06) ** 2))
    )
    dressed = model.template[:, 1] < neckline
    shape = shape + normals * (dressed * 0.006)[:, None]
    vertices[0] = shape
    material[0][dressed[model.faces].all(1) & (material[0] == SKIN)] = CLOTH

    _add_hair(rng, model, normals, vertices, faces, material, template_points, follows, look)

    lips_edge = np.concatenate([lip_distance(model), *(np.full(len(v), 0.05) for v in vertices[1:])])
    sky = np.concatenate([model.occlusion, *(np.ones(len(v)) for v in vertices[1:])])
    eye_centres = np.stack([shape[model.eye_side == side].mean(0) for side in (-1, 1)])
    chin = landmarks_3d(shape, model.landmark_ids)[8]
    return Subject(
        vertices=np.concatenate(vertices),
        faces=np.concatenate(faces),
        material=np.concatenate(material),
        template_points=np.concatenate(template_points),
        traits=np.stack([lips_edge, sky], -1),
        follows_torso=np.concatenate(follows),
        eye_centres=eye_centres,
        neck=np.array([0.0, chin[1] * 1.05, -0.045]),
        look=look,
    )


def _hairline(azimuth: np.ndarray, forehead: float, temples: float, nape: float) -> np.ndarray:
    """Height (V,) on the template above which hair grows, by azimuth (V,) in radians, 0 at the front of the face."""
    a = np.abs(azimuth)
    knots = np.array([0.0, 0.45, 0.85, 1.15, 1.35, 1.6, 1.95, 2.4, np.pi])
    heights = np.array([0.078 + forehead, 0.078 + forehead + temples, 0.05, 0.02, -0.01, 0.03, 0.02, -0.05, nape])
    return np.asarray(np.interp(a, knots, heights))


def _add_hair(
    rng: np.random.Generator,
    model: HeadModel,
    normals: np.ndarray,
    vertices: list[np.ndarray],
    faces: list[np.ndarray],
    material: list[np.ndarray],
    template_points: list[np.ndarray],
    follows: list[np.ndarray],
    look: dict[str, Any],
) -> None:
    kind = rng.choice(["bald", "short", "medium", "long", "cap"], p=[0.07, 0.38, 0.25, 0.2, 0.1])
    if kind == "bald":
        return
    t = model.template
    azimuth = np.arctan2(t[:, 0], t[:, 2] + 0.02)
    line = _hairline(azimuth, rng.normal(0, 0.006), rng.uniform(0, 0.012), rng.uniform(-0.1, -0.07))
    edge = t[:, 1] - line + 0.003 * rng.normal(0, 1, len(t))
    ear = (np.abs(t[:, 0]) > 0.074) & (np.abs(t[:, 1]) < 0.04) & (np.abs(t[:, 2] + 0.01) < 0.04)
    thick = {"short": 0.010, "medium": 0.022, "long": 0.02, "cap": 0.012}[str(kind)] * rng.uniform(0.7, 1.4)
    if kind == "cap":
        look["cap"] = 1.0
        edge = t[:, 1] - rng.uniform(0.045, 0.06) - 0.25 * np.maximum(0, t[:, 2])
    height = np.where(edge > 0, thick * np.clip(edge / 0.03, 0.12, 1), -0.004)
    height = np.where(ear, -0.004, height)
    usable = (edge[model.faces] > -0.03).all(1) & (model.material == SKIN) & (t[model.faces, 1].min(1) > -0.12)
    used, local = np.unique(model.faces[usable], return_inverse=True)
    vertices.append((vertices[0] + normals * height[:, None])[used])
    faces.append(local.reshape(-1, 3) + sum(len(v) for v in vertices[:-1]))
    material.append(np.full(int(usable.sum()), HAIR))
    template_points.append(t[used])
    follows.append(model.follows_torso[used])
