"""Pose heads: their outputs for pooled features, the rotation that these represent, and the loss that trains them.

All losses are of the order of one for an untrained network, so that an auxiliary weight means the same beside each.
"""

import math
from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pipeline_steps.pose.geometry import euler_to_matrix
from pipeline_steps.pose.losses import geodesic_loss


class PoseHead(nn.Module, ABC):
    """forward: features (B, F) to the head's own raw outputs (B, ...)."""

    @abstractmethod
    def rotation(self, outputs: Tensor) -> Tensor:
        """Rotation matrices (B, 3, 3) in the project's convention."""

    @abstractmethod
    def loss(self, outputs: Tensor, rotation: Tensor, euler_deg: Tensor) -> Tensor:
        """Scalar loss against labels: matrices (B, 3, 3) and yaw, pitch, roll (B, 3) in degrees."""


class EulerHead(PoseHead):
    """Regresses yaw, pitch and roll, internally in radians, with the smooth L1 loss."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.linear = nn.Linear(features, 3)

    def forward(self, features: Tensor) -> Tensor:
        """Angles (B, 3) in radians."""
        angles: Tensor = self.linear(features)
        return angles

    def rotation(self, outputs: Tensor) -> Tensor:
        """See PoseHead."""
        rotation: Tensor = euler_to_matrix(outputs * (180 / math.pi))
        return rotation

    def loss(self, outputs: Tensor, rotation: Tensor, euler_deg: Tensor) -> Tensor:
        """Quadratic below 3 degrees, absolute above."""
        return F.smooth_l1_loss(outputs, euler_deg * (math.pi / 180), beta=math.radians(3))


class BinnedHead(PoseHead):
    """Hopenet (Ruiz et al., CVPRW 2018, arXiv 1710.00925): 66 bins of 3 degrees per angle within +-99 degrees.

    Cross-entropy on the bins plus the squared error of the expected angle; the latter is measured in bins rather than
    degrees, which keeps the two terms comparable.
    """

    bins, width, lowest = 66, 3.0, -99.0
    centres: Tensor

    def __init__(self, features: int) -> None:
        super().__init__()
        self.linear = nn.Linear(features, 3 * self.bins)
        centres = self.lowest + self.width * (torch.arange(self.bins) + 0.5)
        self.register_buffer("centres", centres, persistent=False)

    def forward(self, features: Tensor) -> Tensor:
        """Logits (B, 3, 66)."""
        return torch.unflatten(self.linear(features), 1, (3, self.bins))

    def expected_deg(self, outputs: Tensor) -> Tensor:
        """Expected angles (B, 3) in degrees under the softmax of the logits."""
        return (outputs.float().softmax(2) * self.centres).sum(2)

    def rotation(self, outputs: Tensor) -> Tensor:
        """See PoseHead."""
        rotation: Tensor = euler_to_matrix(self.expected_deg(outputs))
        return rotation

    def loss(self, outputs: Tensor, rotation: Tensor, euler_deg: Tensor) -> Tensor:
        """Angles beyond +-99 degrees count as +-99: no bin stands for them."""
        euler_deg = euler_deg.clamp(self.lowest, -self.lowest)
        target = ((euler_deg - self.lowest) / self.width).floor().long().clamp(max=self.bins - 1)
        error = (self.expected_deg(outputs) - euler_deg) / self.width
        return F.cross_entropy(outputs.flatten(0, 1), target.flatten()) + error.square().mean()


class Rotation6dHead(PoseHead):
    """6DRepNet (Hempel et al., ICIP 2022, arXiv 2202.12555): two orthonormalised columns, geodesic loss."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.linear = nn.Linear(features, 6)
        with torch.no_grad():  # start from a head that faces the camera
            self.linear.bias.copy_(torch.tensor([1.0, 0, 0, 0, 1, 0]))

    def forward(self, features: Tensor) -> Tensor:
        """Two unnormalised columns (B, 6)."""
        columns: Tensor = self.linear(features)
        return columns

    def rotation(self, outputs: Tensor) -> Tensor:
        """Gram-Schmidt (Zhou et al., CVPR 2019, arXiv 1812.07035)."""
        a, b = torch.split(outputs.float(), 3, 1)
        x = F.normalize(a, dim=1)
        y = F.normalize(b - (x * b).sum(1, keepdim=True) * x, dim=1)
        return torch.stack([x, y, torch.linalg.cross(x, y)], 2)

    def loss(self, outputs: Tensor, rotation: Tensor, euler_deg: Tensor) -> Tensor:
        """Mean geodesic distance in radians."""
        return geodesic_loss(self.rotation(outputs), rotation)


POSE_HEADS: dict[str, type[PoseHead]] = {"euler": EulerHead, "binned": BinnedHead, "rotation_6d": Rotation6dHead}
