"""A pretext task, written once and used in two roles: to pre-train a backbone, and as an auxiliary loss."""

from abc import ABC, abstractmethod
from typing import Any, ClassVar, Literal, NamedTuple

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
    """A task is its parameters plus three parts: views, head and loss. One module per task, named after its `kind`.

    reads: what the head is given of every view. `features`: the pooled features (V*B, C); `map`: the last feature map
    (V*B, C, h, w); `rotation`: the network's predicted rotations (V*B, 3, 3), for tasks that know how poses behave.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)

    reads: ClassVar[Literal["features", "map", "rotation"]] = "features"

    @abstractmethod
    def views(self, images: Tensor, generator: torch.Generator) -> Views:
        """Transformed copies of the images (B, 3, H, W) and their targets; all randomness comes from `generator`."""

    @abstractmethod
    def head(self, features: int) -> nn.Module:
        """The module between what the task `reads`, with `features` channels, and what `loss` is given."""

    @abstractmethod
    def loss(self, outputs: Tensor, targets: Any) -> tuple[Tensor, dict[str, Tensor]]:
        """The scalar loss, and scalar metrics by name (such as `accuracy`, 0 to 1).

        targets: those of the views or, for a task with a teacher, the teacher's outputs for the same views.
        """

    def teacher_momentum(self, progress: float) -> float | None:
        """Momentum of the teacher at `progress` (0 to 1) of the training; None: the task has no teacher.

        A teacher is a copy of backbone and head whose weights follow theirs as a moving average.
        """
        return None

    def teach(self, head: nn.Module, features: Tensor) -> Tensor:
        """What a teacher's head makes of its features, without gradient; by default what the head itself does."""
        taught: Tensor = head(features)
        return taught

    def check_image_size(self, size: int) -> None:
        """Raise ValueError where images of `size` x `size` pixels cannot be used, saying which sizes can."""

    def view_labels(self, rotation: Tensor, euler_deg: Tensor, targets: Any) -> tuple[Tensor, Tensor]:
        """Pose labels of one view of each image, where the pose loss is to see it (view mode `single_view`).

        rotation (B, 3, 3) and euler_deg (B, 3) in degrees belong to the upright images. A task whose views move the
        head must override this; here they do not. A task with several views per image labels them all, view by view.
        """
        return rotation, euler_deg
