"""Callbacks of every training: its history, the best weights, a check of the loss, progress and tracking."""

import math
import time
from typing import Any

import lightning.pytorch as pl
import torch

from pipeline_steps.job.errors import UserError
from pipeline_steps.job.progress import logger, time_left
from pipeline_steps.tracking.runs import TrackedRun
from pipeline_steps.training.multi_task import MultiTask

Row = dict[str, float | int]


def _learning_rate(trainer: pl.Trainer) -> float:
    return max(float(group["lr"]) for group in trainer.optimizers[0].param_groups)


class History(pl.Callback):
    """One row per epoch in `rows`, part of the checkpoint: metrics, learning rate, backbone passes, seconds."""

    def __init__(self) -> None:
        self.rows: list[Row] = []

    def state_dict(self) -> dict[str, Any]:
        """The rows so far."""
        return {"rows": self.rows}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue after the rows of an interrupted training."""
        self.rows = state_dict["rows"]

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the epoch's clock."""
        self.started = time.monotonic()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Append the epoch's row; its time includes the validation."""
        assert isinstance(pl_module, MultiTask)
        seconds = time.monotonic() - self.started
        row: Row = {"epoch": trainer.current_epoch + 1}
        row |= {name: float(value) for name, value in sorted(trainer.callback_metrics.items())}
        row["learning_rate"] = _learning_rate(trainer)
        row["backbone_passes"] = pl_module.backbone_passes * trainer.world_size
        row["images_per_second"] = round(row["backbone_passes"] / seconds, 1)
        row["seconds"] = round(seconds, 2)
        self.rows.append(row)


class BestWeights(pl.Callback):
    """The weights of the epoch with the lowest `metric`, or of the last epoch where there is no metric to choose by.

    They are part of the checkpoint, not a file of their own as Lightning's ModelCheckpoint keeps them: one file that is
    replaced as a whole cannot fall out of step with the state that a training resumes from.
    """

    def __init__(self, metric: str | None) -> None:
        self.metric = metric
        self.score = math.inf
        self.epoch = 0
        self.weights: dict[str, torch.Tensor] = {}

    def state_dict(self) -> dict[str, Any]:
        """The best epoch so far, counted from 1, its score and its weights."""
        return {"score": self.score, "epoch": self.epoch, "weights": self.weights}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue with the best epoch of an interrupted training."""
        self.score, self.epoch, self.weights = (state_dict[name] for name in ("score", "epoch", "weights"))

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Copy the weights to the CPU where this epoch is better than all before."""
        epoch = trainer.current_epoch + 1
        score = float(trainer.callback_metrics[self.metric]) if self.metric else -epoch
        if score < self.score:
            self.score, self.epoch = score, epoch
            self.weights = {name: value.detach().cpu().clone() for name, value in pl_module.state_dict().items()}


class StaysFinite(pl.Callback):
    """Ends the training with a UserError in one line where a batch's loss or an epoch's validation is not finite.

    Weights that the last step of an epoch has broken show in its validation first, or nowhere else. The checkpoint of
    the last complete epoch stays as it is. (Lightning's EarlyStopping checks once per epoch, and ends the training as
    if it had succeeded.)
    """

    check_every = 50
    """Batches between two checks: each waits for the GPU."""

    def __init__(self, label: str) -> None:
        self.label = label

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Forget the batches of the epoch before."""
        self.learning_rates: list[float] = []
        self.first_broken = torch.full((), math.inf, device=pl_module.device)

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Remember the batch's learning rate for the message."""
        self.learning_rates.append(_learning_rate(trainer))

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Remember, on the device, the first batch whose loss is not finite."""
        broken = self.first_broken.clamp(max=batch_idx + 1)
        self.first_broken = torch.where(outputs["loss"].isfinite(), self.first_broken, broken)
        if (batch_idx + 1) % self.check_every == 0:
            self._check(trainer.current_epoch + 1)

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Check the rest of the epoch, and its validation."""
        epoch = trainer.current_epoch + 1
        self._check(epoch)
        values = {name: float(v) for name, v in trainer.callback_metrics.items() if name.startswith("val_")}
        if broken := [f"{name} is {value}" for name, value in values.items() if not math.isfinite(value)]:
            raise UserError(
                f"{self.label}: the validation is not finite after epoch {epoch} ({', '.join(broken)}): the weights "
                f"have diverged (learning rate {self.learning_rates[-1]:.2g}); lower learning_rate or gradient_clip"
            )

    def _check(self, epoch: int) -> None:
        if not math.isfinite(batch := self.first_broken.item()):
            return
        where = f"{self.label}: the loss is not finite in epoch {epoch}, batch {batch:.0f}"
        if epoch == batch == 1:
            raise UserError(f"{where}, before any step: the initial weights or the images are not; change init or them")
        rate = self.learning_rates[int(batch) - 1]
        raise UserError(f"{where} (learning rate {rate:.2g}); lower learning_rate or gradient_clip")


class ProgressLines(pl.Callback):
    """One line in the log after every epoch and, within long epochs, one every 20 seconds."""

    every_seconds = 20

    def __init__(self, label: str, history: History) -> None:
        self.label = label
        self.history = history

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the epoch's clock."""
        self.started = self.reported = time.monotonic()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Say how much of a long epoch is done."""
        now = time.monotonic()
        if now - self.reported > self.every_seconds and batch_idx + 1 < trainer.num_training_batches:
            epoch, epochs = trainer.current_epoch, int(trainer.max_epochs or 0)
            done = (batch_idx + 1) / trainer.num_training_batches
            left = time_left((now - self.started) / done * (epochs - epoch - done))
            logger.info("%s  epoch %d/%d, %.0f%% of it  left %s", self.label, epoch + 1, epochs, 100 * done, left)
            self.reported = now

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Say what the epoch came to."""
        rows, epochs = self.history.rows, int(trainer.max_epochs or 0)
        row = rows[-1]
        left = time_left(sum(float(each["seconds"]) for each in rows) / len(rows) * (epochs - row["epoch"]))
        shown = "  ".join(f"{k} {v:.4g}" for k, v in row.items() if k == "train_loss" or k.startswith("val_"))
        message = "%s  epoch %d/%d  %s  %.0f images/s  left %s"
        logger.info(message, self.label, row["epoch"], epochs, shown, row["images_per_second"], left)


class TrackedHistory(pl.Callback):
    """Sends every epoch's row of the history to the tracked run."""

    def __init__(self, run: TrackedRun, history: History) -> None:
        self.run = run
        self.history = history

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Send the row."""
        row = self.history.rows[-1]
        self.run.log_epoch(int(row["epoch"]), {k: float(v) for k, v in row.items() if k != "epoch"})
