"""Optimising what a loss depends on, to see that it can be driven down."""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor


def losses_while_optimised(
    loss: Callable[[], Tensor], parameters: Iterable[Tensor], rate: float, steps: int
) -> list[float]:
    """The loss before each of Adam's steps."""
    optimiser = torch.optim.Adam(parameters, lr=rate)
    losses = []
    for _ in range(steps):
        now = loss()
        optimiser.zero_grad()
        now.backward()
        optimiser.step()
        losses.append(now.item())
    return losses
