"""Runs a training with Lightning: devices, precision, checkpoints and how an interrupted training resumes."""

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import lightning.pytorch as pl
import torch
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.utilities import CombinedLoader
from torch.utils.data import DataLoader

from pipeline_steps.job.files import atomic_write
from pipeline_steps.job.main_process import is_main_process
from pipeline_steps.job.progress import logger
from pipeline_steps.tracking.runs import TrackedRun
from pipeline_steps.training.callbacks import BestWeights, History, ProgressLines, Row, StaysFinite, TrackedHistory
from pipeline_steps.training.data import Batch, TrainLoaders
from pipeline_steps.training.devices import claimed_devices
from pipeline_steps.training.multi_task import MultiTask


@dataclass(frozen=True)
class Fitted:
    """history: one row per epoch. epoch: the one, counted from 1, whose weights the network now has."""

    history: list[Row]
    epoch: int
    precision: str
    device: str
    devices: int


class AtomicCheckpointIO(TorchCheckpointIO):
    """Replaces the old checkpoint by the new one in one move, so that a kill leaves one of the two, complete."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None) -> None:
        """See TorchCheckpointIO."""
        with atomic_write(Path(path)) as temporary:
            torch.save(checkpoint, temporary)


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


@contextmanager
def _without_irrelevant_messages() -> Iterator[None]:
    """Within the block: no lines that Lightning repeats in every job, and no warnings that do not apply here."""
    lightnings = logging.getLogger("lightning.pytorch")
    level = lightnings.level
    lightnings.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            for warning in (
                "does not have many workers",  # crops come from memory or in one read per batch
                "`srun` command is available",  # a job of a cluster trains on its own machine alone
                "sync_dist=True",  # every process logs the values of the whole batch
                "LeafSpec",  # Lightning's own use of torch
                "all_gather is deprecated",  # its successor is missing in torch 2.11
            ):
                warnings.filterwarnings("ignore", f".*{warning}.*")
            yield
    finally:
        lightnings.setLevel(level)


def fit(
    module: MultiTask,
    train: TrainLoaders,
    validation: DataLoader[Batch],
    checkpoints: Path,
    label: str,
    run: TrackedRun,
    best_by: str | None = None,
    callbacks: Sequence[pl.Callback] = (),
    devices: int = 1,
) -> Fitted | None:
    """Train the module in place; its network ends with the weights of the epoch with the lowest `best_by`, or the last.

    checkpoints: this job's own folder; an interrupted training whose checkpoint lies there is resumed.
    devices: GPUs or, on a machine without, processes that share every batch. Lightning starts every further process by
    calling this process's command again; those get None, and have nothing more to do.
    Raises UserError where loss or validation stop being finite, or where the devices do not fit machine or batches.
    """
    params = module.training_params
    history, best = History(), BestWeights(best_by)
    per_epoch = [history, best, ProgressLines(label, history), TrackedHistory(run, history)]
    saver = ModelCheckpoint(checkpoints, "last", save_on_train_epoch_end=True, enable_version_counter=False)
    precision, cuda = resolve_precision(params.precision), torch.cuda.is_available()
    module.to(memory_format=torch.channels_last)
    resume = _resume_point(checkpoints / "last.ckpt")
    if resume:
        logger.info("%s  resumes from %s", label, resume)
    with claimed_devices(devices) as claimed, _without_irrelevant_messages():
        trainer = pl.Trainer(
            accelerator="cuda" if cuda else "cpu",
            devices=claimed,
            strategy="ddp" if devices > 1 else "auto",
            sync_batchnorm=devices > 1 and cuda,
            use_distributed_sampler=False,
            precision=precision,
            max_epochs=params.epochs,
            callbacks=[StaysFinite(label), *callbacks, *per_epoch, saver],
            plugins=[AtomicCheckpointIO(), LightningEnvironment()],
            logger=False,
            num_sanity_val_steps=0,
            enable_progress_bar=False,
            enable_model_summary=False,
            deterministic="warn",
            default_root_dir=checkpoints,
        )
        loaders = CombinedLoader(train, "min_size")
        trainer.fit(module, loaders, validation, ckpt_path=resume, weights_only=True)
    if not is_main_process():
        return None
    module.load_state_dict(best.weights)
    device = torch.cuda.get_device_name() if trainer.strategy.root_device.type == "cuda" else "cpu"
    return Fitted(history.rows, best.epoch, precision, device, devices)
