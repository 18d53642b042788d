"""A pretext task, written once and used in two roles: to pre-train a backbone, and as an auxiliary loss."""

from abc import ABC, abstractmethod
from typing import Any, ClassVar, Literal, NamedTuple

import torch
from torch import Tensor, nn

from pipeline_steps.job.strict import Strict


class Views(NamedTuple):
    """The inputs of the backbone and the targets of the loss.

    inputs: (V*B, 3, H, W), one or several views of each of the B images, view by view.
    targets: whatever the task's own loss needs; None where the views supervise each other.
    """

    inputs: Tensor
    targets: Any


class PretextTask(Strict, ABC):
    """A task is its parameters plus three parts: views, head and loss. One module per task, named after its `kind`.

    reads: the input of the head. `features`: the pooled features (V*B, C) of the views; `map`: their last feature map
    (V*B, C, h, w); `rotation`: the rotations (V*B, 3, 3) that the network predicts for them, for pose-aware tasks.
    """

    reads: ClassVar[Literal["features", "map", "rotation"]] = "features"

    @abstractmethod
    def views(self, images: Tensor, generator: torch.Generator) -> Views:
        """Transformed copies of the images (B, 3, H, W) and their targets; all randomness comes from `generator`."""

    @abstractmethod
    def head(self, features: int) -> nn.Module:
        """The module from what the task `reads`, with `features` channels, to the outputs that `loss` expects."""

    @abstractmethod
    def loss(self, outputs: Tensor, targets: Any) -> tuple[Tensor, dict[str, Tensor]]:
        """The scalar loss, and scalar metrics by name (such as `accuracy`, 0 to 1).

        targets: those of the views or, in a task with a teacher, the teacher's outputs for the same views.
        """

    def teacher_momentum(self, progress: float) -> float | None:
        """Momentum of the teacher at `progress` (0 to 1) of the training; None where the task has no teacher.

        A teacher is a copy of backbone and head whose weights are a moving average of the student's.
        """
        return None

    def teacher_outputs(self, head: nn.Module, features: Tensor) -> Tensor:
        """The outputs of a teacher's head, which become the targets of `loss`; by default all that the head computes.

        features: what the task `reads`, from the teacher's backbone. Called without gradients.
        """
        outputs: Tensor = head(features)
        return outputs

    @property
    def rolls_views(self) -> bool:
        """Whether views are rotated within the image plane, so that `view_labels` changes more than angles' signs."""
        return False

    def check_image_size(self, size: int) -> None:
        """Raise ValueError, with the sizes that can be used, where images of `size` x `size` pixels cannot."""

    def view_labels(self, rotation: Tensor, euler_deg: Tensor, targets: Any) -> tuple[Tensor, Tensor]:
        """Pose labels of the views, for the mode `single_view`, in which the pose loss sees them too.

        rotation (B, 3, 3) and euler_deg (B, 3) in degrees belong to the original images. A task whose views move the
        head must override this; by default they do not. With several views per image, all are labelled, view by view.
        """
        return rotation, euler_deg
