"""The training step that pre-training and fine-tuning share: a weighted sum of the pose loss and pretext losses."""

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, cast

import lightning.pytorch as pl
import torch
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn

from pipeline_steps.images.augmentation import BatchAugmentation
from pipeline_steps.images.normalisation import to_unit_range
from pipeline_steps.network.backbones import pooled
from pipeline_steps.network.hybrid import HybridNetwork
from pipeline_steps.params.sections import Training, ViewMode, Weighting
from pipeline_steps.pose.geometry import euler_errors_deg, geodesic_distance_deg
from pipeline_steps.pretext.base import Views
from pipeline_steps.training.data import Batch, TrainBatch
from pipeline_steps.training.distributed import BatchShard
from pipeline_steps.training.optimiser import FROM_SCRATCH, BackboneSchedule, configured_optimiser
from pipeline_steps.training.schedule import weight_factor
from pipeline_steps.training.teacher import Teacher

POSE = "pose"
"""Name of the pose loss, and of the view that it sees in siamese mode; no auxiliary task may have it."""


def _derived_seed(*parts: int | str) -> int:
    return int.from_bytes(hashlib.sha256(repr(parts).encode()).digest()[:7], "big")


class Labelled(NamedTuple):
    """What the pose loss sees: images (B, 3, S, S) in 0..1, rotation (B, 3, 3), euler_deg (B, 3) in degrees."""

    images: Tensor
    rotation: Tensor
    euler_deg: Tensor


