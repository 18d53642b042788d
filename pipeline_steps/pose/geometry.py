"""Head rotations: one convention, conversions, mirrored and rotated images, distances.

The convention is that of 300W-LP and AFLW2000-3D. Camera frame: x to the image's right, y up, z towards the viewer.
A head that faces the camera has the identity rotation. A rotation maps head coordinates to camera
coordinates, so its columns are the axes of the head in the camera frame: sideways (to the image's right in a frontal
view), towards the top of the head, and out of the nose.

    R = Rx(pitch) Ry(yaw) Rz(roll)
    Rx = [1 0 0; 0 c s; 0 -s c]    Ry = [c 0 -s; 0 1 0; s 0 c]    Rz = [c s 0; -s c 0; 0 0 1]

+yaw turns the face to the image's left, +pitch lifts it, +roll tilts the top of the head to the image's right.
Euler angles are always ordered (yaw, pitch, roll) and in degrees. Every function takes NumPy arrays or torch tensors
with any number of leading dimensions and returns the same kind.
"""

import math
import sys
from typing import Any, TypeAlias

import numpy as np

ANGLES = ["yaw", "pitch", "roll"]
"""Names of the Euler angles in their order."""

Array: TypeAlias = Any  # numpy.ndarray or torch.Tensor: every function accepts both


def _namespace(array: Array) -> Any:
    torch = sys.modules.get("torch")
    return torch if torch is not None and isinstance(array, torch.Tensor) else np


def euler_to_matrix(euler_deg: Array) -> Array:
    """Rotation matrices (..., 3, 3) from angles (..., 3) = (yaw, pitch, roll) in degrees."""
    xp = _namespace(euler_deg)
    radians = euler_deg * (math.pi / 180.0)
    (sy, sp, sr), (cy, cp, cr) = ([f(radians)[..., i] for i in range(3)] for f in (xp.sin, xp.cos))
    rows = [
        [cy * cr, cy * sr, -sy],
        [sp * sy * cr - cp * sr, sp * sy * sr + cp * cr, sp * cy],
        [cp * sy * cr + sp * sr, cp * sy * sr - sp * cr, cp * cy],
    ]
    return xp.stack([xp.stack(row, -1) for row in rows], -2)


def matrix_to_euler(rotation: Array) -> Array:
    """Angles (..., 3) = (yaw, pitch, roll) in degrees from rotation matrices (..., 3, 3).

    Yaw comes out within +-90 degrees, pitch and roll within +-180; at a yaw of +-90 (gimbal lock) only a combination of
    pitch and roll is determined, and roll is 0.
    """
    xp = _namespace(rotation)
    yaw = xp.arctan2(-rotation[..., 0, 2], xp.hypot(rotation[..., 0, 0], rotation[..., 0, 1]))
    locked = _is_locked(rotation)  # there the usual formulas would compute pitch and roll from rounding errors
    combined = xp.arctan2(-rotation[..., 0, 2] * rotation[..., 1, 0], rotation[..., 1, 1])
    pitch = xp.where(locked, combined, xp.arctan2(rotation[..., 1, 2], rotation[..., 2, 2]))
    roll = xp.where(locked, xp.zeros_like(yaw), xp.arctan2(rotation[..., 0, 1], rotation[..., 0, 0]))
    return xp.stack([yaw, pitch, roll], -1) * (180.0 / math.pi)


def _is_locked(rotation: Array) -> Array:
    """Whether the yaw of rotations (..., 3, 3) is within 0.006 degrees of +-90: gimbal lock; shape (...)."""
    return _namespace(rotation).hypot(rotation[..., 0, 0], rotation[..., 0, 1]) < 1e-4


def mirror_rotation(rotation: Array) -> Array:
    """Rotation (..., 3, 3) of the head in the mirrored image: left and right swap, so yaw and roll change sign."""
    xp = _namespace(rotation)
    sign = xp.ones_like(rotation)
    sign[..., 0, 1:] = -1
    sign[..., 1:, 0] = -1
    return rotation * sign


