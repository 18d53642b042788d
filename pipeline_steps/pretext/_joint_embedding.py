"""What the joint-embedding tasks have in common: two augmented views of an image must get embeddings that agree."""

import math
from abc import abstractmethod
from typing import Any

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from pipeline_steps.images.augmentation import Augmentation, Motion, augmented
from pipeline_steps.pretext._viewed import Viewed
from pipeline_steps.pretext.base import Views

_VIEW = Augmentation(
    flip=0.0,
    scale=(0.7, 1.0),
    shift=0.1,
    brightness=0.4,
    contrast=0.4,
    saturation=0.4,
    hue=0.1,
    grayscale=0.2,
    blur=0.5,
)


def other_view(values: Tensor) -> Tensor:
    """Both views' rows (2B, ...), those of each view in the places of the other's."""
    return values.roll(len(values) // 2, 0)


def spread(outputs: Tensor) -> Tensor:
    """Standard deviation of the normalised outputs (N, D), mean over dimensions, times sqrt(D).

    0 where all outputs point the same way, 1 where they point everywhere alike; SimSiam (arXiv 2011.10566) watches it.
    """
    return F.normalize(outputs, dim=1).std(0, correction=0).mean() * math.sqrt(outputs.shape[1])


class JointEmbedding(Viewed):
    """Two independently augmented views of each image; features learn to ignore whatever `view` varies.

    So that pose is not among it, windows are mild, and nothing is turned or mirrored by default. There is no vertical
    flip at all. A horizontal flip mirrors the pose: a mirrored pair that counts as the same teaches the network to
    ignore the sign of yaw and roll. How much that costs is a question for a study, hence `view.flip`, the probability
    with which each view, independently of the other, is mirrored.
    """

    view: Augmentation = _VIEW

    def views(self, images: Tensor, generator: torch.Generator) -> Views:
        """Both views (2B, 3, S, S); the targets are their Motion (2B)."""
        return Views(*augmented(images.repeat(2, 1, 1, 1), self.view, generator))

    def view_labels(self, rotation: Tensor, euler_deg: Tensor, targets: Motion) -> tuple[Tensor, Tensor]:
        """Labels of both views (2B)."""
        return targets.labels(rotation.repeat(2, 1, 1), euler_deg.repeat(2, 1))

    @abstractmethod
    def disagreement(self, outputs: Tensor, targets: Any) -> Tensor:
        """The scalar loss of the head's outputs (2B, D)."""

    def metrics(self, outputs: Tensor) -> dict[str, Tensor]:
        """What shows whether the outputs (2B, D) collapse."""
        return {"spread": spread(outputs)}

    def loss(self, outputs: Tensor, targets: Any) -> tuple[Tensor, dict[str, Tensor]]:
        """Disagreement and metrics of outputs (2B, D), B >= 2, in float32 even where networks compute in bfloat16."""
        with torch.autocast(outputs.device.type, enabled=False):
            return self.disagreement(outputs, targets), self.metrics(outputs.detach())


class Taught(JointEmbedding):
    """Each view predicts what a teacher makes of the other; the targets are the teacher's outputs (2B, D)."""

    momentum: float = Field(
        default=0.99,
        ge=0,
        le=1,
        description="of the teacher's moving average at first, rising to 1; the papers' 0.996 is for long trainings",
    )

    def teacher_momentum(self, progress: float) -> float:
        """From `momentum` to 1 along half a cosine, as in BYOL and DINO."""
        return 1 - (1 - self.momentum) * (1 + math.cos(math.pi * progress)) / 2
