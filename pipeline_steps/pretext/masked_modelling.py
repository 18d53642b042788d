"""Predict the pixels of masked cells, normalised cell by cell, from the visible ones.

Masked image modelling for a convolutional network, as in SparK (Tian et al., ICLR 2023, arXiv 2301.03580), but simpler:
ordinary dense convolutions see images whose masked cells are filled with the mean colour, as in SimMIM (Xie et al.,
CVPR 2022, arXiv 2111.09886), and a light decoder reads only the last feature map. SparK skips masked cells by sparse
convolutions, so that the fill affects neither features nor batch statistics, and decodes the maps of all stages.
"""

from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from pipeline_steps.pretext._decoder import Original, decoder, masked, weighted_mean
from pipeline_steps.pretext._tiles import from_tiles, to_tiles
from pipeline_steps.pretext.base import PretextTask, Views


class MaskedModelling(PretextTask):
    """A grid of cells, the same share of which is masked in every image."""

    kind: Literal["masked_modelling"] = "masked_modelling"
    reads: ClassVar[Literal["features", "map", "rotation"]] = "map"

    cells: int = Field(default=8, ge=2, le=64, description="cells along each side of the image")
    ratio: float = Field(default=0.6, gt=0, lt=1, description="share of masked cells")
    width: int = Field(default=256, ge=4, description="channels of the decoder's first block, halved by every block")

    def check_image_size(self, size: int) -> None:
        """All cells must have the same size."""
        if size % self.cells:
            raise ValueError(f"{self.cells} cells a side need a size that is a multiple of {self.cells}")

    def views(self, images: Tensor, generator: torch.Generator) -> Views:
        """One view per image, round(ratio * cells**2) of its cells masked, at least one and never all."""
        b, n = len(images), self.cells**2
        ranks = torch.rand(b, n, generator=generator, device=generator.device).argsort(1).argsort(1)
        chosen = ranks < min(max(round(self.ratio * n), 1), n - 1)
        grid = chosen.reshape(b, 1, self.cells, self.cells).to(images.device)
        cell = images.shape[-1] // self.cells
        return masked(images, grid.repeat_interleave(cell, 2).repeat_interleave(cell, 3))

    def head(self, features: int) -> nn.Module:
        """Normalised pixels (B, 3, 32h, 32w) from maps (B, features, h, w), in blocks of 8x8."""
        return nn.Sequential(decoder(features, self.width, doublings=2, channels=3 * 8 * 8), nn.PixelShuffle(8))

    def loss(self, outputs: Tensor, targets: Original) -> tuple[Tensor, dict[str, Tensor]]:
        """Mean squared error over the masked cells: about 1 for a prediction of zero everywhere, 0 at best.

        The targets are, as in MAE (He et al., CVPR 2022, arXiv 2111.06377), each cell's pixels less their mean and
        divided by their standard deviation. Where the image's side is not a multiple of 32, the feature map extends
        beyond the image, and with it the outputs, which are cropped.
        """
        size = targets.images.shape[-1]
        tiles = to_tiles(targets.images, self.cells)
        variance, mean = torch.var_mean(tiles, (2, 3, 4), keepdim=True, correction=0)
        expected = from_tiles((tiles - mean) / (variance + 1e-6).sqrt(), size)
        return weighted_mean((outputs[..., :size, :size] - expected) ** 2, targets.mask), {}
