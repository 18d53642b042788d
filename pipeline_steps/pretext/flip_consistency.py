"""The pose predicted for a mirrored face must be the mirrored pose: yaw and roll change sign, pitch stays."""

from typing import Literal

from pydantic import field_validator

from pipeline_steps.images.augmentation import Augmentation
from pipeline_steps.pretext._pose_aware import PoseAware

_VIEW = Augmentation(flip=1.0, scale=(0.8, 1.0), shift=0.1, brightness=0.4, contrast=0.4, saturation=0.4, grayscale=0.2)


class FlipConsistency(PoseAware):
    """The second view is mirrored, and differs in window and colour. Our own task.

    A network that predicts the same frontal pose for every image is consistent, too: set `min_dispersion_deg` where
    there are no labels.
    """

    kind: Literal["flip_consistency"] = "flip_consistency"
    view: Augmentation = _VIEW

    @field_validator("view")
    @classmethod
    def _mirrored(cls, view: Augmentation) -> Augmentation:
        if view.flip != 1:
            raise ValueError("flip must be 1.0: every second view is mirrored")
        return view
