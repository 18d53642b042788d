"""Make the two views' embeddings correlate, each dimension with itself alone.

Barlow Twins: Zbontar et al., ICML 2021, arXiv 2103.03230.
"""

from typing import Any, Literal

from pydantic import Field
from torch import Tensor, nn

from pipeline_steps.pretext._joint_embedding import JointEmbedding


class BarlowTwins(JointEmbedding):
    """Squared distance of the (output, output) cross-correlation matrix from the identity.

    A sum, not a mean: near `output` for views that have nothing in common, which weights beside a pose loss must mind.
    """

    kind: Literal["barlow_twins"] = "barlow_twins"
    hidden: int = Field(default=1024, ge=2)
    output: int = Field(default=1024, ge=2)
    redundancy: float = Field(default=0.005, ge=0, description="weight of what lies off the diagonal")

    def head(self, features: int) -> nn.Module:
        """Embeddings (2B, output)."""
        from lightly.models.modules.heads import BarlowTwinsProjectionHead

        projector: nn.Module = BarlowTwinsProjectionHead(features, self.hidden, self.output)
        return projector

    def disagreement(self, outputs: Tensor, targets: Any) -> Tensor:
        """Correlations are over the batch, of embeddings standardised view by view."""
        from lightly.loss import BarlowTwinsLoss

        loss: Tensor = BarlowTwinsLoss(self.redundancy)(*outputs.chunk(2))
        return loss
