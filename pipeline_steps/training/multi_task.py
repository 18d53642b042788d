"""The training step shared by pre-training and fine-tuning: a weighted sum of the pose loss and pretext losses."""

import copy
import hashlib
from collections.abc import Iterator, Mapping
from typing import Any, Literal, NamedTuple

import lightning.pytorch as pl
import torch
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn

from pipeline_steps.images.augmentation import BatchAugmentation
from pipeline_steps.network.backbones import Backbone, pooled
from pipeline_steps.network.hybrid import HybridNetwork
from pipeline_steps.params.sections import Training, Weighting
from pipeline_steps.pose.geometry import geodesic_distance_deg, matrix_to_euler, wrap_deg
from pipeline_steps.pretext.base import PretextTask
from pipeline_steps.training.data import Batch, TrainBatch
from pipeline_steps.training.processes import Shares
from pipeline_steps.training.schedule import learning_rate_factor, weight_factor


def _seed_of(*parts: int | str) -> int:
    return int.from_bytes(hashlib.sha256(repr(parts).encode()).digest()[:7], "big")


class Labelled(NamedTuple):
    """What the pose loss sees: images (B, 3, S, S) in 0..1, rotation (B, 3, 3), euler_deg (B, 3) in degrees."""

    images: Tensor
    rotation: Tensor
    euler_deg: Tensor


