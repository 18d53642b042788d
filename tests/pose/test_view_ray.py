"""Poses about the ray from the head to the camera, against hand calculation, SciPy and a pinhole camera."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from pipeline_steps.pose.geometry import euler_to_matrix, geodesic_distance_deg, is_rotation, mirror_rotation
from pipeline_steps.pose.landmarks import MEAN_FACE, poses_of_landmarks
from pipeline_steps.pose.view_ray import about_camera, about_view_ray, ray_rotation

turns, metres = st.floats(-180, 180), st.floats(-3, 3)
rotations = st.tuples(turns, turns, turns).map(lambda xyz: Rotation.from_euler("xyz", xyz, degrees=True).as_matrix())
positions = st.tuples(metres, metres, st.floats(-3, -0.3)).map(np.array)


@pytest.mark.parametrize(
    ("position", "euler_deg"),
    [
        ([0, 0, -900], [0, 0, 0]),  # on the optical axis nothing changes
        ([300, 0, -900], [18.43, 0, 0]),  # at the image's right, a head that looks at the camera looks to its left
        ([0, 300, -900], [0, -18.43, 0]),  # above, it looks down; tan 18.43 is 1/3
        ([0, -1, -1], [0, 45, 0]),
    ],
)
def test_a_head_that_looks_at_the_camera_is_frontal_about_the_ray(position, euler_deg):
    label = euler_to_matrix(np.array(euler_deg, float))
    np.testing.assert_allclose(about_view_ray(label, np.array(position, float)), np.eye(3), atol=2e-4)


@pytest.mark.parametrize("position", [[0.9, 0.4, -3.0], [-1.5, 0, -3], [0.5, -1.2, -3]])
@pytest.mark.parametrize("euler_deg", [[0, 0, 0], [30, -10, 5], [-20, 25, -15]])
def test_the_crop_of_a_pinhole_camera_shows_the_pose_about_the_ray(position, euler_deg):
    """The pose that the landmarks of the image show is that about the ray; in the camera's frame it is far off."""
    rotation, position = euler_to_matrix(np.array(euler_deg, float)), np.array(position)
    points = MEAN_FACE / 1e5 @ rotation.T + position  # a hundredth of a head, so that perspective within it is small
    image = points[:, :2] / points[:, 2:] * [-1.0, 1.0]  # z is negative in front of the camera, and y in an image down
    shown = poses_of_landmarks(image)[0]
    assert geodesic_distance_deg(about_view_ray(rotation, position), shown) < 0.05
    assert geodesic_distance_deg(rotation, shown) > 14


@given(positions)
def test_the_rotation_to_the_ray_is_the_smallest_one(position):
    ray = -position / np.linalg.norm(position)
    axis, angle = np.cross([0, 0, 1], ray), np.arccos(np.clip(ray[2], -1, 1))
    length = np.linalg.norm(axis)
    expected = Rotation.from_rotvec(angle * axis / length if length > 1e-9 else np.zeros(3)).as_matrix()
    np.testing.assert_allclose(ray_rotation(position), expected, atol=1e-7)


@given(rotations, positions, turns)
def test_rotations_about_the_ray_turn_and_mirror_with_the_image_and_lead_back(rotation, position, roll_deg):
    seen = about_view_ray(rotation, position)
    assert is_rotation(seen)
    np.testing.assert_allclose(about_camera(seen, position), rotation, atol=1e-12)
    np.testing.assert_allclose(about_view_ray(rotation, 7 * position), seen, atol=1e-12)
    roll = euler_to_matrix(np.array([0, 0, roll_deg]))
    np.testing.assert_allclose(about_view_ray(roll @ rotation, roll @ position), roll @ seen, atol=1e-12)
    mirrored = about_view_ray(mirror_rotation(rotation), position * [-1, 1, 1])
    np.testing.assert_allclose(mirrored, mirror_rotation(seen), atol=1e-12)


def test_many_at_once_are_as_one_at_a_time():
    rng = np.random.default_rng(0)
    rotation, position = Rotation.random(6, rng).as_matrix().reshape(2, 3, 3, 3), -rng.uniform(0.5, 1, (2, 3, 3))
    one_by_one = [
        [about_view_ray(r, p) for r, p in zip(*row, strict=True)] for row in zip(rotation, position, strict=True)
    ]
    np.testing.assert_allclose(about_view_ray(rotation, position), one_by_one, atol=1e-15)


@pytest.mark.parametrize("position", [[0, 0, 0], [10, 0, 900], [0, np.nan, -900]])
def test_a_head_that_is_not_in_front_of_the_camera_is_refused(position):
    with pytest.raises(ValueError, match="not in front of the camera"):
        about_view_ray(np.eye(3), np.array(position, float))
