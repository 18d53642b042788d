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


def distances_from(x: float, y: float) -> torch.Tensor:
    """An image (STORED, STORED) of every pixel's distance from a point, in pixels."""
    middle = torch.arange(STORED) + 0.5
    return torch.hypot(middle - x, middle[:, None] - y)


def test_what_a_rotated_window_would_show_beyond_the_stored_picture_is_mirrored_at_a_circle():
    """A picture of rings is the same at every angle, and so must be its windows: by hand, to the corners.

    The window is the whole picture; its nearest edge is the middle of the outermost pixel.
    """
    rings = distances_from(STORED / 2, STORED / 2)
    images = (rings / STORED).expand(32, 3, -1, -1).clone()
    torch.manual_seed(0)
    seen, roll_deg = RandomWindow(STORED, (1.0, 1.0), 0.0, roll=180.0)(images)
    assert roll_deg.abs().max() > 150
    edge = STORED / 2 - 0.5
    expected = torch.where(rings > edge, 2 * edge - rings, rings)
    torch.testing.assert_close(seen * STORED, expected.expand_as(seen), atol=0.3, rtol=0)


def test_rotated_windows_use_what_is_stored_around_the_crop():
    """The window's circle reaches the nearest edge of what is stored, and all that it shows lies within."""
    torch.manual_seed(0)
    windows, roll_deg = RandomWindow(SIZE, (0.8, 1.2), 0.1, roll=40.0)(coordinates(64))
    centre = windows[:, :2, SIZE // 2 - 1 : SIZE // 2 + 1, SIZE // 2 - 1 : SIZE // 2 + 1].mean((2, 3))
    nearest_edge = torch.minimum(centre, STORED - centre).amin(1) - 0.5
    right = windows[:, :2, SIZE // 2, SIZE // 2 + 1] - windows[:, :2, SIZE // 2, SIZE // 2]
    step = right.norm(dim=1)
    torch.testing.assert_close(torch.atan2(-right[:, 1], right[:, 0]).rad2deg(), roll_deg, atol=0.1, rtol=0)
    offset = torch.arange(SIZE) + 0.5 - SIZE / 2
    wanted = step[:, None, None] * torch.hypot(offset, offset[:, None])
    edge = nearest_edge[:, None, None]
    shown = (windows[:, :2] - centre[:, :, None, None]).norm(dim=1)
    torch.testing.assert_close(shown, torch.where(wanted > edge, 2 * edge - wanted, wanted), atol=0.05, rtol=0)
    assert (wanted > edge).any(), "some corners lie beyond"
    assert (wanted > edge).float().mean() < 0.15, "and fewer than the 21% outside the inscribed circle"


def test_a_motion_is_a_change_of_the_camera_by_scipy():
    euler = torch.tensor([[30.0, -10, 5], [-70, 20, 100]], dtype=torch.float64)
    label = euler_to_matrix(euler)
    moved = Motion(torch.tensor([False, False]), torch.tensor([25.0, -60.0])).rotation(label).numpy()
    clockwise = Rotation.from_rotvec([[0, 0, -25], [0, 0, 60]], degrees=True)
    np.testing.assert_allclose(moved, (clockwise * Rotation.from_matrix(label.numpy())).as_matrix(), atol=1e-6)


def test_a_share_of_the_images_is_rotated_and_the_others_are_as_without_rotation():
    torch.manual_seed(0)
    images = torch.rand(400, 3, STORED, STORED)
    windows, roll_deg = RandomWindow(STORED, (1.0, 1.0), 0.0, roll=30.0, rolled=0.25)(images)
    upright = roll_deg.eq(0)
    assert 0.65 < upright.float().mean() < 0.85
    torch.testing.assert_close(windows[upright], images[upright], atol=1e-5, rtol=0)
    assert (windows[~upright] - images[~upright]).abs().amax((1, 2, 3)).min() > 0.1
    _, every = RandomWindow(STORED, (1.0, 1.0), 0.0, roll=30.0)(images)
    assert every.ne(0).all()
