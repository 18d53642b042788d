"""A pre-trained backbone that is frozen for some epochs: nothing in it moves, running statistics included."""

from pathlib import Path

import lightning.pytorch as pl
import torch
from torch import Tensor, nn

from pipeline_steps.network.hybrid import HybridNetwork
from pipeline_steps.params.sections import Training
from pipeline_steps.params.steps import Auxiliary
from pipeline_steps.pretext.byol import Byol
from pipeline_steps.training.multi_task import MultiTask
from pipeline_steps.training.optimiser import FROM_SCRATCH, BackboneSchedule

SIZE, EPOCHS, FROZEN = 32, 3, 2


def batches() -> torch.utils.data.DataLoader:
    """One batch of four noisy images in a frontal pose."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(256, (4, 3, SIZE, SIZE), dtype=torch.uint8, generator=generator)
    batch = {"images": images, "rotation": torch.eye(3).expand(4, 3, 3), "euler_deg": torch.zeros(4, 3)}
    return torch.utils.data.DataLoader([{"labelled": batch}], batch_size=None)


def validation() -> torch.utils.data.DataLoader:
    """The same batch: Lightning puts the network in evaluation mode and back for it."""
    return torch.utils.data.DataLoader([next(iter(batches()))["labelled"]], batch_size=None)


class BackboneStates(pl.Callback):
    """The backbone's state, buffers included, before the training and after every epoch."""

    def __init__(self) -> None:
        self.states: list[dict[str, Tensor]] = []

    def _remember(self, module: pl.LightningModule) -> None:
        state = module.network.backbone.state_dict()
        self.states.append({name: value.clone() for name, value in state.items()})

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._remember(pl_module)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._remember(pl_module)


def module(schedule: BackboneSchedule, auxiliary: dict[str, Auxiliary] | None = None) -> MultiTask:
    torch.manual_seed(0)
    training = Training(epochs=EPOCHS, batch_size=4, learning_rate=0.01, warmup_epochs=0)
    return MultiTask(
        HybridNetwork("resnet18", "rotation_6d", auxiliary or {}), training, SIZE, 0, backbone_schedule=schedule
    )


def fit(trained: MultiTask, epochs: int, resume: Path | None = None) -> tuple[pl.Trainer, list[dict[str, Tensor]]]:
    """Trains until `epochs` of EPOCHS are done; the states before and after each."""
    states = BackboneStates()
    trainer = pl.Trainer(
        accelerator="cpu", max_epochs=EPOCHS, logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, callbacks=[states, StopAfter(epochs)], num_sanity_val_steps=0,
    )  # fmt: skip
    trainer.fit(trained, batches(), validation(), ckpt_path=resume, weights_only=False)
    return trainer, states.states


class StopAfter(pl.Callback):
    """Ends the training after so many epochs of its schedule."""

    def __init__(self, epochs: int) -> None:
        self.epochs = epochs

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        trainer.should_stop = trainer.current_epoch + 1 >= self.epochs


def moved(before: dict[str, Tensor], after: dict[str, Tensor]) -> set[str]:
    """Names of what differs in any bit."""
    return {name for name in before if not torch.equal(before[name], after[name])}


def statistics(names: set[str]) -> bool:
    return any("running_mean" in name for name in names)


def test_nothing_in_a_frozen_backbone_moves_until_its_epochs_are_over():
    _, states = fit(module(BackboneSchedule(1.0, FROZEN)), EPOCHS)
    assert len(states) == EPOCHS + 1
    assert not moved(states[0], states[FROZEN])
    thawed = moved(states[FROZEN], states[FROZEN + 1])
    assert statistics(thawed)
    assert "resnet.conv1.weight" in thawed


def test_nor_after_a_training_that_was_interrupted_in_between(tmp_path: Path):
    interrupted, before = fit(module(BackboneSchedule(1.0, FROZEN)), 1)
    interrupted.save_checkpoint(tmp_path / "last.ckpt")
    _, states = fit(module(BackboneSchedule(1.0, FROZEN)), EPOCHS, tmp_path / "last.ckpt")
    assert len(states) == EPOCHS, "the first epoch is not repeated"
    assert not moved(before[0], states[FROZEN - 1])
    assert statistics(moved(states[FROZEN - 1], states[FROZEN]))


def test_a_backbone_from_scratch_moves_from_the_start():
    _, states = fit(module(FROM_SCRATCH), 1)
    assert statistics(moved(states[0], states[1]))


def test_heads_and_teachers_of_a_frozen_backbone():
    """A teacher's copy of the frozen backbone normalises as the student's does; heads train as ever."""
    trained = module(BackboneSchedule(1.0, FROZEN), {"byol": Auxiliary(weight=1.0, task=Byol(hidden=8, output=4))})
    teacher = trained.teachers["byol"]
    before = {name: value.clone() for name, value in teacher.backbone.state_dict().items()}
    fit(trained, 1)
    assert not moved(before, teacher.backbone.state_dict())
    norms = [m for m in trained.network.auxiliary_heads.modules() if isinstance(m, nn.BatchNorm1d)]
    assert norms
    assert all(norm.num_batches_tracked > 0 for norm in norms)
