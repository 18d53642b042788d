"""The Hybrid Multi-Task Learning (HMTL) network: one backbone, a pose head, any number of auxiliary heads."""

from collections.abc import Mapping

from torch import Tensor, nn

from pipeline_steps.network.backbones import Backbone, pooled
from pipeline_steps.network.pose_heads import POSE_HEADS, PoseHead, Rotation6dHead
from pipeline_steps.params.steps import Auxiliary


class HybridNetwork(nn.Module):
    """Without auxiliary tasks it is the supervised baseline; without a pose head, a network for pre-training.

    Inference uses `backbone` and `pose_head` alone: the auxiliary heads cost nothing once the training is over.
    """

    def __init__(self, backbone: str, pose_head: str | None, auxiliary: Mapping[str, Auxiliary]) -> None:
        super().__init__()
        self.auxiliary = auxiliary
        self.backbone = Backbone(backbone)
        features = self.backbone.features
        self.pose_head: PoseHead | None = None if pose_head is None else POSE_HEADS[pose_head](features)
        self.auxiliary_heads = nn.ModuleDict({name: of.task.head(features) for name, of in auxiliary.items()})
        reads_rotation = any(of.task.reads == "rotation" for of in auxiliary.values())
        self.pretext_pose_head = Rotation6dHead(features) if reads_rotation and pose_head is None else None

    def forward(self, images: Tensor) -> Tensor:
        """Rotations (B, 3, 3) in the project's convention from images (B, 3, H, W) in 0..1."""
        if self.pose_head is None:
            raise TypeError("a network for pre-training has no pose head")
        return self.rotation(self.backbone(images))

    def rotation(self, features: Tensor) -> Tensor:
        """Rotations (B, 3, 3) from features (B, F); in pre-training, those of a pose head that sees no labels."""
        pose_head = self.pose_head or self.pretext_pose_head
        if pose_head is None:
            raise TypeError("this network has no pose head")
        return pose_head.rotation(pose_head(features).float())

    def auxiliary_outputs(self, name: str, maps: Tensor) -> Tensor:
        """Outputs of the auxiliary head called `name` for feature maps (B, F, h, w) of its task's views."""
        outputs: Tensor = self.auxiliary_heads[name](self.head_input(name, maps))
        return outputs

    def head_input(self, name: str, maps: Tensor) -> Tensor:
        """What the task called `name` reads of feature maps (B, F, h, w): see `PretextTask.reads`."""
        reads = self.auxiliary[name].task.reads
        if reads == "map":
            return maps
        return self.rotation(pooled(maps)) if reads == "rotation" else pooled(maps)

    def inference_state(self) -> dict[str, Tensor]:
        """The weights that inference needs: those of backbone and pose head."""
        kept = ("backbone.", "pose_head.")
        return {k: v.contiguous() for k, v in self.state_dict().items() if k.startswith(kept)}
