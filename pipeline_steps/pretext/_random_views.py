"""The tasks whose views are randomly augmented copies of the images: how the views vary is a parameter."""

from typing import Any

from pydantic import Field, field_validator

from pipeline_steps.images.augmentation import Augmentation
from pipeline_steps.pretext.base import PretextTask


class RandomViews(PretextTask):
    """A subclass gives `view` its default; a key that params.yaml leaves out keeps its value in that default."""

    view: Augmentation = Field(description="keys that are left out keep their value in this default")

    @property
    def rolls_views(self) -> bool:
        """See PretextTask."""
        return self.view.roll > 0

    @field_validator("view", mode="before")
    @classmethod
    def _over_the_default(cls, view: Any) -> Any:
        default = cls.model_fields["view"].default
        return default.model_dump() | view if isinstance(view, dict) else view

    @field_validator("view")
    @classmethod
    def _within_the_crop(cls, view: Augmentation) -> Augmentation:
        if view.scale[1] > 1:
            raise ValueError("scale must not exceed 1: views are cut out of the crop, without its context")
        return view
