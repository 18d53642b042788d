"""Render images of one head at a time, by Warp on the CPU."""

from typing import Any

import numpy as np
import warp as wp

from pipeline_steps.rendering.kernels import Camera, project_kernel, see_kernel
from pipeline_steps.rendering.meshes import mesh_of, summed_normals, vec3_array
from pipeline_steps.rendering.shading import Look, shade_kernel
from pipeline_steps.rendering.subjects import Subject


class HeadRenderer:
    """The mesh of one subject, which is built once and deformed for every image."""

    def __init__(self, subject: Subject) -> None:
        self._face_count = len(subject.faces)
        self._mesh = mesh_of(subject.vertices, subject.faces)
        self._material: Any = wp.array(subject.material.astype(np.int32), dtype=int, device="cpu")
        self._template_points = vec3_array(subject.template_points)
        traits = np.ascontiguousarray(subject.traits, np.float32)
        self._traits: Any = wp.array(traits, dtype=wp.vec2, device="cpu")
        self._look = _fill(Look(), subject.look)

    def render(self, vertices: np.ndarray, camera: dict[str, Any]) -> np.ndarray:
        """Linear colours, premultiplied, and coverage (H, W, 4) of the head with these vertices (V, 3).

        camera: fields of `Camera` by name. A pixel shows what is behind its centre, so that coverage is 0 or 1.
        """
        self._mesh.points.assign(np.ascontiguousarray(vertices, np.float32))
        self._mesh.refit()  # for the rays to the lamps
        height, width = camera["height"], camera["width"]
        filled = _fill(Camera(), camera)
        points, faces = self._mesh.points, self._mesh.indices
        pixels: Any = wp.empty(len(points), dtype=wp.vec3, device="cpu")
        wp.launch(project_kernel, len(points), [points, filled, pixels], device="cpu")
        nearest: Any = wp.full(height * width, np.inf, dtype=float, device="cpu")
        seen: Any = wp.full(height * width, -1, dtype=int, device="cpu")
        wp.launch(see_kernel, self._face_count, [points, pixels, faces, filled, nearest, seen], device="cpu")
        image: Any = wp.zeros(height * width, dtype=wp.vec4, device="cpu")
        surface = [self._material, summed_normals(points, faces), self._template_points, self._traits]
        wp.launch(
            shade_kernel,
            height * width,
            [self._mesh.id, points, faces, *surface, seen, self._look, filled, image],
            device="cpu",
        )
        return np.asarray(image.numpy()).reshape(height, width, 4)


def _fill(struct: Any, values: dict[str, Any]) -> Any:
    vectors = {2: wp.vec2, 3: wp.vec3}
    for name, value in values.items():
        setattr(struct, name, vectors[len(value)](*map(float, value)) if isinstance(value, np.ndarray) else value)
    return struct
