"""The head, neck and shoulders of the `anny` body model as plain arrays.

Head frame, used throughout `pipeline_steps.rendering`: x to the image's right in a frontal view, y to the top of the
head, z out of the nose, in metres; the origin is midway between the ends of the jaw (landmarks 0 and 16).
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from pipeline_steps.rendering.landmarks import ANNY_VERTICES, VERTEX_IDS, landmarks_3d
from pipeline_steps.rendering.meshes import hits_within, vertex_normals

SKIN, EYE, MOUTH, HAIR, CLOTH = range(5)  # materials of triangles

_CUT_Y, _CUT_X = -0.30, 0.33  # metres; below the chest and beyond the shoulders, nothing is ever visible
_NECK_BONES = {"head": 0.0, "eye.L": 0.0, "eye.R": 0.0, "neck03": 0.3, "neck02": 0.55, "neck01": 0.8}


@dataclass(frozen=True)
class HeadModel:
    """Blend shapes and topology. V vertices, F triangles, K identity shapes, A facial actions.

    template: (V, 3) the mean head, head frame; a vertex's position on it determines its colour and texture.
    faces: (F, 3) triangles; material: (F,) their material codes.
    identity_shapes: (K, V, 3) metres per unit coefficient; identity_columns: (K,) index of each coefficient among the
    body model's; action_shapes: (A, V, 3) metres per unit amount; action_names: (A,).
    follows_torso: (V,) 0 where a vertex moves with the head, 1 where it moves with the shoulders.
    eye_side: (V,) -1 for the eyeball at negative x, 1 for the other, 0 elsewhere.
    occlusion: (V,) share of the sky, 0 to 1, that is visible from the template's vertex.
    landmark_ids: (68, 3) the vertices of each landmark's triangle.
    """

    template: np.ndarray
    faces: np.ndarray
    material: np.ndarray
    identity_shapes: np.ndarray
    identity_columns: np.ndarray
    action_shapes: np.ndarray
    action_names: tuple[str, ...]
    follows_torso: np.ndarray
    eye_side: np.ndarray
    occlusion: np.ndarray
    landmark_ids: np.ndarray

    @cached_property
    def landmarks(self) -> np.ndarray:
        """The template's landmarks (68, 3), head frame, metres."""
        return landmarks_3d(self.template, self.landmark_ids)

    def identity(self, coefficients: np.ndarray) -> np.ndarray:
        """The neutral face (V, 3) of identity coefficients (K,), in the head frame.

        Its landmarks are aligned with the template's by a rigid least-squares fit, so that "facing the camera" means
        the same for every shape of face.
        """
        used = np.flatnonzero(coefficients)
        vertices = self.template + np.einsum("k,kvc->vc", coefficients[used], self.identity_shapes[used])
        points = landmarks_3d(vertices, self.landmark_ids)
        mean, target = points.mean(0), self.landmarks.mean(0)
        u, _, vt = np.linalg.svd((self.landmarks - target).T @ (points - mean))
        rotation = u @ np.diag([1.0, 1.0, np.linalg.det(u @ vt)]) @ vt
        vertices = (vertices - mean) @ rotation.T
        ears = landmarks_3d(vertices, self.landmark_ids)[[0, 16]].mean(0)
        return np.asarray(vertices - ears)

    def expression(self, actions: dict[str, float]) -> np.ndarray:
        """Displacement (V, 3) in metres of the vertices by facial actions: amounts, 0 to 1, by name."""
        offset = np.zeros_like(self.template)
        for name, amount in actions.items():
            offset += amount * self.action_shapes[self.action_names.index(name)]
        return offset


def load_body_model() -> Any:
    """The `anny` model with all phenotypes, local changes of the face and facial actions.

    The first call on a machine takes about a minute to parse the packaged assets into `ANNY_CACHE_DIR`.
    """
    import anny

    return anny.Anny(
        local_changes="default",
        facial_actions="all",
        phenotypes="all",
        phenotype_blendshapes="original",
        skinning_method="lbs",
    )


