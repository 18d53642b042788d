"""The pose convention in words; test_geometry_properties.py has the numbers."""

import numpy as np
from scipy.spatial.transform import Rotation

from pipeline_steps.pose.averaging import flip_tested, mean_rotation
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


def test_the_mean_rotation_is_scipys():
    turns = Rotation.random(12, random_state=0).as_matrix().reshape(3, 4, 3, 3)
    means = mean_rotation(turns)
    for place in range(4):
        np.testing.assert_allclose(means[place], Rotation.from_matrix(turns[:, place]).mean().as_matrix(), atol=1e-9)


def test_the_flip_test_takes_away_what_a_model_sees_of_one_side_only():
    yaw = np.array([-40.0, 0.0, 25.0])
    images = np.zeros((3, 4, 4, 3), np.uint8)
    images[:, :, :2] = (100 + yaw)[:, None, None, None]  # the left half says by how much the head is turned
    images[:, :, 2:] = 100

    def leaning(crops: np.ndarray) -> np.ndarray:
        seen = crops[:, :, :2].mean((1, 2, 3)) - crops[:, :, 2:].mean((1, 2, 3))
        return euler_to_matrix(np.stack([seen + 7.0, np.full_like(seen, 12.0), np.zeros_like(seen)], 1))

    expected = Rotation.from_euler("XYZ", np.stack([np.full(3, -12.0), -yaw, np.zeros(3)], 1), degrees=True)
    np.testing.assert_allclose(flip_tested(leaning, images), expected.as_matrix(), atol=1e-12)
