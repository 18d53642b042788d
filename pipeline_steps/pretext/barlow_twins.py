"""Make each dimension of the two views' embeddings correlate with itself and with no other.

Barlow Twins: Zbontar et al., ICML 2021, arXiv 2103.03230.
"""

from typing import Any, Literal

from pydantic import Field
from torch import Tensor, nn

from pipeline_steps.pretext._joint_embedding import JointEmbedding


class BarlowTwins(JointEmbedding):
    """Squared distance of the (output, output) cross-correlation matrix from the identity.

    A sum, not a mean: about `output` for unrelated views, which the weight beside a pose loss has to make up for.
    """

    kind: Literal["barlow_twins"] = "barlow_twins"
    hidden: int = Field(default=1024, ge=2)
    output: int = Field(default=1024, ge=2)
    redundancy: float = Field(default=0.005, ge=0, description="weight of the off-diagonal elements")

    def head(self, features: int) -> nn.Module:
        """Embeddings (2B, output)."""
        from lightly.models.modules.heads import BarlowTwinsProjectionHead

        projection_head: nn.Module = BarlowTwinsProjectionHead(features, self.hidden, self.output)
        return projection_head

    def disagreement(self, outputs: Tensor, targets: Any) -> Tensor:
        """Correlations are taken over the batch, of embeddings standardised per view."""
        from lightly.loss import BarlowTwinsLoss

        loss: Tensor = BarlowTwinsLoss(self.redundancy)(*outputs.chunk(2))
        return loss
