"""Predict the pixels of hidden cells, each normalised by itself, from the cells that can be seen.

The goal is that of SparK (Tian et al., ICLR 2023, arXiv 2301.03580), the means are simpler: ordinary dense convolutions
run over images whose hidden cells are filled with the mean colour, in the manner of SimMIM (Xie et al., CVPR 2022,
arXiv 2111.09886), and a light decoder reads the last map alone. SparK instead skips hidden cells by sparse
convolutions, so that their fill reaches neither features nor batch statistics, and decodes the maps of all stages.
"""

from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from pipeline_steps.pretext._decoder import Hidden, decoder, hidden, weighted_mean
from pipeline_steps.pretext._tiles import from_tiles, to_tiles
from pipeline_steps.pretext.base import PretextTask, Views


class MaskedModelling(PretextTask):
    """A grid of cells, of which the same share is hidden in every image."""

    kind: Literal["masked_modelling"] = "masked_modelling"
    reads: ClassVar[Literal["features", "map", "rotation"]] = "map"

    cells: int = Field(default=8, ge=2, le=64, description="along each side of the image")
    ratio: float = Field(default=0.6, gt=0, lt=1, description="share of hidden cells")
    width: int = Field(default=256, ge=4, description="channels of the decoder's first block, halved by every block")

    def check_image_size(self, size: int) -> None:
        """Cells must be of equal size."""
        if size % self.cells:
            raise ValueError(f"{self.cells} cells a side need a size that is a multiple of {self.cells}")

    def views(self, images: Tensor, generator: torch.Generator) -> Views:
        """Each image once, round(ratio * cells**2) of its cells hidden, at least one and never all."""
        b, n = len(images), self.cells**2
        ranks = torch.rand(b, n, generator=generator, device=generator.device).argsort(1).argsort(1)
        chosen = ranks < min(max(round(self.ratio * n), 1), n - 1)
        grid = chosen.reshape(b, 1, self.cells, self.cells).to(images.device)
        cell = images.shape[-1] // self.cells
        return hidden(images, grid.repeat_interleave(cell, 2).repeat_interleave(cell, 3))

    def head(self, features: int) -> nn.Module:
        """Normalised pixels (B, 3, 32h, 32w) from maps (B, features, h, w), those of 8x8 at a time from one place."""
        return nn.Sequential(decoder(features, self.width, doublings=2, channels=3 * 8 * 8), nn.PixelShuffle(8))

    def loss(self, outputs: Tensor, targets: Hidden) -> tuple[Tensor, dict[str, Tensor]]:
        """Mean squared error over the hidden cells: about 1 where zero is predicted everywhere, 0 at best.

        Expected are, as in MAE (He et al., CVPR 2022, arXiv 2111.06377), a cell's values less their mean and divided by
        their deviation. Where the image's side is no multiple of 32, the last map reaches beyond it; so do the outputs,
        and the rest is cut off.
        """
        size = targets.images.shape[-1]
        tiles = to_tiles(targets.images, self.cells)
        variance, mean = torch.var_mean(tiles, (2, 3, 4), keepdim=True, correction=0)
        expected = from_tiles((tiles - mean) / (variance + 1e-6).sqrt(), size)
        return weighted_mean((outputs[..., :size, :size] - expected) ** 2, targets.mask), {}
