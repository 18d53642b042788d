# mypy: ignore-errors
# ruff: noqa: D103
"""Warp kernels on triangle meshes: normals, intersections with rays, and the triangle visible at every pixel.

Warp compiles these functions to machine code; they are Python only in syntax, so types are not checked here.
"""

import warp as wp

from pipeline_steps.rendering.warp_runtime import start_warp

start_warp()
wp.set_module_options({"enable_backward": False})  # halves compilation time; nothing is differentiated

_NEAR = wp.constant(0.001)  # metres in front of the camera


@wp.struct
class Camera:
    """Pinhole camera and light, in the head frame. right, up, back: orthonormal; centre: principal point, pixels."""

    origin: wp.vec3
    right: wp.vec3
    up: wp.vec3
    back: wp.vec3
    focal: float
    centre: wp.vec2
    width: int
    height: int
    sky: wp.vec3
    ground: wp.vec3
    sky_up: wp.vec3
    lights: int
    direction_a: wp.vec3
    direction_b: wp.vec3
    direction_c: wp.vec3
    colour_a: wp.vec3
    colour_b: wp.vec3
    colour_c: wp.vec3
    shadow: float


@wp.func
def pixel_ray(camera: Camera, column: int, row: int) -> wp.vec3:
    """The ray through the pixel's centre; its component along -back is 1, so it is not of unit length."""
    x = (float(column) + 0.5 - camera.centre[0]) / camera.focal
    y = (camera.centre[1] - float(row) - 0.5) / camera.focal
    return camera.right * x + camera.up * y - camera.back


@wp.func
def meet(o: wp.vec3, ray: wp.vec3, a: wp.vec3, b: wp.vec3, c: wp.vec3) -> wp.vec3:
    """Where a ray from `o` meets the plane of a triangle: weights of b and c, and the distance in lengths of the ray.

    Moeller and Trumbore, Fast, Minimum Storage Ray/Triangle Intersection, 1997. The distance is -1 for a ray parallel
    to the plane.
    """
    ab = b - a
    ac = c - a
    across = wp.cross(ray, ac)
    volume = wp.dot(ab, across)
    if wp.abs(volume) < 1.0e-20:
        return wp.vec3(0.0, 0.0, -1.0)
    ao = o - a
    around = wp.cross(ao, ab)
    return wp.vec3(wp.dot(ao, across), wp.dot(ray, around), wp.dot(ac, around)) / volume


@wp.kernel
def add_normals_kernel(points: wp.array(dtype=wp.vec3), faces: wp.array(dtype=int), sums: wp.array(dtype=wp.vec3)):
    """Add every triangle's normal, of twice the triangle's area in length, to its vertices."""
    i = wp.tid()
    a = points[faces[i * 3]]
    across = wp.cross(points[faces[i * 3 + 1]] - a, points[faces[i * 3 + 2]] - a)
    for k in range(3):
        wp.atomic_add(sums, faces[i * 3 + k], across)


@wp.kernel
def project_kernel(points: wp.array(dtype=wp.vec3), camera: Camera, pixels: wp.array(dtype=wp.vec3)):
    """Column and row in pixels and depth in metres of every point."""
    i = wp.tid()
    p = points[i] - camera.origin
    depth = -wp.dot(p, camera.back)
    scale = camera.focal / depth
    column = camera.centre[0] + scale * wp.dot(p, camera.right)
    pixels[i] = wp.vec3(column, camera.centre[1] - scale * wp.dot(p, camera.up), depth)


@wp.kernel
def see_kernel(
    points: wp.array(dtype=wp.vec3),
    pixels: wp.array(dtype=wp.vec3),
    faces: wp.array(dtype=int),
    camera: Camera,
    nearest: wp.array(dtype=float),
    seen: wp.array(dtype=int),
):
    """The triangle visible at every pixel: a depth buffer, filled triangle by triangle on one thread."""
    i = wp.tid()
    a = faces[i * 3]
    b = faces[i * 3 + 1]
    c = faces[i * 3 + 2]
    low = wp.min(wp.min(pixels[a], pixels[b]), pixels[c])
    high = wp.max(wp.max(pixels[a], pixels[b]), pixels[c])
    if high[2] < _NEAR:
        return
    if low[2] < _NEAR:  # it reaches behind the camera: it may be visible at any pixel
        low = wp.vec3(0.0, 0.0, 0.0)
        high = wp.vec3(float(camera.width), float(camera.height), 0.0)
    first_column = wp.max(0, int(wp.ceil(low[0] - 0.501)))
    last_column = wp.min(camera.width - 1, int(wp.floor(high[0] - 0.499)))
    first_row = wp.max(0, int(wp.ceil(low[1] - 0.501)))
    last_row = wp.min(camera.height - 1, int(wp.floor(high[1] - 0.499)))
    for row in range(first_row, last_row + 1):
        for column in range(first_column, last_column + 1):
            hit = meet(camera.origin, pixel_ray(camera, column, row), points[a], points[b], points[c])
            pixel = row * camera.width + column
            inside = wp.min(hit[0], hit[1]) > -1.0e-4 and hit[0] + hit[1] < 1.0001
            if inside and hit[2] > 0.0 and hit[2] < nearest[pixel]:
                nearest[pixel] = hit[2]
                seen[pixel] = i


@wp.kernel
def hit_kernel(
    mesh: wp.uint64,
    origins: wp.array(dtype=wp.vec3),
    directions: wp.array(dtype=wp.vec3),
    reach: float,
    face: wp.array(dtype=int),
):
    i = wp.tid()
    hit = wp.mesh_query_ray(mesh, origins[i], directions[i], reach)
    face[i] = -1
    if hit.result:
        face[i] = hit.face
