"""Normals of triangle meshes and their intersections with rays, by Warp on the CPU."""

from typing import Any

import numpy as np
import warp as wp

from pipeline_steps.rendering.kernels import add_normals_kernel, hit_kernel


def vec3_array(array: np.ndarray) -> Any:
    """An array (N, 3) as a Warp array."""
    return wp.array(np.ascontiguousarray(array, np.float32), dtype=wp.vec3, device="cpu")


def _index_array(faces: np.ndarray) -> Any:
    return wp.array(faces.astype(np.int32).ravel(), dtype=int, device="cpu")


def mesh_of(vertices: np.ndarray, faces: np.ndarray) -> Any:
    """Vertices (V, 3) and triangles (F, 3) as a Warp mesh."""
    return wp.Mesh(vec3_array(vertices), _index_array(faces))


def summed_normals(points: Any, faces: Any) -> Any:
    """Sums (V, 3) of the normals of the triangles around each vertex, each of twice its triangle's area in length.

    points, faces: the arrays of a Warp mesh. Returns a Warp array.
    """
    sums: Any = wp.zeros(len(points), dtype=wp.vec3, device="cpu")
    wp.launch(add_normals_kernel, len(faces) // 3, [points, faces, sums], device="cpu")
    return sums


def vertex_normals(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Unit normals (V, 3): the area-weighted means of the triangles around each vertex; 0 for a vertex without any."""
    sums = summed_normals(vec3_array(vertices), _index_array(faces)).numpy().astype(float)
    return np.asarray(sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-12))


def first_hits(
    vertices: np.ndarray, faces: np.ndarray, origins: np.ndarray, directions: np.ndarray, reach: float = 1e6
) -> np.ndarray:
    """Index (R,) of the first triangle that each ray hits within `reach`, -1 for none.

    origins and unit directions of the rays: (R, 3), in the unit of the vertices.
    """
    mesh = mesh_of(vertices, faces)
    face: Any = wp.zeros(len(origins), dtype=int, device="cpu")
    rays = [vec3_array(origins), vec3_array(directions), float(reach)]
    wp.launch(hit_kernel, len(origins), [mesh.id, *rays, face], device="cpu")
    return np.asarray(face.numpy())


def hits_within(
    vertices: np.ndarray, faces: np.ndarray, origins: np.ndarray, directions: np.ndarray, reach: float
) -> np.ndarray:
    """Whether (R,) each ray hits the mesh within `reach`."""
    return first_hits(vertices, faces, origins, directions, reach) >= 0
