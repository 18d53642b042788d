"""Pull the two views together while variance and covariance keep the embeddings from collapsing.

VICReg: Bardes et al., ICLR 2022, arXiv 2105.04906.
"""

from typing import Any, Literal

from pydantic import Field
from torch import Tensor, nn

from pipeline_steps.pretext._joint_embedding import JointEmbedding


class VicReg(JointEmbedding):
    """A weighted sum of three terms; with the paper's weights, a few tens at the start."""

    kind: Literal["vicreg"] = "vicreg"
    hidden: int = Field(default=1024, ge=2)
    output: int = Field(default=1024, ge=2)
    invariance: float = Field(default=25.0, ge=0, description="weight of the squared distance between the views")
    variance: float = Field(default=25.0, ge=0, description="weight of the hinge loss on standard deviations below 1")
    covariance: float = Field(default=1.0, ge=0, description="weight of the squared covariances between dimensions")

    def head(self, features: int) -> nn.Module:
        """Embeddings (2B, output)."""
        from lightly.models.modules.heads import VICRegProjectionHead

        projection_head: nn.Module = VICRegProjectionHead(features, self.hidden, self.output)
        return projection_head

    def disagreement(self, outputs: Tensor, targets: Any) -> Tensor:
        """As in the authors' code, the variance term is averaged over the views and the covariance term summed."""
        from lightly.loss import VICRegLoss

        loss: Tensor = VICRegLoss(self.invariance, self.variance, self.covariance)(*outputs.chunk(2))
        return loss
