"""Ray casting of one head at a time with Warp, on the CPU: which triangle a pixel sees, and its colour."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import warp as wp

from pipeline_steps.rendering.kernels import Camera, Look, hit_kernel, render_kernel


def _vec3(array: np.ndarray) -> Any:
    return wp.array(np.ascontiguousarray(array, np.float32), dtype=wp.vec3, device="cpu")


def _mesh(vertices: np.ndarray, faces: np.ndarray) -> Any:
    return wp.Mesh(_vec3(vertices), wp.array(faces.astype(np.int32).ravel(), dtype=int, device="cpu"))


def first_hits(
    vertices: np.ndarray, faces: np.ndarray, origins: np.ndarray, directions: np.ndarray, reach: float = 1e6
) -> np.ndarray:
    """Triangle (R,) that each ray of origins and unit directions (R, 3) meets first within `reach`, -1 for none."""
    mesh = _mesh(vertices, faces)
    face: Any = wp.zeros(len(origins), dtype=int, device="cpu")
    wp.launch(hit_kernel, len(origins), [mesh.id, _vec3(origins), _vec3(directions), float(reach), face], device="cpu")
    return np.asarray(face.numpy())


def hits_within(
    vertices: np.ndarray, faces: np.ndarray, origins: np.ndarray, directions: np.ndarray, reach: float
) -> np.ndarray:
    """Whether (R,) each ray meets the mesh within `reach`."""
    return first_hits(vertices, faces, origins, directions, reach) >= 0


def compile_kernels() -> None:
    """Compile now, once, so that worker processes find the kernels in Warp's cache."""
    wp.load_module(device="cpu")


@dataclass
class HeadCaster:
    """One person's mesh: built once, moved for every picture.

    faces: (F, 3); material: (F,); places: (V, 3) on the template; traits: (V, 2) distance from the lips' edge in metres
    (negative inside) and share of open sky; look: `Look` fields by name.
    """

    vertices: np.ndarray
    faces: np.ndarray
    material: np.ndarray
    places: np.ndarray
    traits: np.ndarray
    look: dict[str, Any]

    def __post_init__(self) -> None:
        self._mesh = _mesh(self.vertices, self.faces)
        self._faces = self._mesh.indices
        self._material: Any = wp.array(self.material.astype(np.int32), dtype=int, device="cpu")
        self._places = _vec3(self.places)
        self._traits: Any = wp.array(np.ascontiguousarray(self.traits, np.float32), dtype=wp.vec2, device="cpu")
        self._look = _fill(Look(), self.look)

    def picture(self, vertices: np.ndarray, normals: np.ndarray, camera: dict[str, Any]) -> np.ndarray:
        """Linear colours, premultiplied, and coverage (H, W, 4) of the head with these vertices (V, 3)."""
        self._mesh.points.assign(np.ascontiguousarray(vertices, np.float32))
        self._mesh.refit()
        height, width = camera["height"], camera["width"]
        picture: Any = wp.zeros(height * width, dtype=wp.vec4, device="cpu")
        arrays = [self._faces, self._material, _vec3(normals), self._places, self._traits]
        wp.launch(
            render_kernel,
            height * width,
            [self._mesh.id, *arrays, self._look, _fill(Camera(), camera), picture],
            device="cpu",
        )
        return np.asarray(picture.numpy()).reshape(height, width, 4)


def _fill(struct: Any, values: dict[str, Any]) -> Any:
    for name, value in values.items():
        setattr(struct, name, wp.vec3(*map(float, value)) if isinstance(value, np.ndarray) else value)
    return struct
