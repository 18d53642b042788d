"""Classify by how many quarter turns an image was rotated (RotNet: Gidaris et al., ICLR 2018, arXiv 1803.07728)."""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pipeline_steps.pose.geometry import matrix_to_euler
from pipeline_steps.pretext.base import PretextTask, Views


def quarter_turns(images: Tensor, turns: Tensor) -> Tensor:
    """Images (B, 3, S, S) rotated counter-clockwise by turns (B,) x 90 degrees.

    Pixels are moved, never interpolated: artefacts of resampling would be a shortcut.
    """
    turned = images.clone()
    for k in (1, 2, 3):
        chosen = turns == k
        turned[chosen] = torch.rot90(images[chosen], k, dims=(2, 3))
    return turned


class Rotation(PretextTask):
    """Four-way classification of the rotation; the head is one linear layer."""

    kind: Literal["rotation"] = "rotation"

    @property
    def rolls_views(self) -> bool:
        """See PretextTask."""
        return True

    def views(self, images: Tensor, generator: torch.Generator) -> Views:
        """One view per image, rotated by a uniformly drawn multiple of 90 degrees; targets are the multiples (B,)."""
        turns = torch.randint(4, (len(images),), generator=generator, device=generator.device).to(images.device)
        return Views(quarter_turns(images, turns), turns)

    def head(self, features: int) -> nn.Module:
        """Logits (B, 4)."""
        return nn.Linear(features, 4)

    def view_labels(self, rotation: Tensor, euler_deg: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """The head rotates with the image: a quarter turn counter-clockwise lowers the roll by 90 degrees."""
        quarter = rotation.new_tensor([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])
        powers = torch.stack([torch.linalg.matrix_power(quarter, k) for k in range(4)])
        turned = powers[targets] @ rotation
        return turned, torch.where((targets == 0)[:, None], euler_deg, matrix_to_euler(turned))

    def loss(self, outputs: Tensor, targets: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Cross-entropy of logits (B, 4) against turns (B,)."""
        return F.cross_entropy(outputs, targets), {"accuracy": (outputs.argmax(1) == targets).float().mean()}
