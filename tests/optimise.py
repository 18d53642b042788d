"""Optimises the parameters of a loss, to check that it can be minimised."""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor


def losses_while_optimised(
    loss: Callable[[], Tensor], parameters: Iterable[Tensor], rate: float, steps: int
) -> list[float]:
    """The loss before each step of Adam."""
    optimiser = torch.optim.Adam(parameters, lr=rate)
    losses = []
    for _ in range(steps):
        now = loss()
        optimiser.zero_grad()
        now.backward()
        optimiser.step()
        losses.append(now.item())
    return losses
