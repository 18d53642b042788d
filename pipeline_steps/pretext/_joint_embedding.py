"""The joint-embedding tasks: the embeddings of two augmented views of an image must agree."""

import math
from abc import abstractmethod
from typing import Any

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from pipeline_steps.images.augmentation import Augmentation, Motion, augmented
from pipeline_steps.pretext._random_views import RandomViews
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
    """The rows (2B, ...) of both views, swapped: first those of the second view, then those of the first."""
    return values.roll(len(values) // 2, 0)


def embedding_std(outputs: Tensor) -> Tensor:
    """Standard deviation of the normalised outputs (N, D), averaged over dimensions, times sqrt(D).

    0 where all outputs point in one direction (collapse), 1 where their directions are uniform: the measure by which
    SimSiam (Chen & He, CVPR 2021, arXiv 2011.10566) detects collapse.
    """
    return F.normalize(outputs, dim=1).std(0, correction=0).mean() * math.sqrt(outputs.shape[1])


class JointEmbedding(RandomViews):
    """Two independently augmented views of each image; features learn to ignore whatever `view` varies.

    They must not learn to ignore the pose: windows are mild, and by default nothing is rotated or mirrored. There is no
    vertical flip at all. A horizontal flip mirrors the pose, so that a pair of an image and its mirror image teaches
    the network to ignore the sign of yaw and roll. How much that costs is a question for a study: `view.flip` is the
    probability with which each view is mirrored, independently of the other.
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
        """The scalar loss of the head's outputs (2B, D); targets: the views' Motion, or a teacher's outputs (2B, D)."""

    def metrics(self, outputs: Tensor) -> dict[str, Tensor]:
        """Metrics that show whether the outputs (2B, D) collapse."""
        return {"embedding_std": embedding_std(outputs)}

    def loss(self, outputs: Tensor, targets: Any) -> tuple[Tensor, dict[str, Tensor]]:
        """Disagreement and metrics of outputs (2B, D), B >= 2, in float32 even where networks compute in bfloat16."""
        with torch.autocast(outputs.device.type, enabled=False):
            return self.disagreement(outputs, targets), self.metrics(outputs.detach())


class SelfDistillation(JointEmbedding):
    """The student predicts, from each view, the teacher's outputs (2B, D) for the other view."""

    momentum: float = Field(
        default=0.99,
        ge=0,
        le=1,
        description="of the teacher's moving average, rising from this to 1; the papers' 0.996 is for long trainings",
    )

    def teacher_momentum(self, progress: float) -> float:
        """From `momentum` to 1 along half a cosine, as in BYOL and DINO."""
        return 1 - (1 - self.momentum) * (1 + math.cos(math.pi * progress)) / 2
