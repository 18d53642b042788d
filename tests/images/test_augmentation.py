"""Training windows are cut out of the stored crop where the parameters say, and labels follow the mirror."""

import numpy as np
import torch
from scipy.spatial.transform import Rotation

from pipeline_steps.images.augmentation import Augmentation, BatchAugmentation, Motion, RandomWindow
from pipeline_steps.pose.geometry import euler_to_matrix, matrix_to_euler

SIZE, STORED = 32, 48


def coordinates(count: int) -> torch.Tensor:
    """Images (count, 3, STORED, STORED) whose first channels hold every pixel's x and y (middles, in pixels)."""
    middle = torch.arange(STORED) + 0.5
    x, y = middle.expand(STORED, STORED), middle[:, None].expand(STORED, STORED)
    return torch.stack([x, y, torch.zeros_like(x)]).expand(count, -1, -1, -1).clone()


def windows(scale: tuple[float, float], shift: float, count: int = 400) -> tuple[np.ndarray, np.ndarray]:
    """Side (count,) and centre (count, 2) of the windows in stored pixels, read off the coordinates they show."""
    torch.manual_seed(0)
    seen = RandomWindow(SIZE, scale, shift)(coordinates(count))[0][:, :2].numpy()
    step = seen[:, 0, 0, 2] - seen[:, 0, 0, 1]
    first = np.stack([seen[:, 0, 0, 1], seen[:, 1, 1, 0]], 1) - 1.5 * step[:, None]
    return step * SIZE, first + step[:, None] * SIZE / 2


def test_without_randomness_the_crop_itself_is_cut_exactly():
    images = torch.rand(2, 3, STORED, STORED)
    assert torch.equal(RandomWindow(SIZE, (1.0, 1.0), 0.0)(images)[0], images[..., 8:40, 8:40])


def test_windows_have_the_sides_and_places_that_were_asked_for():
    side, centre = windows((0.8, 1.2), 0.1)
    assert 0.8 * SIZE - 0.01 <= side.min() < 0.85 * SIZE
    assert 1.15 * SIZE < side.max() <= 1.2 * SIZE + 0.01
    moved = (centre - STORED / 2) / SIZE
    assert 0.09 < np.abs(moved).max() <= 0.1 + 1e-3
    assert np.abs(moved.mean(0)).max() < 0.01, "to all sides alike"


def test_no_window_leaves_what_is_stored():
    side, centre = windows((1.3, 1.5), 0.5)
    assert (centre - side[:, None] / 2 > -0.1).all()
    assert (centre + side[:, None] / 2 < STORED + 0.1).all()


def test_the_mirror_turns_picture_and_label():
    images, euler = torch.rand(8, 3, STORED, STORED), torch.tensor([[30.0, -10, 5]]).repeat(8, 1)
    augment = BatchAugmentation(Augmentation(flip=1.0), SIZE)
    seen, motion = augment(images)
    rotation, angles = motion.labels(euler_to_matrix(euler), euler)
    assert torch.equal(seen, images.flip(3)[..., 8:40, 8:40])
    assert angles[0].tolist() == [-30, -10, -5]
    torch.testing.assert_close(matrix_to_euler(rotation), angles, atol=1e-3, rtol=0)


def test_a_turned_picture_and_its_label_turn_together():
    """A bar from the centre to the top of the picture is a head's own up axis: both must tilt to the same side."""
    images = torch.zeros(64, 3, STORED, STORED)
    images[..., 4 : STORED // 2, STORED // 2 - 1 : STORED // 2 + 1] = 1
    torch.manual_seed(0)
    seen, motion = BatchAugmentation(Augmentation(flip=0.0, roll=40.0), SIZE)(images)
    upright = torch.zeros(64, 3)
    rotation, angles = motion.labels(euler_to_matrix(upright), upright)
    assert angles[:, 2].abs().max() > 30
    assert angles[:, :2].abs().max() < 1e-3
    column = torch.arange(SIZE) - (SIZE - 1) / 2
    weight = seen[:, 0] * (column.abs()[:, None] < SIZE / 2 - 1)
    x, y = (weight * column).sum((1, 2)), -(weight * column[:, None]).sum((1, 2))
    drawn = torch.atan2(x, y).rad2deg()
    torch.testing.assert_close(drawn, angles[:, 2], atol=1.5, rtol=0)
    up = rotation[:, :, 1]
    torch.testing.assert_close(torch.atan2(up[:, 0], up[:, 1]).rad2deg(), angles[:, 2], atol=1e-3, rtol=0)


def test_a_motion_is_a_change_of_the_camera_by_scipy():
    euler = torch.tensor([[30.0, -10, 5], [-70, 20, 100]], dtype=torch.float64)
    label = euler_to_matrix(euler)
    moved = Motion(torch.tensor([False, False]), torch.tensor([25.0, -60.0])).rotation(label).numpy()
    clockwise = Rotation.from_rotvec([[0, 0, -25], [0, 0, 60]], degrees=True)
    np.testing.assert_allclose(moved, (clockwise * Rotation.from_matrix(label.numpy())).as_matrix(), atol=1e-6)
