"""Tell on which side of an image's centre another patch of it lies (Doersch et al., ICCV 2015, arXiv 1505.05192)."""

from typing import Any, Literal, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional as F

from pipeline_steps.images.augmentation import Fraction
from pipeline_steps.pretext.base import PretextTask, Views


def _windows(images: Tensor, centres: Tensor, side: float) -> Tensor:
    """Windows of images (B, C, S, S) around centres (B, 2), enlarged to the images' size, bilinear.

    Not by torch's affine_grid: under autocast it rounds to bfloat16, more coarsely the farther out a window lies.
    """
    size = images.shape[-1]
    pixels = (2 * torch.arange(size, device=images.device) + 1) / size - 1
    x, y = (centres[:, :, None] + side * pixels).unbind(1)
    grid = torch.stack([x[:, None, :].expand(-1, size, -1), y[:, :, None].expand(-1, -1, size)], 3)
    return F.grid_sample(images, grid, padding_mode="border", align_corners=False)


class _Paired(nn.Module):
    """Features of both views (2B, C) side by side (B, 2C)."""

    def forward(self, features: Tensor) -> Tensor:
        return torch.cat(features.chunk(2), 1)


class RelativePosition(PretextTask):
    """Eight-way classification of the neighbour's place; targets (B,) count them in reading order, without the centre.

    The image is a 3x3 grid of patches with gaps between them, so that lines that run on give nothing away. Patches are
    enlarged to the size of the image, and lie at any fraction of a pixel.
    """

    kind: Literal["relative_position"] = "relative_position"
    gap: float = Field(default=0.1, ge=0, le=0.25, description="between neighbours, as a share of the image's side")
    jitter: float = Field(
        default=0.03,
        ge=0,
        description="largest move of every patch along x and y, as a share of the image's side; at most half the gap",
    )
    grayscale: Fraction = Field(
        default=0.5,
        description="probability of a pair without colour: lenses shift red and blue towards the picture's edge, which "
        "would tell where a patch lies",
    )
    hidden: int = Field(default=256, ge=1, description="width of the head's hidden layer")

    @model_validator(mode="after")
    def _apart(self) -> Self:
        if 2 * self.jitter > self.gap:
            raise ValueError(f"jitter: {self.jitter} is more than half the gap of {self.gap}: patches would overlap")
        return self

    @property
    def side(self) -> float:
        """Side of a patch as a share of the image's: however it is moved, a patch stays within the image."""
        return (1 - 2 * self.gap - 2 * self.jitter) / 3

    def views(self, images: Tensor, generator: torch.Generator) -> Views:
        """All centres, then one neighbour of each (2B, 3, S, S), its place uniformly drawn."""
        b = len(images)
        place = torch.randint(8, (b,), generator=generator, device=generator.device)
        moves = 2 * torch.rand(2, b, 2, generator=generator, device=generator.device) - 1
        gray = torch.rand(b, generator=generator, device=generator.device).lt(self.grayscale).to(images.device)
        cell = place + (place >= 4).long()
        steps = torch.stack([cell % 3 - 1, cell // 3 - 1], 1)
        steps = torch.stack([torch.zeros_like(steps), steps])
        centres = 2 * (steps * (self.side + self.gap) + moves * self.jitter)  # x and y from -1 to 1 across the image
        images = torch.where(gray[:, None, None, None], images.mean(1, keepdim=True), images)
        patches = _windows(images.repeat(2, 1, 1, 1), centres.flatten(0, 1).to(images), self.side)
        return Views(patches, place.to(images.device))

    def head(self, features: int) -> nn.Module:
        """Logits (B, 8) from the features of both views (2B, features): a pair's are read side by side."""
        return nn.Sequential(_Paired(), nn.Linear(2 * features, self.hidden), nn.ReLU(), nn.Linear(self.hidden, 8))

    def loss(self, outputs: Tensor, targets: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Cross-entropy of logits (B, 8) against places (B,)."""
        return F.cross_entropy(outputs, targets), {"accuracy": (outputs.argmax(1) == targets).float().mean()}

    def view_labels(self, rotation: Tensor, euler_deg: Tensor, targets: Any) -> tuple[Tensor, Tensor]:
        """Labels of both views (2B): a part of the head is turned as the whole is."""
        return rotation.repeat(2, 1, 1), euler_deg.repeat(2, 1)
