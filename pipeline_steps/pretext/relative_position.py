"""Classify where a patch lies relative to the image's central patch (Doersch et al., ICCV 2015, arXiv 1505.05192)."""

from typing import Any, Literal, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional as F

from pipeline_steps.images.augmentation import Fraction
from pipeline_steps.pretext.base import PretextTask, Views


def _windows(images: Tensor, centres: Tensor, side: float) -> Tensor:
    """Windows of images (B, C, S, S) around centres (B, 2), enlarged to the images' size, bilinear.

    Without torch's affine_grid, which under autocast rounds to bfloat16, the more the farther a window lies outside.
    """
    size = images.shape[-1]
    pixels = (2 * torch.arange(size, device=images.device) + 1) / size - 1
    x, y = (centres[:, :, None] + side * pixels).unbind(1)
    grid = torch.stack([x[:, None, :].expand(-1, size, -1), y[:, :, None].expand(-1, -1, size)], 3)
    return F.grid_sample(images, grid, padding_mode="border", align_corners=False)


class _Paired(nn.Module):
    """Features of both views (2B, C), concatenated to (B, 2C)."""

    def forward(self, features: Tensor) -> Tensor:
        return torch.cat(features.chunk(2), 1)


class RelativePosition(PretextTask):
    """Eight-way classification of the neighbour's position; targets (B,) count in reading order, without the centre.

    The image is a 3x3 grid of patches with gaps in between, so that lines that continue across patches are no shortcut.
    Patches are enlarged to the size of the image, and may lie at fractions of a pixel.
    """

    kind: Literal["relative_position"] = "relative_position"
    gap: float = Field(default=0.1, ge=0, le=0.25, description="between neighbours, as a share of the image's side")
    jitter: float = Field(
        default=0.03,
        ge=0,
        description="largest shift of every patch along x and y, as a share of the image's side; at most half the gap",
    )
    grayscale: Fraction = Field(
        default=0.5,
        description="probability of a pair without colour: the chromatic aberration of lenses, which grows towards the "
        "image's edge, would be a shortcut",
    )
    hidden: int = Field(default=256, ge=1, description="width of the head's hidden layer")

    @model_validator(mode="after")
    def _apart(self) -> Self:
        if 2 * self.jitter > self.gap:
            raise ValueError(f"jitter: {self.jitter} is more than half the gap of {self.gap}: patches would overlap")
        return self

    @property
    def side(self) -> float:
        """Side of a patch as a share of the image's, so that every shifted patch stays within the image."""
        return (1 - 2 * self.gap - 2 * self.jitter) / 3

    def views(self, images: Tensor, generator: torch.Generator) -> Views:
        """All central patches, then one neighbour of each (2B, 3, S, S), whose position is drawn uniformly."""
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
        """Logits (B, 8) from the features of both views (2B, features), concatenated pair by pair."""
        return nn.Sequential(_Paired(), nn.Linear(2 * features, self.hidden), nn.ReLU(), nn.Linear(self.hidden, 8))

    def loss(self, outputs: Tensor, targets: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Cross-entropy of logits (B, 8) against positions (B,)."""
        return F.cross_entropy(outputs, targets), {"accuracy": (outputs.argmax(1) == targets).float().mean()}

    def view_labels(self, rotation: Tensor, euler_deg: Tensor, targets: Any) -> tuple[Tensor, Tensor]:
        """Labels of both views (2B): a patch shows the head in the same pose as the whole image."""
        return rotation.repeat(2, 1, 1), euler_deg.repeat(2, 1)
