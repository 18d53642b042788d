"""The training step: which images feed which loss, how losses are weighted, and teachers that follow."""

import math
from collections.abc import Mapping

import lightning.pytorch as pl
import pytest
import torch
from torch import Tensor, nn

from pipeline_steps.images.augmentation import Augmentation
from pipeline_steps.network.hybrid import HybridNetwork
from pipeline_steps.params.sections import Training
from pipeline_steps.params.steps import Auxiliary
from pipeline_steps.pose.geometry import euler_to_matrix
from pipeline_steps.pretext.base import PretextTask, Views
from pipeline_steps.pretext.roll_equivariance import RollEquivariance
from pipeline_steps.pretext.rotation import Rotation
from pipeline_steps.training.data import EpochSampler
from pipeline_steps.training.multi_task import Labelled, MultiTask
from pipeline_steps.training.schedule import weight_factor
from tests.optimise import losses_while_optimised

SIZE = 32


class Recorder(PretextTask):
    """Its views are the images, darkened, and their mirror images; all images that it gets are appended to SEEN."""

    kind: str = "recorder"
    brightness: float = 1.0
    has_teacher: bool = False
    momentum: float = 0.9

    def views(self, images: Tensor, generator: torch.Generator) -> Views:
        SEEN.append(images)
        images = self.brightness * images
        return Views(torch.cat([images, images.flip(3)]), None)

    def head(self, features: int) -> nn.Module:
        return nn.Linear(features, 4)

    def loss(self, outputs: Tensor, targets: Tensor | None) -> tuple[Tensor, dict[str, Tensor]]:
        if self.has_teacher:
            assert targets.shape == outputs.shape
            assert not targets.requires_grad
            return (outputs - targets.detach()).square().mean() + outputs.mean(), {}
        return outputs.square().mean(), {}

    def teacher_momentum(self, progress: float) -> float | None:
        return self.momentum if self.has_teacher else None


SEEN: list[Tensor] = []


def module(
    tasks: Mapping[str, PretextTask], pose_head: str | None = "rotation_6d", weight: float = 1.0, **more
) -> MultiTask:
    """weight: of every task's loss; more: further arguments of MultiTask."""
    torch.manual_seed(0)
    training = Training(
        epochs=1, batch_size=2, learning_rate=0.01, warmup_epochs=0, augmentation=Augmentation(flip=0.0)
    )
    # not validated, because params.yaml offers the project's own tasks alone
    auxiliary = {name: Auxiliary.model_construct(weight=weight, task=task) for name, task in tasks.items()}
    return MultiTask(HybridNetwork("resnet18", pose_head, auxiliary), training, SIZE, 0, **more)


def batch(value: float, n: int = 2) -> dict[str, Tensor]:
    euler = torch.zeros(n, 3)
    return {
        "images": torch.full((n, 3, SIZE, SIZE), int(value * 255), dtype=torch.uint8),
        "rotation": euler_to_matrix(euler),
        "euler_deg": euler,
    }


def train(trained: MultiTask, batches: list[dict], callbacks: list | None = None) -> pl.Trainer:
    trainer = pl.Trainer(
        accelerator="cpu", max_epochs=1, logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, callbacks=callbacks or [],
    )  # fmt: skip
    trainer.fit(trained, torch.utils.data.DataLoader(batches, batch_size=None))
    return trainer


@pytest.fixture(autouse=True)
def _forget():
    SEEN.clear()


def test_tasks_see_unlabelled_images_where_there_are_some_and_the_pose_loss_does_not():
    trained = module({"recorder": Recorder()})
    train(trained, [{"labelled": batch(0.2), "unlabelled": batch(0.8, 3)}])
    assert len(SEEN[-1]) == 3
    assert SEEN[-1].mean().item() == pytest.approx(0.8, abs=0.01)
    assert trained.backbone_passes == 2 + 6
    train(trained, [{"labelled": batch(0.2)}])
    assert SEEN[-1].mean().item() == pytest.approx(0.2, abs=0.01)
    assert trained.backbone_passes == 2 + 4


def test_a_teacher_is_a_moving_average_of_its_student():
    trained = module({"recorder": Recorder(has_teacher=True)}, pose_head=None)
    teacher = dict(trained.teachers["recorder"].named_parameters())
    before = {name: p.clone() for name, p in teacher.items()}
    weights = list(trained.network.backbone.parameters())
    start = [p.detach().clone() for p in weights]
    train(trained, [{"unlabelled": batch(0.5)}])
    moved = [not torch.equal(a, b) for a, b in zip(start, weights, strict=True)]
    assert any(moved)
    for i, (name, was) in enumerate(list(before.items())[: len(weights)]):
        torch.testing.assert_close(teacher[name], 0.9 * was + 0.1 * weights[i].detach(), atol=1e-6, rtol=1e-4)
    assert trained.backbone_passes == 4 + 4
    assert not any(p.requires_grad for p in teacher.values())
    assert not any("teachers" in name for name, _ in trained.trained_parameters())