class MultiTask(pl.LightningModule):
    """Trains a HybridNetwork by its pose loss, where it has a pose head, and the losses of its auxiliary tasks.

    All randomness of a step is drawn from (seed, step), so that a resumed training continues as if it had never
    stopped. The pose loss has weight 1.

    image_size: side in pixels of the crops that the network sees. views, weighting: as in `params.sections.Arm`. With
    `uncertainty`, every loss L, the pose loss too, counts as exp(-s) L + s with a learned s (Kendall et al., CVPR 2018,
    arXiv 1705.07115), times its weight. Raises ValueError for `single_view` without exactly one auxiliary task.
    """

    def __init__(
        self,
        network: HybridNetwork,
        training_params: Training,
        image_size: int,
        seed: int,
        views: ViewMode = "siamese",
        weighting: Weighting = "fixed",
        backbone_schedule: BackboneSchedule = FROM_SCRATCH,
    ) -> None:
        super().__init__()
        if views == "single_view" and len(network.auxiliary) != 1:
            raise ValueError(f"single_view needs exactly one auxiliary task, not {len(network.auxiliary)}")
        self.network = network
        self.training_params = training_params
        self.seed = seed
        self.pose_view = POSE if views == "siamese" else next(iter(network.auxiliary))
        self.weighting: Weighting = weighting
        self.backbone_schedule = backbone_schedule
        self.augment = BatchAugmentation(training_params.augmentation, image_size)
        self.teachers = nn.ModuleDict(
            {
                name: Teacher(network.backbone, network.auxiliary_heads[name])
                for name, auxiliary in network.auxiliary.items()
                if auxiliary.task.teacher_momentum(0.0) is not None
            }
        )
        losses = [*([] if network.pose_head is None else [POSE]), *network.auxiliary]
        learned = losses if weighting == "uncertainty" else []
        self.log_variances = nn.ParameterDict({name: nn.Parameter(torch.zeros(())) for name in learned})
        self.backbone_passes = 0

    def on_after_batch_transfer(self, batch: TrainBatch | Batch, dataloader_idx: int) -> TrainBatch | Batch:
        """Images from bytes to 0..1; both parts of a training batch, or a validation batch."""
        parts: Any = [batch] if "images" in batch else batch.values()
        for part in parts:
            part["images"] = to_unit_range(part["images"])
        return batch

    @property
    def progress(self) -> float:
        """Share of the training's steps that are done, 0 to 1."""
        return self.global_step / max(1, int(self.trainer.estimated_stepping_batches))

    def on_train_epoch_start(self) -> None:
        """Reset the count of images that passed through a backbone, and keep a frozen one in evaluation mode.

        A learning rate of 0 stops the weights, but not the running statistics of batch norm. A teacher's backbone, a
        copy of the frozen one, normalises in the same way.
        """
        self.backbone_passes = 0
        learns = self.current_epoch >= self.backbone_schedule.frozen_epochs
        for backbone in (self.network.backbone, *(self._teacher(name).backbone for name in self.teachers)):
            backbone.train(learns)

    def training_step(self, batch: TrainBatch, batch_idx: int) -> Tensor:
        """The weighted sum of the losses on one augmented batch.

        The auxiliary tasks see the batch's unlabelled images where there are any, else the labelled ones.
        """
        torch.manual_seed(_derived_seed(self.seed, "step", self.global_step))
        generator = torch.Generator().manual_seed(_derived_seed(self.seed, "views", self.global_step))
        labelled, images = None, torch.empty(0)
        if "labelled" in batch:
            images, motion = self.augment(batch["labelled"]["images"])
            labels = motion.labels(batch["labelled"]["rotation"], batch["labelled"]["euler_deg"])
            labelled = Labelled(images, *labels)
        if "unlabelled" in batch:
            images, _ = self.augment(batch["unlabelled"]["images"])
        losses, metrics = self.losses(labelled, images, generator)
        total = torch.stack([self.weighted(name, loss) for name, loss in losses.items()]).sum()
        named = {f"train_{name}_loss": loss.detach() for name, loss in losses.items()}
        named |= {f"train_{name}": value for name, value in metrics.items()} | {"train_loss": total.detach()}
        named |= {f"train_{name}_log_variance": s.detach() for name, s in self.log_variances.items()}
        self.log_dict(named, on_step=False, on_epoch=True, batch_size=len(images))
        return total

    def weighted(self, name: str, loss: Tensor) -> Tensor:
        """A loss as it counts in the total at this step."""
        if name in self.log_variances:
            loss = torch.exp(-self.log_variances[name]) * loss + self.log_variances[name]
        if name == POSE:
            return loss
        return self.network.auxiliary[name].weight * weight_factor(self.weighting, self.progress) * loss

    def losses(
        self, labelled: Labelled | None, images: Tensor, generator: torch.Generator
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Unweighted losses by name (`pose` and the tasks' names), and the tasks' metrics as `<task>_<metric>`.

        labelled: for the pose loss; images: for the tasks. All views pass through the backbone as one batch, or as one
        per process where several share a training.
        """
        count = len(images) if labelled is None else len(labelled.images)
        shard = BatchShard.of_this_process(count) if self.training else BatchShard(count)
        views = {name: of.task.views(images, generator) for name, of in self.network.auxiliary.items()}
        inputs = {name: shard.take(view.inputs) for name, view in views.items()}
        if labelled is not None and self.pose_view == POSE:
            inputs = {POSE: shard.take(labelled.images)} | inputs
        maps = self._maps(inputs)
        losses: dict[str, Tensor] = {}
        metrics: dict[str, Tensor] = {}
        if labelled is not None:
            losses[POSE] = self._pose_loss(labelled, maps[self.pose_view], views, shard)
        for name, auxiliary in self.network.auxiliary.items():
            outputs = shard.gather(self.network.auxiliary_outputs(name, maps[name]).float())
            targets = views[name].targets
            if name in self.teachers:
                targets = shard.gather(self._teacher_outputs(name, inputs[name]))
            losses[name], of_task = auxiliary.task.loss(outputs, targets)
            metrics |= {f"{name}_{metric}": value.detach() for metric, value in of_task.items()}
        return losses, metrics

    def _maps(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Feature maps float32 of each view, of one pass through the backbone: batch norm sees all of them together."""
        batch = torch.cat(list(inputs.values())).contiguous(memory_format=torch.channels_last)
        self.backbone_passes += len(batch) * self.training
        maps = self.network.backbone.maps(batch).float()
        return dict(zip(inputs, torch.split(maps, [len(of_view) for of_view in inputs.values()]), strict=True))

    def _pose_loss(self, labelled: Labelled, maps: Tensor, views: Mapping[str, Views], shard: BatchShard) -> Tensor:
        pose_head = self.network.pose_head
        assert pose_head is not None, "labelled images need a pose head"
        rotation, euler_deg = labelled.rotation, labelled.euler_deg
        if self.pose_view != POSE:
            task = self.network.auxiliary[self.pose_view].task
            rotation, euler_deg = task.view_labels(rotation, euler_deg, views[self.pose_view].targets)
        return pose_head.loss(shard.gather(pose_head(pooled(maps)).float()), rotation, euler_deg)

    def _teacher(self, name: str) -> Teacher:
        return cast(Teacher, self.teachers[name])

    @torch.no_grad()
    def _teacher_outputs(self, name: str, inputs: Tensor) -> Tensor:
        self.backbone_passes += len(inputs) * self.training
        teacher, task = self._teacher(name), self.network.auxiliary[name].task
        return task.teacher_outputs(teacher.head, self.network.head_input(name, teacher.maps(inputs))).float()

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Let the teachers follow their students."""
        for name in self.teachers:
            momentum = self.network.auxiliary[name].task.teacher_momentum(self.progress)
            assert momentum is not None
            self._teacher(name).follow(self.network.backbone, self.network.auxiliary_heads[name], momentum)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Errors of the pose in degrees or, in pre-training, the task's loss on the same views every time."""
        images = batch["images"]
        if self.network.pose_head is not None:
            rotation = self.network(images)
            error = euler_errors_deg(rotation, batch["euler_deg"]).mean()
            geodesic = geodesic_distance_deg(rotation, batch["rotation"]).mean()
            named = {"val_geodesic_deg": geodesic, "val_mae_deg": error}
        else:
            generator = torch.Generator().manual_seed(_derived_seed("validation", batch_idx))
            losses, metrics = self.losses(None, images, generator)
            named = {f"val_{name}_loss": loss for name, loss in losses.items()}
            named |= {f"val_{name}": value for name, value in metrics.items()}
        self.log_dict(named, on_step=False, on_epoch=True, batch_size=len(images))

    def trained_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """By name; the teachers' are not among them."""
        yield from self.network.named_parameters()
        yield from self.log_variances.items()

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """See `training.optimiser`."""
        steps = int(self.trainer.estimated_stepping_batches)
        return configured_optimiser(self.trained_parameters(), self.training_params, self.backbone_schedule, steps)

    def configure_gradient_clipping(
        self,
        optimizer: torch.optim.Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clip the norm of the whole gradient; Lightning itself refuses to with a fused optimiser."""
        parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
        nn.utils.clip_grad_norm_(parameters, self.training_params.gradient_clip)
