"""Runs a training with Lightning: precision, checkpoints, resume, progress, history."""

import logging
import math
import sys
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import lightning.pytorch as pl
import torch
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.utilities import CombinedLoader
from torch import Tensor
from torch.utils.data import DataLoader

from pipeline_steps.job.errors import UserError
from pipeline_steps.job.files import whole_file
from pipeline_steps.job.main_process import is_main_process
from pipeline_steps.job.progress import logger, time_left
from pipeline_steps.params.sections import Training
from pipeline_steps.tracking.runs import TrackedRun
from pipeline_steps.training.data import Batch, TrainLoaders
from pipeline_steps.training.multi_task import MultiTask
from pipeline_steps.training.processes import claim_devices

Row = dict[str, float | int]

LOOK_EVERY = 50
"""Batches between two looks at whether the loss is finite: each waits for the GPU."""


@dataclass(frozen=True)
class Fitted:
    """history: one row per epoch. epoch: the one, counted from 1, whose weights the network now holds."""

    history: list[Row]
    epoch: int
    precision: str
    device: str
    devices: int


class WholeCheckpointIO(TorchCheckpointIO):
    """Saves beside the old checkpoint and then takes its name, so that a kill leaves one of the two, whole."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None) -> None:
        """See TorchCheckpointIO."""
        with whole_file(Path(path)) as temporary:
            torch.save(checkpoint, temporary)


def _learning_rate(trainer: pl.Trainer) -> float:
    return max(float(group["lr"]) for group in trainer.optimizers[0].param_groups)


class EpochRecord(pl.Callback):
    """Keeps the history and the best weights, inside the checkpoint; says how far the training is."""

    def __init__(self, label: str, best_by: str | None, run: TrackedRun) -> None:
        self.label = label
        self.best_by = best_by
        self.run = run
        self.history: list[Row] = []
        self.best: dict[str, Any] = {"score": math.inf, "epoch": 0, "weights": {}}

    def state_dict(self) -> dict[str, Any]:
        """All of it: a resumed training must know its past."""
        return {"history": self.history, "best": self.best}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """See state_dict."""
        self.history, self.best = state_dict["history"], state_dict["best"]

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the epoch's clock, and its watch over the loss."""
        self.started = self.spoken = time.monotonic()
        self.rates: list[float] = []
        self.broken = torch.full((), math.inf, device=pl_module.device)

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Note the batch's learning rate."""
        self.rates.append(_learning_rate(trainer))

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Watch the loss; in long epochs, a sign of life."""
        self.broken = torch.where(outputs["loss"].isfinite(), self.broken, self.broken.clamp(max=batch_idx + 1))
        if (batch_idx + 1) % LOOK_EVERY == 0:
            self.stop_if_broken(trainer.current_epoch + 1)
        now = time.monotonic()
        if now - self.spoken > 20 and batch_idx + 1 < trainer.num_training_batches:
            done = (batch_idx + 1) / trainer.num_training_batches
            left = (now - self.started) / done * (trainer.max_epochs - trainer.current_epoch - done)  # type: ignore[operator]
            message = "%s  epoch %d/%d, %.0f%% of it  left %s"
            logger.info(message, self.label, trainer.current_epoch + 1, trainer.max_epochs, 100 * done, time_left(left))
            self.spoken = now

    def stop_if_broken(self, epoch: int) -> None:
        """UserError where the loss of a batch so far was not finite; the last epoch's checkpoint stays as it is."""
        if math.isfinite(batch := self.broken.item()):
            raise UserError(
                f"{self.label}: the loss is not finite in epoch {epoch}, batch {batch:.0f} (learning rate "
                f"{self.rates[int(batch) - 1]:.2g}); lower learning_rate or gradient_clip"
            )

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Close the epoch: its row, the best weights so far, a line, the tracked run."""
        seconds = time.monotonic() - self.started
        epoch, epochs = trainer.current_epoch + 1, int(trainer.max_epochs or 0)
        metrics = {name: float(value) for name, value in sorted(trainer.callback_metrics.items())}
        self.stop_if_broken(epoch)
        row: Row = {"epoch": epoch, **metrics}
        row["learning_rate"] = _learning_rate(trainer)
        row["backbone_passes"] = int(pl_module.backbone_passes) * trainer.world_size  # type: ignore[arg-type]
        row["images_per_second"] = round(row["backbone_passes"] / seconds, 1)
        row["seconds"] = round(seconds, 2)
        self.history.append(row)
        score = metrics[self.best_by] if self.best_by else -epoch
        if score < self.best["score"]:
            weights = {k: v.detach().cpu().clone() for k, v in pl_module.state_dict().items()}
            self.best = {"score": score, "epoch": epoch, "weights": weights}
        left = sum(float(r["seconds"]) for r in self.history) / len(self.history) * (epochs - epoch)
        shown = "  ".join(f"{k} {v:.4g}" for k, v in metrics.items() if k == "train_loss" or k.startswith("val_"))
        message = "%s  epoch %d/%d  %s  %.0f images/s  left %s"
        logger.info(message, self.label, epoch, epochs, shown, row["images_per_second"], time_left(left))
        self.run.log_epoch(epoch, {k: float(v) for k, v in row.items() if k != "epoch"})


def resolve_precision(wanted: str) -> Literal["32-true", "bf16-mixed"]:
    """Lightning's name for the precision; `auto` means bfloat16 where the hardware computes in it."""
    if wanted == "auto":
        cuda = torch.cuda.is_available()
        fast = torch.cuda.is_bf16_supported(False) if cuda else torch.cpu._is_avx512_bf16_supported()
        wanted = "bfloat16" if fast else "float32"
    return "bf16-mixed" if wanted == "bfloat16" else "32-true"


