"""The joint-embedding tasks: views that follow the generator, losses as NumPy computes them, and teachers."""

import copy
import math

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from pipeline_steps.images.augmentation import Augmentation
from pipeline_steps.pose.geometry import euler_to_matrix
from pipeline_steps.pretext.barlow_twins import BarlowTwins
from pipeline_steps.pretext.byol import Byol
from pipeline_steps.pretext.dino import Dino
from pipeline_steps.pretext.simclr import SimClr
from pipeline_steps.pretext.vicreg import VicReg
from tests.optimise import losses_while_optimised

WITHOUT_TEACHER = [SimClr(hidden=32, output=8), BarlowTwins(hidden=32, output=8), VicReg(hidden=32, output=8)]
WITH_TEACHER = [Byol(hidden=32, output=8), Dino(hidden=32, bottleneck=8, output=8)]
TASKS = WITHOUT_TEACHER + WITH_TEACHER
IDS = [task.kind for task in TASKS]
every_task = pytest.mark.parametrize("task", TASKS, ids=IDS)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def images(n=8):
    return torch.rand(n, 3, 16, 16, generator=generator(1))


def random(n, d, seed=0):
    return torch.randn(n, d, generator=generator(seed))


def softmax(logits):
    e = np.exp(logits - logits.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def unit(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@every_task
def test_views_follow_the_generator_and_leave_torchs_alone(task):
    before = torch.get_rng_state()
    a, b, c = (task.views(images(), generator(seed)).inputs for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), before)
    assert a.shape == (16, 3, 16, 16)
    assert torch.equal(a, b)
    assert not torch.equal(a, c)
    assert not torch.equal(a[:8], a[8:])


@every_task
def test_by_default_no_view_moves_the_head(task):
    motion = task.views(images(64), generator()).targets
    assert len(motion.mirrored) == 128
    assert not motion.mirrored.any()
    assert not motion.roll_deg.any()


def test_mirrored_views_take_the_pose_labels_along():
    task = SimClr(view=Augmentation(flip=1.0))
    views = task.views(images(2), generator())
    assert torch.equal(views.inputs, torch.cat([images(2).flip(3)] * 2))
    euler = torch.tensor([[20.0, 5, -10], [-30, 0, 4]])
    rotation, angles = task.view_labels(euler_to_matrix(euler), euler, views.targets)
    assert angles.tolist() == [[-20, 5, 10], [30, 0, -4]] * 2
    torch.testing.assert_close(rotation, euler_to_matrix(angles))


def test_each_view_is_mirrored_or_not_by_itself():
    mirrored = SimClr(view=Augmentation(flip=0.5)).views(images(64), generator()).targets.mirrored
    both = {(a, b) for a, b in mirrored.reshape(2, 64).T.tolist()}
    assert both == {(False, False), (False, True), (True, False), (True, True)}


def test_keys_of_the_view_that_are_not_given_keep_the_tasks_default():
    view = Byol.model_validate({"view": {"hue": 0.0, "scale": [0.5, 1.0]}}).view
    assert view == Byol().view.model_copy(update={"hue": 0.0, "scale": (0.5, 1.0)})
    assert view.flip == 0
    with pytest.raises(ValidationError, match="vertical_flip"):
        Byol.model_validate({"view": {"vertical_flip": 0.5}})


def test_views_beyond_the_crop_are_refused():
    with pytest.raises(ValidationError, match="scale must not exceed 1"):
        VicReg(view=Augmentation(scale=(0.9, 1.1)))


def test_simclr_is_the_cross_entropy_of_the_positive():
    outputs = random(6, 5)
    loss, _ = SimClr(temperature=0.2).loss(outputs, None)
    z = unit(outputs.double().numpy())
    expected = []
    for i in range(6):
        alike = np.exp(z @ z[i] / 0.2)
        expected.append(-np.log(alike[(i + 3) % 6] / (alike.sum() - alike[i])))
    assert loss.item() == pytest.approx(np.mean(expected), rel=1e-5)


def test_simclrs_accuracy_counts_the_views_whose_positive_is_nearest():
    x, y, z = torch.eye(3)
    _, metrics = SimClr().loss(torch.stack([x, y, z, x, y + 0.1 * z, x + 0.1 * y]), None)
    assert metrics["accuracy"].item() == pytest.approx(4 / 6)


def test_barlow_twins_is_the_distance_of_the_cross_correlation_from_the_identity():
    outputs = random(12, 4)
    loss, _ = BarlowTwins(redundancy=0.1).loss(outputs, None)
    correlation = np.corrcoef(outputs.double().numpy().reshape(2, 6, 4).transpose(0, 2, 1).reshape(8, 6))[:4, 4:]
    off = correlation[~np.eye(4, dtype=bool)]
    expected = ((np.diag(correlation) - 1) ** 2).sum() + 0.1 * (off**2).sum()
    assert loss.item() == pytest.approx(expected, rel=1e-3), "up to the epsilon of the standardisation"


def test_vicreg_is_the_sum_of_its_three_terms():
    outputs = 0.7 * random(12, 4)
    a, b = outputs.double().numpy().reshape(2, 6, 4)
    invariance = ((a - b) ** 2).mean()
    variance = np.mean([np.maximum(0, 1 - np.sqrt(x.var(0, ddof=1) + 1e-4)).mean() for x in (a, b)])
    covariance = sum((np.cov(x.T)[~np.eye(4, dtype=bool)] ** 2).sum() / 4 for x in (a, b))
    for weights in ((25, 25, 1), (1, 0, 0), (0, 1, 0), (0, 0, 1)):
        i, v, c = map(float, weights)
        loss, _ = VicReg(invariance=i, variance=v, covariance=c).loss(outputs, None)
        assert loss.item() == pytest.approx(i * invariance + v * variance + c * covariance, rel=1e-5)
    assert min(invariance, variance, covariance) > 0.01


def test_byol_is_the_squared_distance_to_the_teachers_embedding_of_the_other_view():
    outputs, targets = random(6, 4), random(6, 4, 1)
    p, t = (unit(x.double().numpy()) for x in (outputs, targets))
    expected = np.mean([((p[i] - t[(i + 3) % 6]) ** 2).sum() for i in range(6)])
    assert Byol().loss(outputs, targets)[0].item() == pytest.approx(expected, rel=1e-5)


def test_byol_costs_nothing_where_the_prediction_is_right_whatever_its_length():
    first, second = random(3, 4), random(3, 4, 1)
    targets = torch.cat([first, second])
    assert Byol().loss(3 * torch.cat([second, first]), targets)[0].item() == pytest.approx(0, abs=1e-6)
    assert Byol().loss(-torch.cat([second, first]), targets)[0].item() == pytest.approx(4)
    assert Byol().loss(targets, targets)[0].item() > 0.1


def test_dino_is_the_cross_entropy_with_the_teachers_classes_of_the_other_view():
    outputs, targets = 0.3 * random(6, 5), 0.3 * random(6, 5, 1)
    loss, _ = Dino(temperature=0.2, teacher_temperature=0.05).loss(outputs, targets)
    student, teacher = outputs.double().numpy(), targets.double().numpy()
    log_p, q = np.log(softmax(student / 0.2)), softmax((teacher - teacher.mean(0)) / 0.05)
    expected = np.mean([-(q[(i + 3) % 6] * log_p[i]).sum() for i in range(6)])
    assert loss.item() == pytest.approx(expected, rel=1e-5)


def test_a_class_that_the_teacher_gives_to_every_image_counts_for_nothing():
    outputs, targets = random(6, 5), random(6, 5, 1)
    favoured = targets + torch.tensor([100.0, 0, 0, 0, 0])
    torch.testing.assert_close(Dino().loss(outputs, favoured), Dino().loss(outputs, targets), rtol=1e-3, atol=0)


@every_task
def test_the_embedding_std_shows_collapse(task):
    evenly = torch.cat([torch.eye(8), -torch.eye(8)])
    for outputs, expected in ((evenly, 1), (torch.ones(16, 8), 0)):
        assert task.loss(outputs, random(16, 8))[1]["embedding_std"].item() == pytest.approx(expected, abs=1e-6)


@every_task
def test_losses_are_computed_in_float32(task):
    outputs, targets = random(16, 8), random(16, 8, 1)
    with torch.autocast("cpu", torch.bfloat16):
        mixed, _ = task.loss(outputs, targets)
    assert torch.equal(mixed, task.loss(outputs, targets)[0])


@every_task
def test_the_loss_falls_when_the_outputs_are_optimised(task):
    torch.manual_seed(0)
    head, targets = task.head(16), random(16, 8, 1)
    features = random(16, 16).requires_grad_()
    parameters = [features, *head.parameters()]
    losses = losses_while_optimised(lambda: task.loss(head(features), targets)[0], parameters, 0.02, 100)
    assert losses[-1] < 0.1 * losses[0]


@every_task
def test_two_images_are_enough(task):
    outputs = random(4, 8).requires_grad_()
    loss, metrics = task.loss(outputs, random(4, 8, 1))
    loss.backward()
    assert outputs.grad.abs().sum() > 0
    assert all(torch.isfinite(value) for value in (loss, *metrics.values()))


@every_task
def test_heads_can_be_copied_saved_and_restored(task):
    torch.manual_seed(0)
    head, other = task.head(16).eval(), task.head(16).eval()
    features = random(4, 16)
    expected = head(features)
    expected.sum().backward()
    copied = copy.deepcopy(head).requires_grad_(False)
    assert torch.equal(copied(features), expected)
    other.load_state_dict(head.state_dict(), strict=True)
    assert torch.equal(other(features), expected)
    for parameter in copied.parameters():
        parameter.zero_()
    assert torch.equal(head(features), expected), "a copy shares no weights"


@pytest.mark.parametrize("task", WITH_TEACHER, ids=IDS[3:])
def test_the_teacher_stands_still_at_the_end(task):
    momenta = [task.model_copy(update={"momentum": 0.9}).teacher_momentum(p) for p in (0, 1 / 3, 0.5, 1)]
    assert momenta == pytest.approx([0.9, 0.925, 0.95, 1])
    assert task.teacher_momentum(0) == 0.99


@pytest.mark.parametrize("task", WITHOUT_TEACHER, ids=IDS[:3])
def test_only_byol_and_dino_have_a_teacher(task):
    assert task.teacher_momentum(0.0) is None


def test_byols_teacher_projects_and_does_not_predict():
    head = Byol(hidden=32, output=8).head(16).eval()
    features = random(4, 16)
    projected = Byol().teacher_outputs(head, features)
    assert torch.equal(head[1](projected), head(features))
    assert not torch.equal(projected, head(features))


def test_dinos_logits_are_cosines():
    head = Dino(hidden=32, bottleneck=8, output=8).head(16)
    bottleneck, directions = head.layers(random(4, 16)), head.last_layer.weight
    expected = torch.nn.functional.cosine_similarity(bottleneck[:, None], directions[None], dim=2)
    torch.testing.assert_close(head(random(4, 16)), expected)
    assert math.isclose(directions.norm(dim=1).mean().item(), 1, rel_tol=1e-6)
