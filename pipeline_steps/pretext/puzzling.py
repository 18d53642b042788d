"""Classify which tile lies in each slot of a shuffled image.

After the authors' own code for their study of facial expressions (arXiv 2105.06421): the image is cut into a grid of
tiles, shuffled by an arbitrary permutation, reassembled to one image of the same size and passed through the backbone
once; one linear softmax head per slot classifies its tile. Optionally every tile is rotated by a multiple of 90 degrees
and a second head per slot classifies the rotation.
"""

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from pipeline_steps.pretext._tiles import from_tiles, to_tiles
from pipeline_steps.pretext.base import PretextTask, Views
from pipeline_steps.pretext.rotation import quarter_turns


class Puzzling(PretextTask):
    """A grid of shuffled, optionally rotated tiles.

    Targets are tile indices (B, slots) or, with `turn_tiles`, tile indices and quarter turns (B, 2, slots).
    """

    kind: Literal["puzzling"] = "puzzling"
    grid: Literal[2, 3] = 2
    turn_tiles: bool = False
    dropout: float = Field(default=0.3, ge=0, lt=1)

    @property
    def slots(self) -> int:
        """Number of tiles and of slots."""
        return self.grid**2

    def views(self, images: Tensor, generator: torch.Generator) -> Views:
        """One view per image, its tiles shuffled by a uniformly drawn permutation: slot i shows tile targets[:, i]."""
        b = len(images)
        order = torch.rand(b, self.slots, generator=generator, device=generator.device).argsort(1).to(images.device)
        tiles = to_tiles(images, self.grid)
        tiles = tiles[torch.arange(b, device=images.device)[:, None], order]
        targets = order
        if self.turn_tiles:
            turns = torch.randint(4, (b, self.slots), generator=generator, device=generator.device).to(images.device)
            tiles = quarter_turns(tiles.flatten(0, 1), turns.flatten()).reshape(tiles.shape)
            targets = torch.stack([order, turns], 1)
        return Views(from_tiles(tiles, images.shape[-1]), targets)

    def head(self, features: int) -> nn.Module:
        """Logits (B, slots * slots) of the tiles, then (B, slots * 4) of the quarter turns, slot by slot."""
        width = self.slots * (self.slots + 4 * self.turn_tiles)
        return nn.Sequential(nn.Dropout(self.dropout), nn.Linear(features, width))

    def loss(self, outputs: Tensor, targets: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Cross-entropy, averaged over the per-slot heads."""
        tile_logits, turn_logits = torch.split(outputs, [self.slots**2, outputs.shape[1] - self.slots**2], 1)
        tile_logits = tile_logits.reshape(-1, self.slots, self.slots)
        tiles = targets[:, 0] if self.turn_tiles else targets
        losses = [F.cross_entropy(tile_logits.flatten(0, 1), tiles.flatten())]
        metrics = {"accuracy": (tile_logits.argmax(2) == tiles).float().mean()}
        if self.turn_tiles:
            turn_logits = turn_logits.reshape(-1, self.slots, 4)
            losses.append(F.cross_entropy(turn_logits.flatten(0, 1), targets[:, 1].flatten()))
            metrics["turn_accuracy"] = (turn_logits.argmax(2) == targets[:, 1]).float().mean()
        return torch.stack(losses).mean(), metrics