def head_model(body: Any) -> HeadModel:
    """The head, neck and shoulders of the body model; ValueError if its mesh has another topology."""
    from anny.face_segmentation import get_face_segmentation_mask

    vertices, faces = body.template_vertices.numpy(), body.faces.numpy()
    if len(vertices) != ANNY_VERTICES:
        raise ValueError(f"anny's mesh has {len(vertices)} vertices, the landmarks need one of {ANNY_VERTICES}")

    def to_head_frame(array: np.ndarray) -> np.ndarray:
        return np.stack([array[..., 0], array[..., 2], -array[..., 1]], -1)

    vertices = to_head_frame(vertices)
    vertices = vertices - landmarks_3d(vertices)[[0, 16]].mean(0)

    def part(*labels: str) -> np.ndarray:
        return np.asarray(get_face_segmentation_mask(body, list(labels)).numpy())

    kept = ((vertices[:, 1] > _CUT_Y) & (np.abs(vertices[:, 0]) < _CUT_X))[faces].all(1)
    ids, faces_kept = np.unique(faces[kept], return_inverse=True)
    faces_kept = faces_kept.reshape(-1, 3)
    new_id = np.full(len(vertices), -1)
    new_id[ids] = np.arange(len(ids))

    eyes = part("eye_front.L", "eye_back.L", "eye_front.R", "eye_back.R")
    mouth = part("mouth_cavity", "tongue")
    material = np.where(eyes, EYE, np.where(mouth, MOUTH, SKIN))[kept]
    template = vertices[ids]
    is_eye = np.zeros(len(ids), bool)
    is_eye[faces_kept[material == EYE]] = True

    weights = np.zeros((len(vertices), body.bone_count))
    np.add.at(
        weights,
        (np.arange(len(vertices))[:, None], body.vertex_bone_indices.numpy()),
        body.vertex_bone_weights.numpy(),
    )
    share = np.array([_NECK_BONES.get(bone, 1.0) for bone in body.bone_labels])

    labels, shapes = body.blendshape_labels, body.blendshapes
    shapes = to_head_frame(shapes[:, ids].numpy()).astype(np.float32)
    is_action = np.array([label.startswith("facial_action:") for label in labels])
    actions = shapes[is_action]
    actions[:, is_eye] = 0  # the gaze rotates the eyeballs, actions only move the skin around them
    moves = np.abs(shapes).max((1, 2)) > 1e-6
    used = np.flatnonzero(moves[~is_action])  # most shapes change only the rest of the body
    return HeadModel(
        template=template,
        faces=faces_kept.astype(np.int32),
        material=material,
        identity_shapes=shapes[~is_action][used],
        identity_columns=used,
        action_shapes=actions,
        action_names=tuple(label.split(":")[1] for label, a in zip(labels, is_action, strict=True) if a),
        follows_torso=(weights @ share)[ids],
        eye_side=np.where(is_eye, np.sign(template[:, 0]), 0.0),
        occlusion=_open_sky(template, faces_kept),
        landmark_ids=new_id[VERTEX_IDS],
    )


def _open_sky(vertices: np.ndarray, faces: np.ndarray, directions: int = 96, reach: float = 0.06) -> np.ndarray:
    """Ambient occlusion (V,): cosine-weighted share of the directions without an obstacle within `reach` metres."""
    golden = np.pi * (3 - np.sqrt(5))
    z = 1 - (2 * np.arange(directions) + 1) / directions
    sphere = np.stack([np.sqrt(1 - z * z) * np.cos(golden * np.arange(directions)), z * 0, z], -1)
    sphere[:, 1] = np.sqrt(1 - z * z) * np.sin(golden * np.arange(directions))
    normals = vertex_normals(vertices, faces)
    cosine = normals @ sphere.T  # (V, D)
    vertex, direction = np.nonzero(cosine > 0.05)
    origins = vertices[vertex] + 0.0015 * normals[vertex]
    blocked = hits_within(vertices, faces, origins, sphere[direction], reach)
    weight = cosine[vertex, direction]
    total = np.bincount(vertex, weight, len(vertices))
    free = np.bincount(vertex, weight * ~blocked, len(vertices))
    return np.asarray(free / np.maximum(total, 1e-9))
