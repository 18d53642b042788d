"""Turning the picture by a known angle must turn the predicted pose by it: R(turned) = Rz(angle) R(upright)."""

from typing import Literal

from pydantic import field_validator

from pipeline_steps.images.augmentation import Augmentation
from pipeline_steps.pretext._pose_aware import PoseAware

_VIEW = Augmentation(
    flip=0.5, roll=30.0, scale=(0.8, 1.0), shift=0.1, brightness=0.4, contrast=0.4, saturation=0.4, grayscale=0.2
)


class RollEquivariance(PoseAware):
    """The second view is turned by up to `view.roll` degrees, and differs in window and colour; ours.

    No constant prediction turns along, so that this task cannot collapse. By default half of the second views are
    mirrored first, and their poses with them.
    """

    kind: Literal["roll_equivariance"] = "roll_equivariance"
    view: Augmentation = _VIEW

    @field_validator("view")
    @classmethod
    def _turned(cls, view: Augmentation) -> Augmentation:
        if not view.roll:
            raise ValueError("roll must be above 0: every second view is turned")
        return view
