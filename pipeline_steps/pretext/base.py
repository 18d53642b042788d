"""A pretext task, written once and used in two roles: to pre-train a backbone, and as an auxiliary loss."""

from abc import ABC, abstractmethod
from typing import Any, NamedTuple

import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor, nn


class Views(NamedTuple):
    """What a task feeds to the backbone and what its loss expects back.

    inputs: (V*B, 3, H, W), one or several views of each of the B images, view by view.
    targets: whatever the task's own loss needs; None where the views supervise each other.
    """

    inputs: Tensor
    targets: Any


class PretextTask(BaseModel, ABC):
    """A task is its parameters plus three parts: views, head and loss. One module per task, named after its `kind`."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    @abstractmethod
    def views(self, images: Tensor, generator: torch.Generator) -> Views:
        """Transformed copies of the images (B, 3, H, W) and their targets; all randomness comes from `generator`."""

    @abstractmethod
    def head(self, features: int) -> nn.Module:
        """The module that maps pooled backbone features (V*B, features) to what `loss` compares with the targets."""

    @abstractmethod
    def loss(self, outputs: Tensor, targets: Any) -> tuple[Tensor, dict[str, Tensor]]:
        """The scalar loss, and scalar metrics by name (such as `accuracy`, 0 to 1)."""

    def check_image_size(self, size: int) -> None:
        """Raise ValueError where images of `size` x `size` pixels cannot be used, saying which sizes can."""

    def view_labels(self, rotation: Tensor, euler_deg: Tensor, targets: Any) -> tuple[Tensor, Tensor]:
        """Pose labels of the views, where the pose loss is to see them (view mode `single_view`).

        rotation (B, 3, 3) and euler_deg (B, 3) in degrees belong to the upright images. A task whose views move the
        head must override this; here they do not.
        """
        return rotation, euler_deg
