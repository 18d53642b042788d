"""Pretext tasks: labels that say what was done, losses that fall, no pixel invented."""

import pytest
import torch

from pipeline_steps.pose.geometry import euler_to_matrix
from pipeline_steps.pretext.puzzling import Puzzling
from pipeline_steps.pretext.rotation import Rotation
from tests.optimise import losses_while_optimised

TASKS = [Rotation(), Puzzling(), Puzzling(grid=3), Puzzling(turn_tiles=True)]


def images(n=8, size=12):
    return torch.rand(n, 3, size, size, generator=torch.Generator().manual_seed(0))


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("task", TASKS)
def test_views_follow_the_generator(task):
    a, b, c = (task.views(images(), generator(seed)) for seed in (1, 1, 2))
    assert torch.equal(a.inputs, b.inputs)
    assert torch.equal(a.targets, b.targets)
    assert not torch.equal(a.inputs, c.inputs)


@pytest.mark.parametrize("task", TASKS)
def test_views_move_pixels_and_invent_none(task):
    x = images()
    assert torch.equal(task.views(x, generator()).inputs.flatten(2).sort().values, x.flatten(2).sort().values)


@pytest.mark.parametrize("task", TASKS)
def test_the_loss_falls_when_the_outputs_are_optimised(task):
    torch.manual_seed(0)
    head = task.head(16).eval()
    views = task.views(images(), generator())
    features = torch.randn(8, 16, requires_grad=True)
    parameters = [features, *head.parameters()]
    losses = losses_while_optimised(lambda: task.loss(head(features), views.targets)[0], parameters, 0.1, 150)
    assert losses[-1] < 0.1 * losses[0]
    assert task.loss(head(features), views.targets)[1]["accuracy"] == 1


def test_rotation_labels_count_counter_clockwise_quarter_turns():
    x = images(64)
    views = Rotation().views(x, generator())
    assert set(views.targets.tolist()) == {0, 1, 2, 3}
    for before, after, k in zip(x, views.inputs, views.targets.tolist(), strict=True):
        for _ in range(k):  # counter-clockwise: the right edge becomes the top
            before = before.transpose(1, 2).flip(1)
        assert torch.equal(before, after)


def test_rotation_takes_the_pose_label_along():
    upright = euler_to_matrix(torch.zeros(4, 3))
    _, euler = Rotation().view_labels(upright, torch.zeros(4, 3), torch.arange(4))
    assert euler[:, 2].abs().tolist() == pytest.approx([0, 90, 180, 90], abs=1e-4)
    assert euler[1, 2] < 0 < euler[3, 2], "counter-clockwise tilts the top of the head to the left: negative roll"


def test_puzzling_targets_name_the_tile_in_every_slot():
    x = images()
    views = Puzzling().views(x, generator(3))
    corners = [(0, 0), (0, 6), (6, 0), (6, 6)]
    for before, after, order in zip(x, views.inputs, views.targets.tolist(), strict=True):
        for (row, column), tile in zip(corners, order, strict=True):
            r, c = corners[tile]
            assert torch.equal(after[:, row : row + 6, column : column + 6], before[:, r : r + 6, c : c + 6])


def test_uniform_guessing_costs_the_logarithm_of_the_number_of_answers():
    loss, _ = Puzzling(grid=3).loss(torch.zeros(5, 81), torch.zeros(5, 9, dtype=torch.long))
    assert loss.item() == pytest.approx(2.1972246)


def test_what_tiles_leave_free_at_the_edges_is_grey():
    x = images(size=13)
    seen = Puzzling(grid=3).views(x, generator()).inputs
    assert seen.shape == x.shape
    assert (seen[..., 12, :] == 0.5).all()
    assert (seen[..., 12] == 0.5).all()
    assert torch.equal(seen[..., :12, :12].flatten(2).sort().values, x[..., :12, :12].flatten(2).sort().values)
