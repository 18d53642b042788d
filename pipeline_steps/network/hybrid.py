"""The Hybrid Multi-Task Learning (HMTL) network: one backbone, a pose head, any number of auxiliary heads."""

from collections.abc import Mapping

from torch import Tensor, nn

from pipeline_steps.network.backbones import Backbone
from pipeline_steps.network.pose_heads import POSE_HEADS, PoseHead
from pipeline_steps.pretext.base import PretextTask


class HybridNetwork(nn.Module):
    """Without auxiliary tasks it is the supervised baseline, without a pose head a network for pre-training.

    At inference only `backbone` and `pose_head` are used: the auxiliary heads cost nothing once training is over.
    """

    def __init__(self, backbone: str, pose_head: str | None, tasks: Mapping[str, PretextTask]) -> None:
        super().__init__()
        self.backbone = Backbone(backbone)
        self.pose_head: PoseHead | None = None if pose_head is None else POSE_HEADS[pose_head](self.backbone.features)
        self.auxiliary_heads = nn.ModuleDict({name: task.head(self.backbone.features) for name, task in tasks.items()})

    def forward(self, images: Tensor) -> Tensor:
        """Rotations (B, 3, 3) in the project's convention from images (B, 3, H, W) in 0..1."""
        if self.pose_head is None:
            raise TypeError("a network for pre-training has no pose head")
        return self.pose_head.rotation(self.pose_head(self.backbone(images)).float())

    def inference_state(self) -> dict[str, Tensor]:
        """What inference needs: the weights of backbone and pose head."""
        return {k: v.contiguous() for k, v in self.state_dict().items() if not k.startswith("auxiliary_heads.")}
