"""The pose-aware tasks: a known motion of the image must change the predicted pose by the same motion."""

import math
from collections.abc import Mapping
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from pipeline_steps.images.augmentation import Motion, augmented
from pipeline_steps.pose.geometry import geodesic_distance_deg
from pipeline_steps.pose.losses import geodesic_loss
from pipeline_steps.pretext._random_views import RandomViews
from pipeline_steps.pretext.base import Views


class PoseAware(RandomViews):
    """Two views of each image, the original and a moved copy: the pose predicted for one determines that of the other.

    Needs no labels, so that the network also learns from unlabelled subjects. The head is the network's own pose head.
    """

    renamed: ClassVar[Mapping[str, str]] = {"spread_deg": "min_dispersion_deg"}
    reads: ClassVar[Literal["features", "map", "rotation"]] = "rotation"

    stop_gradient: bool = Field(
        default=False,
        description="whether the pose predicted for the original is only a label for the moved copy, without gradient",
    )
    min_dispersion_deg: float = Field(
        default=0.0,
        ge=0,
        le=60,
        description="hinge loss against collapse in trainings without labels: the predicted poses of a batch must lie, "
        "on average, at least this many degrees from their mean",
    )

    def views(self, images: Tensor, generator: torch.Generator) -> Views:
        """The images, then their moved copies (2B, 3, S, S); the targets are the Motion (B) of the copies."""
        moved, motion = augmented(images, self.view, generator)
        return Views(torch.cat([images, moved]), motion)

    def head(self, features: int) -> nn.Module:
        """The identity: the loss sees the predicted rotations themselves."""
        return nn.Identity()

    def view_labels(self, rotation: Tensor, euler_deg: Tensor, targets: Motion) -> tuple[Tensor, Tensor]:
        """Labels of both views (2B)."""
        moved = targets.labels(rotation, euler_deg)
        return torch.cat([rotation, moved[0]]), torch.cat([euler_deg, moved[1]])

    def loss(self, outputs: Tensor, targets: Motion) -> tuple[Tensor, dict[str, Tensor]]:
        """Mean geodesic distance in radians of the moved prediction from that for the moved image, plus the hinge loss.

        outputs: rotations (2B, 3, 3).
        """
        original, moved = outputs.chunk(2)
        expected = targets.rotation(original.detach() if self.stop_gradient else original)
        loss = geodesic_loss(moved, expected)
        if self.min_dispersion_deg:
            deviation = ((outputs - outputs.mean(0)) ** 2).sum((1, 2)).add(1e-8).sqrt() / math.sqrt(2)
            loss = loss + (math.radians(self.min_dispersion_deg) - deviation.mean()).clamp(min=0)
        return loss, {"error_deg": geodesic_distance_deg(moved.detach(), expected.detach()).mean()}
