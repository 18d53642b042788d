"""The pose convention against SciPy's Rotation, for any rotation."""

import numpy as np
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from pipeline_steps.images.augmentation import Motion
from pipeline_steps.network.pose_heads import Rotation6dHead
from pipeline_steps.pose.geometry import (
    euler_errors_deg,
    euler_to_matrix,
    geodesic_distance_deg,
    is_rotation,
    matrix_to_euler,
    mirror_rotation,
    roll_rotation,
    wrap_deg,
    wrapped_errors_deg,
)

turns = st.floats(-180, 180)
angles = st.tuples(st.floats(-89.9, 89.9), turns, turns).map(np.array)
rotations = st.tuples(turns, turns, turns).map(lambda xyz: Rotation.from_euler("xyz", xyz, degrees=True))


def scipy_matrix(euler_deg: np.ndarray) -> np.ndarray:
    """R = Rx Ry Rz of the 300W-LP convention: SciPy's intrinsic XYZ with every angle's sign turned."""
    yaw, pitch, roll = -euler_deg
    return Rotation.from_euler("XYZ", [pitch, yaw, roll], degrees=True).as_matrix()


@given(st.tuples(turns, turns, turns).map(np.array))
def test_angles_make_the_rotation_that_scipy_makes_of_them(euler_deg):
    matrix = euler_to_matrix(euler_deg)
    np.testing.assert_allclose(matrix, scipy_matrix(euler_deg), atol=1e-12)
    np.testing.assert_allclose(euler_to_matrix(torch.from_numpy(euler_deg)).numpy(), matrix, atol=1e-12)
    assert is_rotation(matrix)


@given(angles)
def test_angles_survive_the_round_trip(euler_deg):
    matrix = scipy_matrix(euler_deg)
    np.testing.assert_allclose(wrap_deg(matrix_to_euler(matrix) - euler_deg), 0, atol=1e-8)
    np.testing.assert_allclose(matrix_to_euler(torch.from_numpy(matrix)).numpy(), matrix_to_euler(matrix), atol=1e-8)


@given(st.sampled_from([-90.0, 90.0]), st.sampled_from([0.0, 1e-12, 1e-6, 1e-3]), turns, turns)
def test_a_rotation_survives_the_round_trip_at_and_near_gimbal_lock(side, short, pitch, roll):
    for matrix in (exact := scipy_matrix(np.array([side - np.sign(side) * short, pitch, roll]))), exact.round(9):
        euler_deg = matrix_to_euler(matrix)
        np.testing.assert_allclose(euler_to_matrix(euler_deg), matrix, atol=2e-4)
        np.testing.assert_allclose(euler_deg[0], side, atol=2e-3)


@given(turns, turns, turns)
def test_a_perfect_prediction_has_no_error_whatever_its_published_angles(yaw, pitch, roll):
    euler_deg = np.array([yaw, pitch, roll])
    errors = euler_errors_deg(scipy_matrix(euler_deg), euler_deg)
    np.testing.assert_allclose(errors, 0, atol=0.02)  # in gimbal lock, within 0.006 degrees of it, of yaw
    tensors = torch.from_numpy(scipy_matrix(euler_deg)), torch.from_numpy(euler_deg)
    np.testing.assert_allclose(euler_errors_deg(*tensors).numpy(), errors, atol=1e-6)


within_60, within_50 = st.floats(-60, 60), st.floats(-50, 50)


@given(
    st.tuples(within_60, within_50, within_50).map(np.array), st.tuples(within_60, within_50, within_50).map(np.array)
)
def test_errors_within_60_degrees_of_yaw_are_plain_differences_to_the_bit(label, predicted):
    matrix = scipy_matrix(predicted)
    plain = np.abs((matrix_to_euler(matrix) - label + 180) % 360 - 180)
    errors = euler_errors_deg(matrix, label)
    np.testing.assert_array_equal(errors, plain)
    np.testing.assert_allclose(errors, np.abs(predicted - label), atol=1e-6)
    known = np.array([label[0], label[1], np.nan])
    np.testing.assert_array_equal(euler_errors_deg(matrix, known)[:2], errors[:2])


@given(st.tuples(turns, turns, turns).map(np.array), angles)
def test_the_errors_are_those_of_the_nearer_one_of_all_triples_of_the_prediction(label, predicted):
    """Triples are one rotation if they differ by whole turns, or by half a turn in all with the yaw's sign reversed."""
    triples = [predicted, [180 - predicted[0], predicted[1] + 180, predicted[2] + 180]]
    whole = 360 * np.stack(np.meshgrid(*[[-2, -1, 0, 1, 2]] * 3), -1).reshape(-1, 1, 3)
    nearest = np.abs(triples + whole - label).mean(-1).min()
    np.testing.assert_allclose(euler_errors_deg(scipy_matrix(predicted), label).mean(), nearest, atol=1e-6)


@given(st.tuples(turns, turns, turns).map(np.array), angles)
def test_mirrored_heads_have_the_errors_of_heads(label, predicted):
    sign = np.array([-1, 1, -1])
    for errors_deg in (euler_errors_deg, wrapped_errors_deg):
        errors = errors_deg(scipy_matrix(predicted), label)
        mirrored = errors_deg(mirror_rotation(scipy_matrix(predicted)), label * sign)
        np.testing.assert_allclose(mirrored.mean(), errors.mean(), atol=1e-6)


