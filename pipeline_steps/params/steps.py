"""The parameters of each step: those parts of params.yaml that it depends on, resolved, and no others.

Nothing in this folder computes anything: it affects results only through the values, which every recipe records.
"""

from collections.abc import Mapping
from typing import Literal, Self

from pydantic import Field, model_validator

from pipeline_steps.acquisition.catalogue import Record
from pipeline_steps.images.boxes import CropBox
from pipeline_steps.images.cropping import CropFormat
from pipeline_steps.job.strict import Strict
from pipeline_steps.params.sections import (
    Comparison,
    Evaluation,
    FinetuneTraining,
    Labels,
    Name,
    Network,
    PretrainTraining,
    Source,
    SplitRule,
    Task,
    ViewMode,
    Weighting,
)
from pipeline_steps.pretext.base import PretextTask


class AcquireParams(Strict):
    """Parameters of `acquire_dataset`."""

    source: Source


class CropParams(Strict):
    """Parameters of `crop_faces`."""

    source: Source
    crop: CropBox
    crops: CropFormat


class SplitParams(Strict):
    """Parameters of `split_dataset`."""

    split: SplitRule


class PretrainParams(Strict):
    """Parameters of `pretrain`."""

    seed: int
    backbone: Literal["resnet18", "resnet50"]
    task: Task
    training: PretrainTraining


class Auxiliary(Strict):
    """A pretext task as an auxiliary loss. In a pre-training, its loss is the only one and has weight 1."""

    weight: float
    task: Task


def refuse_jumping_angles(network: Network, training: FinetuneTraining, seen: Mapping[str, PretextTask]) -> None:
    """Raise ValueError where a pose head that learns Euler angles would be trained on rotated images.

    The angles of a rotated head jump by up to 360 degrees where they are wrapped, and leave the +-99 degrees of
    `binned`. Rotation matrices do not jump; losses that compare matrices, as those of pose-aware tasks, may see rotated
    images beside any head. seen: by name, the tasks whose views the pose loss sees, those of the mode `single_view`.
    """
    if network.pose_head == "rotation_6d":
        return
    why = f"Euler angles jump where images are rotated, and network.pose_head is {network.pose_head}"
    if training.augmentation.roll:
        raise ValueError(f"finetune.augmentation.roll: {why}; set roll to 0, or the head to rotation_6d")
    if rolling := [name for name, task in seen.items() if task.rolls_views]:
        raise ValueError(
            f"views: the pose loss sees those of {rolling[0]}: {why}; set siamese, or the head to rotation_6d"
        )


class FinetuneParams(Strict):
    """Parameters of `finetune`; the encoder that `init` names is an input of the job."""

    seed: int
    network: Network
    init: Literal["random", "imagenet", "encoder"]
    auxiliary: dict[Name, Auxiliary]
    views: ViewMode
    weighting: Weighting
    auxiliary_on: Literal["labelled", "train"]
    labels: Labels
    training: FinetuneTraining

    @model_validator(mode="after")
    def _angles_that_can_be_learned(self) -> Self:
        seen = self.auxiliary if self.views == "single_view" else {}
        refuse_jumping_angles(self.network, self.training, {name: of.task for name, of in seen.items()})
        return self


class DescribeParams(Strict):
    """Parameters of `describe_dataset`."""

    record: Record | None = Field(description="the data set's row in the table of data sets, if it has one")


class EvaluateParams(Strict):
    """Parameters of `evaluate`; seed: the training's, which says in which fold it is tested."""

    seed: int
    evaluate: Evaluation
    window: float = Field(default=1.0, description="`Evaluation.window` or, where that is null, the arm's own")


class ExportParams(Strict):
    """Parameters of `export_model`; seed: the training's."""

    seed: int
    detail: int | None = Field(description="`Evaluation.detail`, which the exported model applies too")
    window: float = Field(default=1.0, description="as `EvaluateParams.window`, which the exported model applies too")


class CompareParams(Strict):
    """Parameters of `compare`."""

    compare: Comparison


class ReportParams(Strict):
    """Parameters of `write_report`: nothing but where its inputs lie."""
