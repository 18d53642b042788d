"""Pictures of one head at a time, by Warp on the CPU."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import warp as wp

from pipeline_steps.rendering.kernels import Camera, project_kernel, see_kernel
from pipeline_steps.rendering.meshes import mesh_of, summed_normals, vec3_array
from pipeline_steps.rendering.shading import Look, shade_kernel


@dataclass
class HeadRenderer:
    """One person's mesh: built once, moved for every picture.

    vertices: (V, 3) head frame, metres; faces: (F, 3); material: (F,); places: (V, 3) on the template; traits: (V, 2)
    distance from the lips' edge in metres (negative inside) and share of open sky; look: `Look` fields by name.
    """

    vertices: np.ndarray
    faces: np.ndarray
    material: np.ndarray
    places: np.ndarray
    traits: np.ndarray
    look: dict[str, Any]

    def __post_init__(self) -> None:
        self._mesh = mesh_of(self.vertices, self.faces)
        self._material: Any = wp.array(self.material.astype(np.int32), dtype=int, device="cpu")
        self._places = vec3_array(self.places)
        self._traits: Any = wp.array(np.ascontiguousarray(self.traits, np.float32), dtype=wp.vec2, device="cpu")
        self._look = _fill(Look(), self.look)

    def picture(self, vertices: np.ndarray, camera: dict[str, Any]) -> np.ndarray:
        """Linear colours, premultiplied, and coverage (H, W, 4) of the head with these vertices (V, 3).

        camera: `Camera` fields by name. A pixel shows what lies behind its middle, so coverage is 0 or 1.
        """
        self._mesh.points.assign(np.ascontiguousarray(vertices, np.float32))
        self._mesh.refit()  # for the rays to the lamp
        height, width = camera["height"], camera["width"]
        filled = _fill(Camera(), camera)
        points, faces = self._mesh.points, self._mesh.indices
        pixels: Any = wp.empty(len(points), dtype=wp.vec3, device="cpu")
        wp.launch(project_kernel, len(points), [points, filled, pixels], device="cpu")
        nearest: Any = wp.full(height * width, np.inf, dtype=float, device="cpu")
        seen: Any = wp.full(height * width, -1, dtype=int, device="cpu")
        wp.launch(see_kernel, len(self.faces), [points, pixels, faces, filled, nearest, seen], device="cpu")
        picture: Any = wp.zeros(height * width, dtype=wp.vec4, device="cpu")
        surface = [self._material, summed_normals(points, faces), self._places, self._traits]
        wp.launch(
            shade_kernel,
            height * width,
            [self._mesh.id, points, faces, *surface, seen, self._look, filled, picture],
            device="cpu",
        )
        return np.asarray(picture.numpy()).reshape(height, width, 4)


def _fill(struct: Any, values: dict[str, Any]) -> Any:
    vectors = {2: wp.vec2, 3: wp.vec3}
    for name, value in values.items():
        setattr(struct, name, vectors[len(value)](*map(float, value)) if isinstance(value, np.ndarray) else value)
    return struct