@given(st.tuples(turns, turns, turns).map(np.array), angles)
def test_wrapped_errors_are_the_smallest_differences_after_half_and_whole_turns(label, predicted):
    differences = np.abs(predicted + np.array([[0], [180], [-180], [360], [-360]]) - label)
    matrix = scipy_matrix(predicted)
    np.testing.assert_allclose(wrapped_errors_deg(matrix, label), differences.min(0), atol=1e-6)
    tensors = wrapped_errors_deg(torch.from_numpy(matrix), torch.from_numpy(label))
    np.testing.assert_allclose(tensors.numpy(), differences.min(0), atol=1e-6)


@given(rotations, rotations, rotations)
def test_the_geodesic_distance_is_a_metric_that_no_turn_of_camera_or_head_changes(a, b, c):
    a, b, c = a.as_matrix(), b.as_matrix(), c.as_matrix()
    ab = geodesic_distance_deg(a, b)
    assert 0 <= ab <= 180
    assert geodesic_distance_deg(a, a) == 0
    assert geodesic_distance_deg(b, a) == ab
    assert ab <= geodesic_distance_deg(a, c) + geodesic_distance_deg(c, b) + 1e-5
    for x, y in ((c @ a, c @ b), (a @ c, b @ c)):
        np.testing.assert_allclose(geodesic_distance_deg(x, y), ab, atol=1e-5)


@given(rotations, rotations.map(lambda r: r.apply([0, 0, 1])), st.floats(0, 180))
def test_the_geodesic_distance_is_the_angle_turned_through_however_small(rotation, axis, angle_deg):
    turned = Rotation.from_rotvec(angle_deg * axis, degrees=True) * rotation
    distance = geodesic_distance_deg(rotation.as_matrix(), turned.as_matrix())
    np.testing.assert_allclose(distance, angle_deg, rtol=1e-7, atol=1e-12)


@given(angles)
def test_a_mirrored_picture_changes_the_signs_of_yaw_and_roll(euler_deg):
    mirror = np.diag([-1.0, 1, 1])
    mirrored = mirror_rotation(scipy_matrix(euler_deg))
    np.testing.assert_allclose(mirrored, mirror @ scipy_matrix(euler_deg) @ mirror, atol=1e-12)
    np.testing.assert_allclose(wrap_deg(matrix_to_euler(mirrored) - euler_deg * [-1, 1, -1]), 0, atol=1e-8)


@given(rotations, turns)
def test_a_turned_picture_is_a_camera_turned_the_other_way(rotation, roll_deg):
    turned = roll_rotation(rotation.as_matrix(), np.array(roll_deg))
    clockwise = Rotation.from_euler("z", -roll_deg, degrees=True)
    np.testing.assert_allclose(turned, (clockwise * rotation).as_matrix(), atol=1e-12)


@given(st.lists(angles, min_size=6, max_size=6), st.sampled_from([(6,), (3, 2), (1, 6, 1)]), st.booleans())
def test_single_precision_is_kept_and_good_enough_in_any_number_of_dimensions(euler_deg, shape, as_tensor):
    exact = np.stack([scipy_matrix(e) for e in euler_deg])
    given = np.stack(euler_deg).astype(np.float32).reshape(*shape, 3)
    matrix = euler_to_matrix(torch.from_numpy(given) if as_tensor else given)
    again = euler_to_matrix(matrix_to_euler(matrix))
    distance = geodesic_distance_deg(matrix, again)
    for result in (matrix, again, mirror_rotation(matrix), distance):
        assert np.asarray(result).dtype == np.float32
    assert matrix.shape == (*shape, 3, 3)
    np.testing.assert_allclose(np.asarray(matrix).reshape(6, 3, 3), exact, atol=1e-5)
    np.testing.assert_allclose(np.asarray(again), np.asarray(matrix), atol=1e-5)
    np.testing.assert_allclose(np.asarray(distance), 0, atol=1e-2)


@given(st.lists(st.floats(-1e3, 1e3, width=32), min_size=6, max_size=6))
def test_six_numbers_make_the_rotation_whose_first_columns_they_span(outputs):
    a, b = np.reshape(outputs, (2, 3))
    assume(np.linalg.norm(a) > 1e-2 and np.linalg.norm(np.cross(a, b)) > 1e-2 * np.linalg.norm(a) * np.linalg.norm(b))
    assume(np.linalg.norm(b) > 1e-2)
    head = Rotation6dHead(1)
    rotation = head.rotation(torch.tensor([outputs]))
    (x, y, _) = rotation[0].double().numpy().T
    assert is_rotation(rotation[0].numpy())
    np.testing.assert_allclose(x * np.linalg.norm(a), a, rtol=1e-5, atol=1e-5 * np.linalg.norm(a))
    assert y @ b > 0
    assert abs(np.linalg.det([x, y, b])) < 1e-4 * np.linalg.norm(b)
    columns = rotation[0, :, :2].T.reshape(1, 6)
    np.testing.assert_allclose(head.rotation(columns).numpy(), rotation.numpy(), atol=1e-4)


@given(angles, st.booleans(), turns)
def test_both_forms_of_a_label_follow_a_picture_that_is_mirrored_and_turned_and_back(euler_deg, mirrored, roll_deg):
    euler, rotation = torch.from_numpy(euler_deg)[None], torch.from_numpy(scipy_matrix(euler_deg))[None]
    still, flips = torch.zeros(1), torch.tensor([mirrored])
    there = Motion(flips, torch.tensor([roll_deg], dtype=torch.float64))
    moved, angles_moved = there.labels(rotation, euler)
    np.testing.assert_allclose(euler_to_matrix(angles_moved), moved, atol=1e-9)
    back = Motion(flips, still).rotation(Motion(torch.tensor([False]), -there.roll_deg).rotation(moved))
    np.testing.assert_allclose(back, rotation, atol=1e-12)