class MultiTask(pl.LightningModule):
    """Trains a HybridNetwork.

    All randomness of a step is drawn from (seed, step), so that a resumed training goes on as if it had never stopped.
    The pose loss, where there is a pose head, has weight 1.

    tasks: see a batch's unlabelled images where it has some, else the labelled ones.
    weights: of each task's loss; 1 where it names none.
    weighting: `fixed`; `annealed` to zero as a cosine; `ramped` up linearly over the first 30% of the training; or
    `uncertainty`: every loss L, the pose loss too, counts as exp(-s) L + s with a learned s (Kendall et al., CVPR 2018,
    arXiv 1705.07115), times its weight.
    """

    def __init__(
        self,
        network: HybridNetwork,
        tasks: Mapping[str, PretextTask],
        weights: Mapping[str, float],
        views: Literal["siamese", "single_view"],
        training: Training,
        image_size: int,
        seed: int,
        weighting: Weighting = "fixed",
        backbone_learning_rate: float = 1.0,
        frozen_epochs: int = 0,
    ) -> None:
        super().__init__()
        self.network = network
        self.tasks = tasks
        self.weights = weights
        self.weighting = weighting
        self.views = views
        self.params = training
        self.seed = seed
        self.backbone_learning_rate = backbone_learning_rate
        self.frozen_epochs = frozen_epochs
        self.augment = BatchAugmentation(training.augmentation, image_size)
        self.teachers = nn.ModuleDict(
            {
                name: nn.ModuleList([copy.deepcopy(part).requires_grad_(False) for part in self._taught(name)])
                for name, task in tasks.items()
                if task.teacher_momentum(0.0) is not None
            }
        )
        named = [*(["pose"] if network.pose_head is not None else []), *tasks] if weighting == "uncertainty" else []
        self.log_variances = nn.ParameterDict({name: nn.Parameter(torch.zeros(())) for name in named})
        self.backbone_passes = 0

    def _taught(self, name: str) -> tuple[nn.Module, nn.Module]:
        return self.network.backbone, self.network.auxiliary_heads[name]

    def on_after_batch_transfer(self, batch: TrainBatch | Batch, dataloader_idx: int) -> TrainBatch | Batch:
        """Bytes to floats in 0..1."""
        parts: Any = batch.values() if "images" not in batch else [batch]
        for part in parts:
            part["images"] = part["images"].float().div(255).contiguous(memory_format=torch.channels_last)
        return batch

    @property
    def progress(self) -> float:
        """Share of the training's steps that are done, 0 to 1."""
        return self.global_step / max(1, int(self.trainer.estimated_stepping_batches))

    def on_train_epoch_start(self) -> None:
        """Count anew."""
        self.backbone_passes = 0

    def training_step(self, batch: TrainBatch, batch_idx: int) -> Tensor:
        """The weighted sum of losses on one augmented batch."""
        torch.manual_seed(_seed_of(self.seed, "step", self.global_step))
        generator = torch.Generator().manual_seed(_seed_of(self.seed, "views", self.global_step))
        labelled, images = None, torch.empty(0)
        if "labelled" in batch:
            images, motion = self.augment(batch["labelled"]["images"])
            labels = motion.labels(batch["labelled"]["rotation"], batch["labelled"]["euler_deg"])
            labelled = Labelled(images, *labels)
        if "unlabelled" in batch:
            images, _ = self.augment(batch["unlabelled"]["images"])
        losses, metrics = self.losses(labelled, images, generator)
        total = torch.stack([self._weighted(name, loss) for name, loss in losses.items()]).sum()
        named = {f"train_{name}_loss": loss.detach() for name, loss in losses.items()}
        named |= {f"train_{name}": value for name, value in metrics.items()} | {"train_loss": total.detach()}
        named |= {f"train_{name}_log_variance": s.detach() for name, s in self.log_variances.items()}
        self.log_dict(named, on_step=False, on_epoch=True, batch_size=len(images))
        return total

    def _weighted(self, name: str, loss: Tensor) -> Tensor:
        if name in self.log_variances:
            loss = torch.exp(-self.log_variances[name]) * loss + self.log_variances[name]
        if name not in self.tasks:
            return loss
        return self.weights.get(name, 1.0) * weight_factor(self.weighting, self.progress) * loss

    def losses(
        self, labelled: Labelled | None, images: Tensor, generator: torch.Generator
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Unweighted losses by name (`pose` and the tasks' names), and the tasks' metrics as `<task>_<metric>`.

        labelled: for the pose loss; images: for the tasks. All views pass through the backbone as one batch, or as one
        per process where several share a training.
        """
        network, count = self.network, len(images) if labelled is None else len(labelled.images)
        shares = Shares.of(count) if self.training else Shares(count)
        views = {name: task.views(images, generator) for name, task in self.tasks.items()}
        own = {name: shares.own(view.inputs) for name, view in views.items()}
        inputs = list(own.values())
        siamese = labelled is not None and self.views == "siamese"
        if labelled is not None and siamese:
            inputs.insert(0, shares.own(labelled.images))
        batch = torch.cat(inputs).contiguous(memory_format=torch.channels_last)
        maps = list(torch.split(network.backbone.maps(batch).float(), [len(i) for i in inputs]))
        self.backbone_passes += len(batch) * self.training
        losses: dict[str, Tensor] = {}
        metrics: dict[str, Tensor] = {}
        if labelled is not None and network.pose_head is not None:
            _, rotation, euler_deg = labelled
            if siamese:
                seen = maps.pop(0)
            else:
                (name,) = self.tasks
                seen = maps[0]
                rotation, euler_deg = self.tasks[name].view_labels(rotation, euler_deg, views[name].targets)
            poses = shares.gathered(network.pose_head(pooled(seen)).float())
            losses["pose"] = network.pose_head.loss(poses, rotation, euler_deg)
        for (name, task), of_views in zip(self.tasks.items(), maps, strict=True):
            outputs = shares.gathered(network.auxiliary(name, task, of_views).float())
            taught = name in self.teachers
            targets = shares.gathered(self._teach(name, own[name])) if taught else views[name].targets
            losses[name], of_task = task.loss(outputs, targets)
            metrics |= {f"{name}_{metric}": value.detach() for metric, value in of_task.items()}
        return losses, metrics

    @torch.no_grad()
    def _teach(self, name: str, inputs: Tensor) -> Tensor:
        backbone, head = self.teachers[name].children()
        assert isinstance(backbone, Backbone)
        self.backbone_passes += len(inputs) * self.training
        maps = backbone.maps(inputs.contiguous(memory_format=torch.channels_last)).float()
        return self.tasks[name].teach(head, self.network.read(self.tasks[name], maps)).float()

    @torch.no_grad()
    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Let the teachers follow."""
        for name, teacher in self.teachers.items():
            momentum = self.tasks[name].teacher_momentum(self.progress)
            assert momentum is not None
            for part, followed in zip(teacher.children(), self._taught(name), strict=True):
                for own, theirs in zip(part.parameters(), followed.parameters(), strict=True):
                    own.lerp_(theirs, 1 - momentum)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Errors of the pose in degrees or, in pre-training, the task's loss on views that never change."""
        images = batch["images"]
        if self.network.pose_head is not None:
            rotation = self.network(images)
            error = wrap_deg(matrix_to_euler(rotation) - batch["euler_deg"]).abs().mean()
            geodesic = geodesic_distance_deg(rotation, batch["rotation"]).mean()
            named = {"val_geodesic_deg": geodesic, "val_mae_deg": error}
        else:
            generator = torch.Generator().manual_seed(_seed_of("validation", batch_idx))
            losses, metrics = self.losses(None, images, generator)
            named = {f"val_{name}_loss": loss for name, loss in losses.items()}
            named |= {f"val_{name}": value for name, value in metrics.items()}
        self.log_dict(named, on_step=False, on_epoch=True, batch_size=len(images))

    def _trained(self) -> Iterator[tuple[str, nn.Parameter]]:
        yield from self.network.named_parameters()
        yield from self.log_variances.items()

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """AdamW without decay on biases and norms; the backbone has its own learning rate and may rest at first."""
        steps = int(self.trainer.estimated_stepping_batches)
        per_epoch = steps / self.params.epochs
        groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
        for name, parameter in self._trained():
            groups.setdefault((name.startswith("backbone."), parameter.ndim > 1), []).append(parameter)

        def factor(is_backbone: bool) -> Any:
            def at(step: int) -> float:
                if is_backbone and step < self.frozen_epochs * per_epoch:
                    return 0.0
                return learning_rate_factor(step, steps, self.params.warmup_epochs * per_epoch)

            return at

        optimiser = torch.optim.AdamW(
            [
                {
                    "params": parameters,
                    "lr": self.params.learning_rate * (self.backbone_learning_rate if is_backbone else 1.0),
                    "weight_decay": self.params.weight_decay if decays else 0.0,
                }
                for (is_backbone, decays), parameters in groups.items()
            ],
            fused=True,
        )
        schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, [factor(is_backbone) for is_backbone, _ in groups])
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def configure_gradient_clipping(
        self,
        optimizer: torch.optim.Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clip the norm of the whole gradient; Lightning itself refuses to in front of a fused optimiser."""
        parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
        nn.utils.clip_grad_norm_(parameters, self.params.gradient_clip)