def test_pose_aware_tasks_read_the_pose_head_and_have_one_of_their_own_in_pretraining():
    task = {"roll": RollEquivariance()}
    hybrid, pretraining = module(task), module(task, pose_head=None)
    assert hybrid.network.pretext_pose_head is None
    assert pretraining.network.pretext_pose_head is not None
    for trained, labelled in ((hybrid, True), (pretraining, False)):
        images = torch.rand(4, 3, SIZE, SIZE)
        label = Labelled(images, torch.eye(3).expand(4, 3, 3), torch.zeros(4, 3)) if labelled else None
        losses, _ = trained.losses(label, images, torch.Generator().manual_seed(0))
        losses["roll"].backward()
        head = trained.network.pose_head or trained.network.pretext_pose_head
        assert head.linear.weight.grad.abs().sum() > 0
    assert set(hybrid.network.inference_state()) == {
        k for k in hybrid.network.state_dict() if k.startswith(("backbone.", "pose_head."))
    }
    assert not any("head" in key for key in pretraining.network.inference_state())


def test_in_single_view_mode_the_pose_loss_sees_every_view_with_its_label():
    trained = module({"roll": RollEquivariance()}, views="single_view")
    images = torch.rand(4, 3, SIZE, SIZE)
    label = Labelled(images, torch.eye(3).expand(4, 3, 3), torch.zeros(4, 3))
    losses, _ = trained.losses(label, images, torch.Generator().manual_seed(0))
    assert torch.isfinite(losses["pose"])
    assert losses["pose"].item() > 0


def test_a_single_view_belongs_to_exactly_one_task():
    for tasks in ({}, {"roll": RollEquivariance(), "rotation": Rotation()}):
        with pytest.raises(ValueError, match="single_view needs exactly one auxiliary task"):
            module(tasks, views="single_view")


def test_the_order_of_the_tasks_changes_no_loss():
    """Views, heads and losses belong together by name, not by their position in the batch."""
    images = torch.rand(4, 3, SIZE, SIZE)
    label = Labelled(images, torch.eye(3).expand(4, 3, 3), torch.zeros(4, 3))
    tasks = {"bright": Recorder(), "dark": Recorder(brightness=0.2)}
    found = []
    for names in (["bright", "dark"], ["dark", "bright"]):
        trained = module({name: tasks[name] for name in names})
        for head in trained.network.auxiliary_heads.values():
            nn.init.constant_(head.weight, 0.1)
            nn.init.zeros_(head.bias)
        losses, _ = trained.losses(label, images, torch.Generator().manual_seed(0))
        found.append({name: loss.item() for name, loss in losses.items()})
    assert found[0].keys() == {"pose", "bright", "dark"}
    assert found[0] == pytest.approx(found[1], rel=1e-4)
    assert found[0]["bright"] != pytest.approx(found[0]["dark"], rel=0.1)


class Losses(pl.Callback):
    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
        self.metrics = {k: float(v) for k, v in trainer.callback_metrics.items()}

    def on_train_epoch_end(self, trainer, module):
        self.metrics = {k: float(v) for k, v in trainer.callback_metrics.items()}


@pytest.mark.parametrize("weighting", ["fixed", "annealed", "ramped", "uncertainty"])
def test_the_total_is_the_weighted_sum(weighting):
    trained = module({"rotation": Rotation()}, weight=0.3, weighting=weighting)
    losses = Losses()
    train(trained, [{"labelled": batch(0.5)}], [losses])
    m = losses.metrics
    factor = {"fixed": 0.3, "annealed": 0.3, "ramped": 0.0, "uncertainty": 0.3}[weighting]
    expected = m["train_pose_loss"] + factor * m["train_rotation_loss"]
    assert m["train_loss"] == pytest.approx(expected, rel=1e-5)


def test_uncertainty_weights_settle_where_every_loss_counts_alike():
    """At the minimum of exp(-s) L + s, s = log L, every loss contributes 1."""
    trained = module({"recorder": Recorder()}, weighting="uncertainty")
    parameters = trained.log_variances.parameters()
    losses_while_optimised(lambda: trained.weighted("pose", torch.tensor(0.1)), parameters, 0.05, 400)
    assert trained.log_variances["pose"].item() == pytest.approx(math.log(0.1), abs=0.01)


def test_weights_over_a_training():
    assert [weight_factor("annealed", p) for p in (0, 0.5, 1)] == pytest.approx([1, 0.5, 0])
    assert [weight_factor("ramped", p) for p in (0, 0.15, 0.3, 1)] == pytest.approx([0, 0.5, 1, 1])
    assert weight_factor("fixed", 0.7) == weight_factor("uncertainty", 0.2) == 1


def test_an_epoch_shows_every_image_as_often_as_the_others():
    sampler = EpochSampler(5, 12, seed=1)
    first = list(sampler)
    assert len(first) == 12
    assert {first.count(i) for i in range(5)} == {2, 3}
    assert sorted(first[:5]) == sorted(first[5:10]) == list(range(5))
    sampler.set_epoch(1)
    assert list(sampler) != first
    sampler.set_epoch(0)
    assert list(sampler) == first
