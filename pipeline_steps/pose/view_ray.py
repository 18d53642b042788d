"""Poses about the ray from the head to the camera, which is what a crop of the head shows.

A camera that looks straight at a head off its optical axis sees it turned by the angle between axis and ray. A crop
shows what that camera would see: around the head, a pinhole camera's image differs from it by a stretch along the line
to the image's centre, 1.5% at 10 degrees, and by no rotation within the image. So the pose in a crop is R_view = Q^T R,
with R the head's rotation in the camera's frame and Q the smallest rotation that takes the optical axis to the ray.

Frames and rotations: `pipeline_steps.pose.geometry`. (The same correction is called virtual camera, or normalisation,
in gaze estimation: Zhang, Sugano, Bulling, Revisiting Data Normalization for Appearance-Based Gaze Estimation, 2018.)
"""

import numpy as np


def ray_rotation(position: np.ndarray) -> np.ndarray:
    """The smallest rotations (..., 3, 3) that take the optical axis (0, 0, 1) to the ray from a head to the camera.

    position: (..., 3) of the head in the camera's frame, in any unit; z points towards the viewer, so that it is
    negative. Raises ValueError where a head is not in front of the camera.
    """
    position = np.asarray(position, float)
    if not (np.isfinite(position).all() and (position[..., 2] < 0).all()):
        raise ValueError(f"the head centre {position.round(1).tolist()} is not in front of the camera (z below 0)")
    x, y, z = np.moveaxis(-position / np.linalg.norm(position, axis=-1, keepdims=True), -1, 0)
    a = 1 / (1 + z)  # Rodrigues' formula for the axis (-y, x, 0), whose length is the sine of the angle, z its cosine
    rows = [[1 - a * x * x, -a * x * y, x], [-a * x * y, 1 - a * y * y, y], [-x, -y, z]]
    return np.stack([np.stack(row, -1) for row in rows], -2)


def about_view_ray(rotation: np.ndarray, position: np.ndarray) -> np.ndarray:
    """Q^T R: rotations (..., 3, 3) about the ray to heads at `position` (..., 3), from those in the camera's frame.

    A head that looks straight at the camera comes out frontal, wherever it is. Raises ValueError as `ray_rotation`.
    """
    return np.asarray(np.swapaxes(ray_rotation(position), -1, -2) @ rotation)


def about_camera(rotation: np.ndarray, position: np.ndarray) -> np.ndarray:
    """Q R: the way back, from rotations (..., 3, 3) about the ray to those in the camera's frame.

    position: (..., 3) as above; only its direction counts, so that a crop's centre in the image of a calibrated camera
    is enough: ((u - cx) / f, -(v - cy) / f, -1) for pixel (u, v), focal length f and principal point (cx, cy).
    """
    return np.asarray(ray_rotation(position) @ rotation)
