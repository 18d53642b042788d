"""The pose convention in words; tests/properties/test_geometry.py has the numbers."""

import numpy as np

from pipeline_steps.pose.geometry import euler_to_matrix, is_rotation, wrap_deg


def test_directions_are_those_of_the_docstring():
    nose = euler_to_matrix(np.array([[30.0, 0, 0], [0, 30.0, 0]]))[:, :, 2]
    assert nose[0, 0] < -0.4, "+yaw turns the nose to the image's left"
    assert nose[1, 1] > 0.4, "+pitch lifts the nose"
    top = euler_to_matrix(np.array([0, 0, 30.0]))[:, 1]
    assert top[0] > 0.4, "+roll tilts the top of the head to the image's right"


def test_wrapping():
    np.testing.assert_allclose(wrap_deg(np.array([358.0, -358.0, 180.0, 10.0])), [-2, 2, -180, 10])


def test_is_rotation_refuses_mirrors_scales_and_nan():
    matrices = np.stack([np.eye(3), np.diag([-1.0, 1, 1]), 1.1 * np.eye(3), np.full((3, 3), np.nan)])
    assert is_rotation(matrices).tolist() == [True, False, False, False]