def _resume_point(checkpoint: Path) -> Path | None:
    if not checkpoint.exists():
        return None
    try:
        torch.load(checkpoint, "cpu", weights_only=True, mmap=True)
    except Exception as error:
        logger.warning("%s cannot be read (%s): starting from the first epoch", checkpoint, error)
        return None
    return checkpoint


def fit(
    module: MultiTask,
    train: TrainLoaders,
    validation: DataLoader[Batch],
    params: Training,
    checkpoints: Path,
    label: str,
    run: TrackedRun,
    best_by: str | None = None,
    callbacks: Sequence[pl.Callback] = (),
    devices: int = 1,
) -> Fitted:
    """Train the module in place; its network ends with the weights of the epoch with the lowest `best_by`, or the last.

    checkpoints: this job's own folder; where it holds the state of an interrupted training, that one goes on.
    devices: GPUs or, on a machine without, processes that share every batch. The command that was called is called
    again for every further one; those processes end here.
    Raises UserError where the loss stops being finite, or where the devices do not fit machine or batches.
    """
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    for nothing_to_mend in (
        "does not have many workers",
        "number of training batches.*smaller than the logging interval",
        "LeafSpec",
        "`srun` command is available",
    ):
        warnings.filterwarnings("ignore", f".*{nothing_to_mend}.*")
    batches = CombinedLoader(train, "min_size")
    record = EpochRecord(label, best_by, run)
    precision, cuda = resolve_precision(params.precision), torch.cuda.is_available()
    saver = ModelCheckpoint(checkpoints, "last", save_on_train_epoch_end=True, enable_version_counter=False)
    trainer = pl.Trainer(
        accelerator="cuda" if cuda else "cpu",
        devices=claim_devices(devices),
        strategy="ddp" if devices > 1 else "auto",
        sync_batchnorm=devices > 1 and cuda,
        use_distributed_sampler=False,
        precision=precision,
        max_epochs=params.epochs,
        callbacks=[*callbacks, record, saver],
        plugins=[WholeCheckpointIO(), LightningEnvironment()],
        logger=False,
        num_sanity_val_steps=0,
        enable_progress_bar=False,
        enable_model_summary=False,
        deterministic="warn",
        default_root_dir=checkpoints,
    )
    module.to(memory_format=torch.channels_last)
    resume = _resume_point(checkpoints / "last.ckpt")
    if resume:
        logger.info("%s  goes on from %s", label, resume)
    trainer.fit(module, batches, validation, ckpt_path=resume, weights_only=True)
    if trainer.interrupted:
        raise KeyboardInterrupt
    if not is_main_process():
        sys.exit()
    weights: dict[str, Tensor] = record.best["weights"]
    module.load_state_dict(weights)
    device = torch.cuda.get_device_name() if trainer.strategy.root_device.type == "cuda" else "cpu"
    return Fitted(record.history, int(record.best["epoch"]), precision, device, devices)
