"""The optimiser of every training, and the learning rate that it has at each step."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import nn
from torch.optim import AdamW
from torch.optim.lr_scheduler import LambdaLR

from pipeline_steps.params.sections import Training
from pipeline_steps.training.schedule import learning_rate_factor


@dataclass(frozen=True)
class BackboneSchedule:
    """How a backbone with pre-trained weights learns: at `learning_rate_factor` times the learning rate of the rest,
    and not at all in the first `frozen_epochs`, batch norm's running statistics included (see `MultiTask`).
    """

    learning_rate_factor: float
    frozen_epochs: int


FROM_SCRATCH = BackboneSchedule(learning_rate_factor=1.0, frozen_epochs=0)
"""A backbone with random weights learns like the rest."""


def configured_optimiser(
    parameters: Iterable[tuple[str, nn.Parameter]], training: Training, backbone: BackboneSchedule, steps: int
) -> OptimizerLRSchedulerConfig:
    """AdamW without weight decay on biases and norms, as Lightning's `configure_optimizers` returns it.

    parameters: by name; those of the backbone begin with `backbone.`. steps: of the whole training.
    """
    groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
    for name, parameter in parameters:
        groups.setdefault((name.startswith("backbone."), parameter.ndim > 1), []).append(parameter)
    steps_per_epoch = steps / training.epochs
    warmup, frozen = training.warmup_epochs * steps_per_epoch, backbone.frozen_epochs * steps_per_epoch

    def schedule(is_backbone: bool) -> Callable[[int], float]:
        return lambda step: 0.0 if is_backbone and step < frozen else learning_rate_factor(step, steps, warmup)

    optimiser = AdamW(
        [
            {
                "params": of_group,
                "lr": training.learning_rate * (backbone.learning_rate_factor if is_backbone else 1.0),
                "weight_decay": training.weight_decay if decays else 0.0,
            }
            for (is_backbone, decays), of_group in groups.items()
        ],
        fused=True,
    )
    scheduler = LambdaLR(optimiser, [schedule(is_backbone) for is_backbone, _ in groups])
    return {"optimizer": optimiser, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}
