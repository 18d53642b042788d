"""Classify the permutation by which the tiles of an image were shuffled.

Noroozi & Favaro, ECCV 2016, arXiv 1603.09246, in the form of `puzzling`: the shuffled tiles are reassembled to one
image and pass through the backbone once. Instead of classifying the tile in every slot, a single head distinguishes a
few permutations that lie far from each other.
"""

import itertools
from functools import cache
from typing import Literal, Self

import numpy as np
import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional as F

from pipeline_steps.pretext._tiles import from_tiles, to_tiles
from pipeline_steps.pretext.base import PretextTask, Views


@cache
def distant_permutations(grid: int, count: int) -> Tensor:
    """Permutations (count, slots) of the tiles, each as far as possible from the nearest of those before it.

    Greedy search among all permutations, starting from the identity. The distance is Hamming's: the number of slots
    that differ. Ties go to the largest sum of distances (the paper's criterion, by which every tile appears about
    equally often in every slot), then to the first in lexicographic order, so that the result is deterministic. On a
    2x2 grid 4 permutations differ in all slots and 12 in at least three; on a 3x3 grid 64 differ in at least seven.
    """
    slots = grid**2
    every = np.array(list(itertools.permutations(range(slots))), dtype=np.int8).T.copy()
    nearest, total = (np.full(every.shape[1], start, dtype=np.int32) for start in (slots, 0))
    chosen = [0]
    while len(chosen) < count:
        distance = (every != every[:, chosen[-1:]]).sum(0, dtype=np.int32)
        nearest = np.minimum(nearest, distance)
        total += distance
        chosen.append(int((nearest * slots * count + total).argmax()))
    return torch.from_numpy(every[:, chosen].T.astype(np.int64))


class JigsawPermutation(PretextTask):
    """A grid of tiles in one of `permutations` orders; the targets are the indices (B,) of the orders."""

    kind: Literal["jigsaw_permutation"] = "jigsaw_permutation"
    grid: Literal[2, 3] = 2
    permutations: int = Field(default=12, ge=2, le=1000, description="number of classes, at most 24 on a 2x2 grid")
    dropout: float = Field(default=0.3, ge=0, lt=1)

    @model_validator(mode="after")
    def _enough(self) -> Self:
        if self.grid == 2 and self.permutations > 24:
            raise ValueError(f"permutations: four tiles have 24 orders, not {self.permutations}")
        return self

    def views(self, images: Tensor, generator: torch.Generator) -> Views:
        """One view per image: slot i shows the tile whose index is the i-th entry of the drawn permutation."""
        b = len(images)
        drawn = torch.randint(self.permutations, (b,), generator=generator, device=generator.device)
        order = distant_permutations(self.grid, self.permutations)[drawn].to(images.device)
        tiles = to_tiles(images, self.grid)[torch.arange(b, device=images.device)[:, None], order]
        return Views(from_tiles(tiles, images.shape[-1]), drawn.to(images.device))

    def head(self, features: int) -> nn.Module:
        """Logits (B, permutations)."""
        return nn.Sequential(nn.Dropout(self.dropout), nn.Linear(features, self.permutations))

    def loss(self, outputs: Tensor, targets: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Cross-entropy of logits (B, permutations) against indices (B,)."""
        return F.cross_entropy(outputs, targets), {"accuracy": (outputs.argmax(1) == targets).float().mean()}
