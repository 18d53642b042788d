"""Rotating the image by a known angle must roll the predicted pose by it: R(rotated) = Rz(angle) R(original)."""

from typing import Literal

from pydantic import field_validator

from pipeline_steps.images.augmentation import Augmentation
from pipeline_steps.pretext._pose_aware import PoseAware

_VIEW = Augmentation(
    flip=0.5, roll=30.0, scale=(0.8, 1.0), shift=0.1, brightness=0.4, contrast=0.4, saturation=0.4, grayscale=0.2
)


class RollEquivariance(PoseAware):
    """The second view is rotated by up to `view.roll` degrees, and differs in window and colour. Our own task.

    No constant prediction is equivariant, so that this task cannot collapse. By default half of the second views are
    mirrored first, and their poses with them. Only the head tells the angle: corners do not (see `RandomWindow`).
    """

    kind: Literal["roll_equivariance"] = "roll_equivariance"
    view: Augmentation = _VIEW

    @field_validator("view")
    @classmethod
    def _rotated(cls, view: Augmentation) -> Augmentation:
        if not view.roll or view.rolled < 1:
            raise ValueError("roll must be above 0, and rolled 1: every second view is rotated")
        return view