def roll_rotation(rotation: Array, roll_deg: Array) -> Array:
    """Rotation (..., 3, 3) of the head in the image rotated within its plane by (...) degrees: Rz(roll_deg) R.

    A positive angle tilts the top of the image to the right, as a positive roll does.
    """
    xp = _namespace(rotation)
    radians = roll_deg[..., None] * (math.pi / 180.0)
    c, s = xp.cos(radians), xp.sin(radians)
    x, y, z = rotation[..., 0, :], rotation[..., 1, :], rotation[..., 2, :]
    return xp.stack([c * x + s * y, c * y - s * x, z], -2)


def geodesic_distance_deg(a: Array, b: Array) -> Array:
    """Angle (...) in degrees, 0 to 180, of the rotation from a (..., 3, 3) to b (..., 3, 3).

    Computed as 2 asin(|a - b|_F / sqrt(8)), which is precise at small angles, where the usual acos((trace - 1) / 2) is
    not.
    """
    xp = _namespace(a)
    chord = xp.sqrt(((a - b) ** 2).sum((-2, -1)))
    return 2 * xp.arcsin(xp.clip(chord / math.sqrt(8.0), 0.0, 1.0)) * (180.0 / math.pi)


def euler_errors_deg(predicted: Array, euler_deg: Array) -> Array:
    """Absolute errors (..., 3), 0 to 180 degrees, of the yaw, pitch and roll of predicted rotations (..., 3, 3).

    euler_deg: labels (..., 3) in degrees as a data set publishes them; an angle that is NaN has no error: NaN.

    Two triples of angles are one rotation: that of `matrix_to_euler` and (180 - yaw, pitch + 180, roll + 180). A label
    is compared with the one that is nearer by the mean of the errors. By the first alone, a prediction would be off by
    180 in pitch and roll as soon as its yaw passes 90 degrees, however near it is. Where both yaws are within 60
    degrees, the first is the nearer one, unless pitch and roll together are off by more than 210.

    In gimbal lock only pitch - roll (pitch + roll at a yaw of -90) of the prediction is determined, and its roll is
    taken to be the label's.
    """
    xp = _namespace(predicted)
    yaw, pitch, roll = (matrix_to_euler(predicted)[..., i] for i in range(3))
    known = xp.isfinite(euler_deg)
    free = _is_locked(predicted) & known[..., 2]
    pitch = xp.where(free, pitch + xp.sign(yaw) * (euler_deg[..., 2] - roll), pitch)
    roll = xp.where(free, euler_deg[..., 2], roll)
    usual = abs(wrap_deg(xp.stack([yaw, pitch, roll], -1) - euler_deg))
    other = abs(wrap_deg(xp.stack([180.0 - yaw, pitch + 180.0, roll + 180.0], -1) - euler_deg))
    sums = [xp.where(known, errors, xp.zeros_like(errors)).sum(-1) for errors in (usual, other)]
    return xp.where((sums[1] < sums[0])[..., None], other, usual)


def wrapped_errors_deg(predicted: Array, euler_deg: Array) -> Array:
    """Errors (..., 3), 0 to 90 degrees, of yaw, pitch and roll by the field's own rule for angles that wrap.

    Each angle of the triple of `matrix_to_euler` for itself: the smallest absolute difference from the label after 0,
    180 or 360 degrees are added or subtracted (github.com/thohemp/6DRepNet, sixdrepnet/test.py). It forgives an angle
    that is off by 180 degrees. Arguments and NaN: see `euler_errors_deg`.
    """
    error = abs(wrap_deg(matrix_to_euler(predicted) - euler_deg))
    return _namespace(error).minimum(error, 180.0 - error)


def wrap_deg(angle_deg: Array) -> Array:
    """The same angle within [-180, 180) degrees."""
    return (angle_deg + 180.0) % 360.0 - 180.0


def is_rotation(rotation: np.ndarray, tolerance: float = 1e-3) -> np.ndarray:
    """Whether matrices (..., 3, 3) are finite, orthonormal and right-handed within the tolerance; shape (...)."""
    product = rotation @ np.swapaxes(rotation, -1, -2)
    orthonormal = (np.abs(product - np.eye(3)) < tolerance).all((-2, -1))  # False where anything is NaN
    proper: np.ndarray = orthonormal & (np.linalg.det(np.where(orthonormal[..., None, None], rotation, np.eye(3))) > 0)
    return proper
