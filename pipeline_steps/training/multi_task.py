"""The training step shared by pre-training and fine-tuning: a weighted sum of the pose loss and pretext losses."""

import hashlib
from collections.abc import Mapping
from typing import Any, Literal

import lightning.pytorch as pl
import torch
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor

from pipeline_steps.network.hybrid import HybridNetwork
from pipeline_steps.params import Training
from pipeline_steps.pose.geometry import geodesic_distance_deg, matrix_to_euler, wrap_deg
from pipeline_steps.pretext.base import PretextTask
from pipeline_steps.training.augmentation import BatchAugmentation
from pipeline_steps.training.data import Batch
from pipeline_steps.training.schedule import learning_rate_factor


def _seed_of(*parts: int | str) -> int:
    return int.from_bytes(hashlib.sha256(repr(parts).encode()).digest()[:7], "big")


class MultiTask(pl.LightningModule):
    """Trains a HybridNetwork.

    All randomness of a step is drawn from (seed, step), so that a resumed training goes on as if it had never stopped.
    `weights` holds the weight of each task's loss; the pose loss, where there is a pose head, has weight 1.
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
        backbone_learning_rate: float = 1.0,
        frozen_epochs: int = 0,
    ) -> None:
        super().__init__()
        self.network = network
        self.tasks = tasks
        self.weights = weights
        self.views = views
        self.params = training
        self.seed = seed
        self.backbone_learning_rate = backbone_learning_rate
        self.frozen_epochs = frozen_epochs
        self.augment = BatchAugmentation(training.augmentation, image_size)

    def on_after_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Batch:
        """Bytes to floats in 0..1."""
        images = batch["images"].float().div(255).contiguous(memory_format=torch.channels_last)
        return batch | {"images": images}

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """The weighted sum of losses on one augmented batch."""
        torch.manual_seed(_seed_of(self.seed, "step", self.global_step))
        generator = torch.Generator().manual_seed(_seed_of(self.seed, "views", self.global_step))
        images, rotation, euler_deg = self.augment(**batch)
        losses, metrics = self.losses(images, rotation, euler_deg, generator)
        total = sum((self.weights.get(name, 1.0) * loss for name, loss in losses.items()), torch.zeros(()))
        named = {f"train_{name}_loss": loss.detach() for name, loss in losses.items()}
        named |= {f"train_{name}": value for name, value in metrics.items()} | {"train_loss": total.detach()}
        self.log_dict(named, on_step=False, on_epoch=True, batch_size=len(images))
        return total

    def losses(
        self, images: Tensor, rotation: Tensor, euler_deg: Tensor, generator: torch.Generator
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Unweighted losses by name (`pose` and the tasks' names), and the tasks' metrics as `<task>_<metric>`.

        All views pass through the backbone as one batch.
        """
        network, pose_head = self.network, self.network.pose_head
        views = {name: task.views(images, generator) for name, task in self.tasks.items()}
        inputs = [view.inputs for view in views.values()]
        if pose_head is not None and self.views == "siamese":
            inputs.insert(0, images)
        features = list(network.backbone(torch.cat(inputs)).float().split([len(i) for i in inputs]))
        losses: dict[str, Tensor] = {}
        metrics: dict[str, Tensor] = {}
        if pose_head is not None:
            if self.views == "siamese":
                upright = features.pop(0)
            else:
                (name,) = self.tasks
                upright = features[0]
                rotation, euler_deg = self.tasks[name].view_labels(rotation, euler_deg, views[name].targets)
            losses["pose"] = pose_head.loss(pose_head(upright).float(), rotation, euler_deg)
        for (name, task), own in zip(self.tasks.items(), features, strict=True):
            outputs = network.auxiliary_heads[name](own).float()
            losses[name], of_task = task.loss(outputs, views[name].targets)
            metrics |= {f"{name}_{metric}": value.detach() for metric, value in of_task.items()}
        return losses, metrics

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
            losses, metrics = self.losses(images, batch["rotation"], batch["euler_deg"], generator)
            named = {f"val_{name}_loss": loss for name, loss in losses.items()}
            named |= {f"val_{name}": value for name, value in metrics.items()}
        self.log_dict(named, on_step=False, on_epoch=True, batch_size=len(images), sync_dist=True)

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """AdamW without decay on biases and norms; the backbone has its own learning rate and may rest at first."""
        steps = int(self.trainer.estimated_stepping_batches)
        per_epoch = steps / self.params.epochs
        groups: dict[tuple[bool, bool], list[torch.nn.Parameter]] = {}
        for name, parameter in self.network.named_parameters():
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
            ]
        )
        schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, [factor(is_backbone) for is_backbone, _ in groups])
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}
