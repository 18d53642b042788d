"""The pose-aware tasks: an equivariant network has no loss, whatever else it predicts."""

import math

import pytest
import torch
from pydantic import ValidationError
from scipy.spatial.transform import Rotation

from pipeline_steps.images.augmentation import Augmentation, Motion
from pipeline_steps.network.pose_heads import Rotation6dHead
from pipeline_steps.pose.geometry import euler_to_matrix
from pipeline_steps.pose.losses import geodesic_loss
from pipeline_steps.pretext.flip_consistency import FlipConsistency
from pipeline_steps.pretext.roll_equivariance import RollEquivariance
from tests.optimise import losses_while_optimised

TASKS = [FlipConsistency(), RollEquivariance()]


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def images(n=8):
    return torch.rand(n, 3, 16, 16, generator=generator(1))


def poses(n=8):
    return torch.tensor(Rotation.random(n, random_state=0).as_matrix(), dtype=torch.float32)


@pytest.mark.parametrize("task", TASKS)
def test_views_follow_the_generator_and_leave_torchs_alone(task):
    before = torch.get_rng_state()
    a, b, c = (task.views(images(), generator(seed)) for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(a.inputs, b.inputs)
    assert not torch.equal(a.inputs, c.inputs)
    assert torch.equal(a.inputs[:8], images())


@pytest.mark.parametrize("task", TASKS)
def test_an_equivariant_prediction_costs_nothing(task):
    motion = task.views(images(), generator()).targets
    loss, metrics = task.loss(torch.cat([poses(), motion.rotation(poses())]), motion)
    assert loss.item() < 1e-3
    assert metrics["error_deg"] < 0.1


def test_the_loss_is_the_missing_angle():
    motion = Motion(torch.tensor([False, True]), torch.tensor([20.0, 0.0]))
    yaw = euler_to_matrix(torch.tensor([[0.0, 0, 0], [15, 0, 0]]))
    loss, _ = RollEquivariance().loss(torch.cat([yaw, yaw]), motion)
    assert loss.item() == pytest.approx(math.radians((20 + 30) / 2), abs=1e-3)


def test_the_geodesic_loss_is_scipys_magnitude():
    a, b = Rotation.random(16, random_state=1), Rotation.random(16, random_state=2)
    loss = geodesic_loss(torch.tensor(a.as_matrix()), torch.tensor(b.as_matrix()))
    assert loss.item() == pytest.approx((a * b.inv()).magnitude().mean(), abs=1e-3)


@pytest.mark.parametrize("task", TASKS)
def test_the_loss_falls_when_the_predictions_are_optimised(task):
    motion = task.views(images(), generator()).targets
    raw = torch.randn(16, 6, generator=generator(2), requires_grad=True)
    head = Rotation6dHead(4)
    losses = losses_while_optimised(lambda: task.loss(head.rotation(raw), motion)[0], [raw], 0.05, 150)
    assert losses[-1] < 0.2 * losses[0]


def test_with_stop_gradient_the_original_is_only_a_label():
    motion = RollEquivariance().views(images(), generator()).targets
    for stop_gradient in (True, False):
        outputs = torch.cat([poses(), poses()]).requires_grad_()
        RollEquivariance(stop_gradient=stop_gradient).loss(outputs, motion)[0].backward()
        assert outputs.grad[:8].abs().sum().eq(0) == stop_gradient
        assert outputs.grad[8:].abs().sum() > 0


def test_the_hinge_loss_penalises_the_same_pose_for_every_image():
    frontal = torch.eye(3).expand(16, 3, 3)
    motion = FlipConsistency().views(images(), generator()).targets
    assert FlipConsistency().loss(frontal, motion)[0].item() < 1e-3
    assert FlipConsistency(min_dispersion_deg=15.0).loss(frontal, motion)[0].item() == pytest.approx(
        math.radians(15), abs=1e-3
    )
    dispersed = torch.cat([poses(), motion.rotation(poses())])
    assert FlipConsistency(min_dispersion_deg=15.0).loss(dispersed, motion)[0].item() < 1e-3


@pytest.mark.parametrize("task", TASKS)
def test_labels_of_both_views(task):
    euler = torch.tensor([[20.0, 5, -10]]).repeat(8, 1)
    motion = task.views(images(), generator()).targets
    rotation, angles = task.view_labels(euler_to_matrix(euler), euler, motion)
    assert torch.equal(angles[:8], euler)
    torch.testing.assert_close(euler_to_matrix(angles), rotation, atol=1e-5, rtol=0)
    assert not torch.equal(angles[8:], euler)


def test_a_view_without_the_required_motion_is_refused():
    with pytest.raises(ValidationError, match=r"flip must be 1\.0"):
        FlipConsistency(view=Augmentation(flip=0.5))
    with pytest.raises(ValidationError, match="roll must be above 0"):
        RollEquivariance(view=Augmentation(flip=0.5))
