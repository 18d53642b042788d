"""Predict a teacher's embedding of the other view (BYOL: Grill et al., NeurIPS 2020, arXiv 2006.07733)."""

from typing import Literal

from pydantic import Field
from torch import Tensor, nn

from pipeline_steps.pretext._joint_embedding import SelfDistillation, other_view


class Byol(SelfDistillation):
    """The student has a projection head and a predictor, the teacher only a projection head.

    `hidden` is the width of the hidden layers of both.
    """

    kind: Literal["byol"] = "byol"
    hidden: int = Field(default=1024, ge=2)
    output: int = Field(default=256, ge=2)

    def head(self, features: int) -> nn.Module:
        """Projection head and predictor: predicted embeddings (2B, output)."""
        from lightly.models.modules.heads import BYOLPredictionHead, BYOLProjectionHead

        return nn.Sequential(
            BYOLProjectionHead(features, self.hidden, self.output),
            BYOLPredictionHead(self.output, self.hidden, self.output),
        )

    def teacher_outputs(self, head: nn.Module, features: Tensor) -> Tensor:
        """The projection head's embeddings (2B, output)."""
        projection_head, _ = head.children()
        projected: Tensor = projection_head(features)
        return projected

    def disagreement(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Squared distance of the normalised embeddings, 2 - 2 cos (0 to 4), averaged over both directions."""
        from lightly.loss import NegativeCosineSimilarity

        negative_cosine: Tensor = NegativeCosineSimilarity()(outputs, other_view(targets))
        return 2 + 2 * negative_cosine
