"""What each step is told: the parts of params.yaml that it depends on, resolved; it sees no parameter but its own.

Nothing in this folder computes anything: its effect on a result lies wholly in the values, which every recipe records.
"""

from typing import Literal

from pydantic import Field

from pipeline_steps.acquisition.catalogue import Record
from pipeline_steps.params.sections import (
    Comparison,
    CropRule,
    Crops,
    Evaluation,
    FinetuneTraining,
    Labels,
    Name,
    Network,
    PretrainTraining,
    Source,
    SplitRule,
    Strict,
    Task,
    Weighting,
)


class AcquireParams(Strict):
    """What `acquire_dataset` is told."""

    source: Source


class CropParams(Strict):
    """What `crop_faces` is told."""

    source: Source
    crop: CropRule
    crops: Crops


class SplitParams(Strict):
    """What `split_dataset` is told."""

    split: SplitRule


class PretrainParams(Strict):
    """What `pretrain` is told."""

    seed: int
    backbone: Literal["resnet18", "resnet50"]
    task: Task
    training: PretrainTraining


class Auxiliary(Strict):
    """A pretext task in the auxiliary role."""

    weight: float
    task: Task


class FinetuneParams(Strict):
    """What `finetune` is told; `init` without the path or the name, which are inputs."""

    seed: int
    network: Network
    init: Literal["random", "imagenet", "encoder"]
    auxiliary: dict[Name, Auxiliary]
    views: Literal["siamese", "single_view"]
    weighting: Weighting
    auxiliary_on: Literal["labelled", "train"]
    labels: Labels
    training: FinetuneTraining


class DescribeParams(Strict):
    """What `describe_dataset` is told."""

    record: Record | None = Field(description="the data set's row in the table of data sets, if it has one")


class EvaluateParams(Strict):
    """What `evaluate` is told."""

    evaluate: Evaluation


class ExportParams(Strict):
    """What `export_model` is told."""

    detail: int | None = Field(description="as `Evaluation.detail`, which predictions then follow too")


class CompareParams(Strict):
    """What `compare` is told."""

    compare: Comparison
