"""The pose convention, against SciPy's Rotation and against pictures in words."""

import numpy as np
import torch
from scipy.spatial.transform import Rotation

from pipeline_steps.pose.geometry import (
    euler_to_matrix,
    geodesic_distance_deg,
    is_rotation,
    matrix_to_euler,
    mirror_rotation,
    wrap_deg,
)

RNG = np.random.default_rng(0)
ANGLES = RNG.uniform([-89, -60, -45], [89, 60, 45], (200, 3))


def scipy_matrix(euler_deg):
    """R = Rx Ry Rz of the 300W-LP convention: SciPy's intrinsic XYZ with every angle's sign turned."""
    yaw, pitch, roll = -euler_deg.T
    return Rotation.from_euler("XYZ", np.stack([pitch, yaw, roll], 1), degrees=True).as_matrix()


def test_euler_to_matrix_agrees_with_scipy():
    np.testing.assert_allclose(euler_to_matrix(ANGLES), scipy_matrix(ANGLES), atol=1e-12)


def test_euler_angles_survive_the_round_trip():
    np.testing.assert_allclose(matrix_to_euler(scipy_matrix(ANGLES)), ANGLES, atol=1e-9)


def test_tensors_give_the_same_as_arrays():
    matrix = euler_to_matrix(torch.from_numpy(ANGLES))
    np.testing.assert_allclose(matrix.numpy(), scipy_matrix(ANGLES), atol=1e-12)
    np.testing.assert_allclose(matrix_to_euler(matrix).numpy(), ANGLES, atol=1e-9)


def test_directions_are_those_of_the_docstring():
    nose = euler_to_matrix(np.array([[30.0, 0, 0], [0, 30.0, 0]]))[:, :, 2]
    assert nose[0, 0] < -0.4, "+yaw turns the nose to the image's left"
    assert nose[1, 1] > 0.4, "+pitch lifts the nose"
    top = euler_to_matrix(np.array([0, 0, 30.0]))[:, 1]
    assert top[0] > 0.4, "+roll tilts the top of the head to the image's right"


def test_mirroring_turns_the_sign_of_yaw_and_roll():
    mirrored = matrix_to_euler(mirror_rotation(scipy_matrix(ANGLES)))
    np.testing.assert_allclose(mirrored, ANGLES * [-1, 1, -1], atol=1e-9)


def test_geodesic_distance_agrees_with_scipy_also_where_it_is_tiny_or_a_half_turn():
    a, b = Rotation.random(100, random_state=1), Rotation.random(100, random_state=2)
    expected = np.degrees((a * b.inv()).magnitude())
    np.testing.assert_allclose(geodesic_distance_deg(a.as_matrix(), b.as_matrix()), expected, atol=1e-6)
    for angle in (1e-6, 179.999):
        turned = Rotation.from_rotvec([0, np.radians(angle), 0]).as_matrix()
        np.testing.assert_allclose(geodesic_distance_deg(np.eye(3), turned), angle, rtol=1e-6)


def test_wrapping():
    np.testing.assert_allclose(wrap_deg(np.array([358.0, -358.0, 180.0, 10.0])), [-2, 2, -180, 10])


def test_is_rotation_refuses_mirrors_scales_and_nan():
    matrices = np.stack([np.eye(3), np.diag([-1.0, 1, 1]), 1.1 * np.eye(3), np.full((3, 3), np.nan)])
    assert is_rotation(matrices).tolist() == [True, False, False, False]
