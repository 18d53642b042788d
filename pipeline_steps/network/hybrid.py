"""The Hybrid Multi-Task Learning (HMTL) network: one backbone, a pose head, any number of auxiliary heads."""

from collections.abc import Mapping

from torch import Tensor, nn

from pipeline_steps.network.backbones import Backbone, pooled
from pipeline_steps.network.pose_heads import POSE_HEADS, PoseHead, Rotation6dHead
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
        poses = any(task.reads == "rotation" for task in tasks.values())
        self.pretext_pose_head = Rotation6dHead(self.backbone.features) if poses and pose_head is None else None

    def forward(self, images: Tensor) -> Tensor:
        """Rotations (B, 3, 3) in the project's convention from images (B, 3, H, W) in 0..1."""
        if self.pose_head is None:
            raise TypeError("a network for pre-training has no pose head")
        return self.rotation(self.backbone(images))

    def rotation(self, features: Tensor) -> Tensor:
        """Rotations (B, 3, 3) from features (B, F); in pre-training, those of a head that no label ever trains."""
        pose_head = self.pose_head or self.pretext_pose_head
        if pose_head is None:
            raise TypeError("this network has no pose head")
        return pose_head.rotation(pose_head(features).float())

    def auxiliary(self, name: str, task: PretextTask, maps: Tensor) -> Tensor:
        """What the loss of the task called `name` is given for feature maps (B, F, h, w) of its views."""
        outputs: Tensor = self.auxiliary_heads[name](self.read(task, maps))
        return outputs

    def read(self, task: PretextTask, maps: Tensor) -> Tensor:
        """What the task's head is given for feature maps (B, F, h, w)."""
        if task.reads == "map":
            return maps
        return self.rotation(pooled(maps)) if task.reads == "rotation" else pooled(maps)

    def inference_state(self) -> dict[str, Tensor]:
        """What inference needs: the weights of backbone and pose head."""
        kept = ("backbone.", "pose_head.")
        return {k: v.contiguous() for k, v in self.state_dict().items() if k.startswith(kept)}
