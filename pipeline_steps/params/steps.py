"""The parameters of each step: those parts of params.yaml that it depends on, resolved, and no others.

Nothing in this folder computes anything: it affects results only through the values, which every recipe records.
"""

from typing import Literal

from pydantic import Field

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


class DescribeParams(Strict):
    """Parameters of `describe_dataset`."""

    record: Record | None = Field(description="the data set's row in the table of data sets, if it has one")


class EvaluateParams(Strict):
    """Parameters of `evaluate`."""

    evaluate: Evaluation


class ExportParams(Strict):
    """Parameters of `export_model`."""

    detail: int | None = Field(description="`Evaluation.detail`, which the exported model applies too")


class CompareParams(Strict):
    """Parameters of `compare`."""

    compare: Comparison


class ReportParams(Strict):
    """Parameters of `write_report`: nothing but where its inputs lie."""
