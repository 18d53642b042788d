"""Tell the other view of the same image from all other views (SimCLR: Chen et al., ICML 2020, arXiv 2002.05709)."""

from typing import Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from pipeline_steps.pretext._joint_embedding import JointEmbedding, other_view


class SimClr(JointEmbedding):
    """The NT-Xent loss: every view picks its partner among the 2B - 1 others of the batch."""

    kind: Literal["simclr"] = "simclr"
    hidden: int = Field(default=512, ge=2)
    output: int = Field(default=128, ge=2)
    temperature: float = Field(default=0.1, gt=0)

    def head(self, features: int) -> nn.Module:
        """Embeddings (2B, output)."""
        from lightly.models.modules.heads import SimCLRProjectionHead

        projector: nn.Module = SimCLRProjectionHead(features, self.hidden, self.output)
        return projector

    def disagreement(self, outputs: Tensor, targets: Any) -> Tensor:
        """Cross-entropy of the partner under the softmax of cosines / temperature, averaged over all views."""
        from lightly.loss import NTXentLoss

        loss: Tensor = NTXentLoss(self.temperature)(*outputs.chunk(2))
        return loss

    def metrics(self, outputs: Tensor) -> dict[str, Tensor]:
        """Spread, and accuracy: how often the partner is the most alike."""
        unit = F.normalize(outputs, dim=1)
        nearest = (unit @ unit.T).fill_diagonal_(-torch.inf).argmax(1)
        partners = other_view(torch.arange(len(unit), device=unit.device))
        return super().metrics(outputs) | {"accuracy": (nearest == partners).float().mean()}
