"""Predict a teacher's soft classes of the other view (DINO: Caron et al., ICCV 2021, arXiv 2104.14294)."""

import warnings
from typing import Literal

from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrizations

from pipeline_steps.pretext._joint_embedding import SelfDistillation, other_view


class Dino(SelfDistillation):
    """Two global views and no local crops, which would not show the whole head.

    The paper centres the teacher's logits by a running mean. Here it is the mean over both views of the current batch,
    so that the loss has no state: an interrupted training resumes to exactly the same result.
    """

    kind: Literal["dino"] = "dino"
    hidden: int = Field(default=512, ge=2)
    bottleneck: int = Field(default=64, ge=2)
    output: int = Field(default=1024, ge=2, description="number of soft classes")
    temperature: float = Field(default=0.1, gt=0, description="of the student's softmax")
    teacher_temperature: float = Field(
        default=0.04, gt=0, description="of the teacher's softmax, sharper than the student's; the paper: 0.04 to 0.07"
    )

    def head(self, features: int) -> nn.Module:
        """Logits (2B, output): cosine similarities of the bottleneck and one learned direction per class."""
        from lightly.models.modules.heads import DINOProjectionHead

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            head = DINOProjectionHead(features, self.hidden, self.bottleneck, self.output)
        # lightly uses torch's old weight norm, which copy.deepcopy cannot copy for the teacher: use the new one
        last = parametrizations.weight_norm(nn.utils.remove_weight_norm(head.last_layer))
        last.parametrizations.weight.original0.requires_grad_(False)
        projection_head: nn.Module = head
        return projection_head

    def disagreement(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Cross-entropy of the student's classes of each view and the teacher's of the other, centred and sharpened."""
        classes = ((targets - targets.mean(0)) / self.teacher_temperature).softmax(1)
        return F.cross_entropy(outputs / self.temperature, other_view(classes))
