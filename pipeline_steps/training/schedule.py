"""Learning rate and loss weights over a training."""

import math

from pipeline_steps.params.sections import Weighting


def learning_rate_factor(step: int, steps: int, warmup: float) -> float:
    """Factor on the learning rate at `step` of `steps`: linear warm-up over `warmup` steps, cosine decay to zero."""
    if step < warmup:
        return (step + 1) / (warmup + 1)
    return 0.5 * (1 + math.cos(math.pi * min(1.0, (step - warmup) / max(1.0, steps - warmup))))


def weight_factor(weighting: Weighting, progress: float) -> float:
    """Factor on an auxiliary loss's weight at `progress` (0 to 1) of the training.

    `annealed` falls from 1 to 0 along half a cosine, `ramped` rises linearly from 0 to 1 over the first 30%; the others
    are constant.
    """
    if weighting == "annealed":
        return 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))
    return min(1.0, progress / 0.3) if weighting == "ramped" else 1.0
