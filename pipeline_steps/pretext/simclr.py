"""Find the other view of the same image among all other views (SimCLR: Chen et al., ICML 2020, arXiv 2002.05709)."""

from typing import Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from pipeline_steps.pretext._joint_embedding import JointEmbedding, other_view


class SimClr(JointEmbedding):
    """The NT-Xent loss: every view identifies its positive among the 2B - 1 others of the batch."""

    kind: Literal["simclr"] = "simclr"
    hidden: int = Field(default=512, ge=2)
    output: int = Field(default=128, ge=2)
    temperature: float = Field(default=0.1, gt=0)

    def head(self, features: int) -> nn.Module:
        """Embeddings (2B, output)."""
        from lightly.models.modules.heads import SimCLRProjectionHead

        projection_head: nn.Module = SimCLRProjectionHead(features, self.hidden, self.output)
        return projection_head

    def disagreement(self, outputs: Tensor, targets: Any) -> Tensor:
        """Cross-entropy of the positive under the softmax of cosine similarity / temperature, mean over all views."""
        from lightly.loss import NTXentLoss

        loss: Tensor = NTXentLoss(self.temperature)(*outputs.chunk(2))
        return loss

    def metrics(self, outputs: Tensor) -> dict[str, Tensor]:
        """Also accuracy: how often the positive is the most similar view."""
        unit = F.normalize(outputs, dim=1)
        nearest = (unit @ unit.T).fill_diagonal_(-torch.inf).argmax(1)
        positives = other_view(torch.arange(len(unit), device=unit.device))
        return super().metrics(outputs) | {"accuracy": (nearest == positives).float().mean()}
