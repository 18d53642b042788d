"""What the pose-aware tasks have in common: a known motion of the picture must move the predicted pose alike."""

import math
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from pipeline_steps.images.augmentation import Motion, augmented
from pipeline_steps.pose.geometry import geodesic_distance_deg
from pipeline_steps.pose.losses import geodesic_loss
from pipeline_steps.pretext._viewed import Viewed
from pipeline_steps.pretext.base import Views


class PoseAware(Viewed):
    """Two views of each image, as it is and moved; the pose predicted for one must follow from that for the other.

    Needs no label, so that images of unlabelled people teach too. The head is the network's own pose head.
    """

    reads: ClassVar[Literal["features", "map", "rotation"]] = "rotation"

    stop_gradient: bool = Field(
        default=False,
        description="whether the image as it is only teaches: its predicted pose, moved, is a label for the other view",
    )
    spread_deg: float = Field(
        default=0.0,
        ge=0,
        le=60,
        description="hinge against collapse, where no label prevents it: on average the predicted poses of a batch "
        "must lie at least so many degrees from their mean",
    )

    def views(self, images: Tensor, generator: torch.Generator) -> Views:
        """The images as they are, then moved (2B, 3, S, S); the targets are the Motion of the latter (B)."""
        moved, motion = augmented(images, self.view, generator)
        return Views(torch.cat([images, moved]), motion)

    def head(self, features: int) -> nn.Module:
        """Nothing between the predicted rotations and the loss."""
        return nn.Identity()

    def view_labels(self, rotation: Tensor, euler_deg: Tensor, targets: Motion) -> tuple[Tensor, Tensor]:
        """Labels of both views (2B)."""
        moved = targets.labels(rotation, euler_deg)
        return torch.cat([rotation, moved[0]]), torch.cat([euler_deg, moved[1]])

    def loss(self, outputs: Tensor, targets: Motion) -> tuple[Tensor, dict[str, Tensor]]:
        """Mean geodesic distance in radians between the moved prediction and that for the moved image, and the hinge.

        outputs: rotations (2B, 3, 3).
        """
        upright, moved = outputs.chunk(2)
        expected = targets.rotation(upright.detach() if self.stop_gradient else upright)
        loss = geodesic_loss(moved, expected)
        if self.spread_deg:
            deviation = ((outputs - outputs.mean(0)) ** 2).sum((1, 2)).add(1e-8).sqrt() / math.sqrt(2)
            loss = loss + (math.radians(self.spread_deg) - deviation.mean()).clamp(min=0)
        return loss, {"error_deg": geodesic_distance_deg(moved.detach(), expected.detach()).mean()}
