"""The typed sections of params.yaml that steps know; the whole file, with sizes and arms, is `workflow.params`."""

from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, field_validator, model_validator

from pipeline_steps.datasets.base import HeadPoseDataset
from pipeline_steps.images.augmentation import Augmentation
from pipeline_steps.images.window import middle_window
from pipeline_steps.job.strict import Strict
from pipeline_steps.params.registry import tagged_union
from pipeline_steps.pretext.base import PretextTask

if TYPE_CHECKING:
    Source = HeadPoseDataset
    Task = PretextTask
else:
    Source = tagged_union("pipeline_steps.datasets", HeadPoseDataset)
    Task = tagged_union("pipeline_steps.pretext", PretextTask)


Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_]*$")]
ArmName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_]*(-[a-z0-9][a-z0-9_]*)?$")]


class SplitRule(Strict):
    """Which subjects are trained on, validated on and tested on. All images of a subject are in the same part."""

    seed: int = Field(default=0, ge=0)
    test_subjects: int | Literal["all"] | None = Field(
        default=None,
        description="how many subjects are drawn for testing; all: the entire data set is a test set; 0: none of it is",
    )
    protocol: Path | None = Field(
        default=None,
        strict=False,
        description="file that selects the images to use and may list the test subjects, in place of test_subjects; "
        "relative to the repository",
    )
    folds: Annotated[int, Field(ge=2)] | None = Field(
        default=None,
        description="cross-validation, in place of test_subjects: the subjects that are not validated on are divided "
        "into so many folds, and the trainings with seed s are tested on fold s mod folds, so that with as many seeds "
        "each of these subjects is tested on once",
    )
    validation_subjects: int = Field(
        default=0, ge=0, description="drawn from the subjects that are not tested on, in any fold"
    )

    @model_validator(mode="after")
    def _test_rule(self) -> Self:
        if self.test_subjects is None and self.protocol is None and self.folds is None:
            raise ValueError("give test_subjects, folds, or a protocol that names the test subjects")
        if self.test_subjects is not None and self.folds is not None:
            raise ValueError("give either test_subjects or folds")
        return self


class Training(Strict):
    """Optimiser and schedule: AdamW, linear warm-up, cosine decay to zero."""

    epochs: int = Field(ge=1)
    epoch_images: Annotated[int, Field(ge=2)] | None = Field(
        default=None,
        description="images per epoch, all equally often, so that arms with few labels take as many steps as arms with "
        "many; null: every image once",
    )
    batch_size: int = Field(ge=2, description="images per optimiser step over all devices")
    learning_rate: float = Field(gt=0)
    weight_decay: float = Field(default=0.01, ge=0)
    warmup_epochs: float = Field(default=1.0, ge=0)
    gradient_clip: float = Field(default=1.0, gt=0, description="largest norm of the whole gradient")
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        default="auto", description="auto: bfloat16 where the hardware computes in it, else float32"
    )
    augmentation: Augmentation = Augmentation()


class PretrainTraining(Training):
    """Schedule of every pre-training."""

    choose: Literal["last", "probe"] = Field(
        default="last",
        description="which epoch's weights become the encoder: last, or probe: the epoch with the lowest error of a "
        "linear pose probe of the frozen features on the validation subjects",
    )


class FinetuneTraining(Training):
    """Schedule of every arm's fine-tuning."""

    renamed: ClassVar[Mapping[str, str]] = {"backbone_learning_rate": "backbone_learning_rate_factor"}

    choose: Literal["best", "last"] = Field(
        default="last",
        description="which epoch's weights become the model: last, or best: the one with the lowest geodesic error on "
        "the validation subjects, whose labels then count among the labelled images",
    )
    backbone_learning_rate_factor: Annotated[float, Field(gt=0, le=1)] = Field(
        default=1.0,
        description="a backbone that starts from pre-trained weights learns at this factor times learning_rate",
    )
    frozen_epochs: int = Field(
        default=0, ge=0, description="epochs at the start in which a pre-trained backbone is frozen"
    )


class Network(Strict):
    """Backbone and pose head that all arms share."""

    backbone: Literal["resnet18", "resnet50"]
    pose_head: Literal["euler", "binned", "rotation_6d"] = Field(
        description="euler: regression of three angles; binned: Hopenet's bins with an expected angle; "
        "rotation_6d: 6DRepNet's rotation matrix with the geodesic loss"
    )


class Labels(Strict):
    """The label budget: which training subjects have pose labels. Pre-training sees all of them, unlabelled."""

    subjects: Annotated[int, Field(ge=1)] | Literal["all"] = "all"
    fraction: Annotated[float, Field(gt=0, le=1)] = Field(
        default=1.0, description="share of each labelled subject's images, spread evenly, at least one image each"
    )
    redraw: bool = Field(
        default=False,
        description="whether every seed labels other subjects, so that the standard deviation over seeds includes "
        "their choice",
    )


ViewMode = Literal["siamese", "single_view"]
Weighting = Literal["fixed", "annealed", "ramped", "uncertainty"]


class Arm(Strict):
    """One row of the results table: its initial weights and its auxiliary losses."""

    init: str = Field(
        pattern=r"^(random|imagenet|ssl:[a-z0-9_]+|file:.+)$",
        description="random, imagenet (torchvision), ssl:<pretext> (pre-trained here), or file:<path of a state dict>",
    )
    auxiliary: dict[Name, Annotated[float, Field(gt=0)]] = Field(
        default={}, description="weight of each pretext task's loss beside the pose loss"
    )
    views: ViewMode = Field(
        default="siamese",
        description="siamese: the pose loss sees the original image, each task its own view; single_view: the pose "
        "loss and the only task see the same, transformed view",
    )
    weighting: Weighting = Field(
        default="fixed",
        description="of the auxiliary losses: fixed; annealed to zero; ramped up over the first 30%; uncertainty: "
        "learned factors on all losses (Kendall et al., CVPR 2018)",
    )
    auxiliary_on: Literal["labelled", "train"] = Field(
        default="labelled",
        description="images of the auxiliary tasks: the labelled ones, or as many of all training subjects' images",
    )
    labels: dict[str, Any] = Field(default={}, description="keys of `labels` that this arm changes")
    finetune: dict[str, Any] = Field(default={}, description="keys of `finetune` that this arm changes")

    @model_validator(mode="after")
    def _single_view_has_one_task(self) -> Self:
        if self.views == "single_view" and (len(self.auxiliary) != 1 or self.auxiliary_on != "labelled"):
            raise ValueError("single_view needs exactly one auxiliary task, on labelled images")
        return self


class Evaluation(Strict):
    """Which images are predicted, how, and which errors are computed."""

    part: Literal["test", "validation"] = Field(
        default="test", description="part of the split: validation where a study chooses parameters"
    )
    flip_test: bool = Field(
        default=False,
        description="predict each image and its mirror image, and take the mean: test-time augmentation, for twice the "
        "time",
    )
    detail: Annotated[int, Field(ge=16)] | None = Field(
        default=None,
        description="crops are shrunk to this side in pixels and enlarged to crops.size again: the width of heads in "
        "the images of train_on, so that no test image shows detail that training images lack. Exported models do "
        "so too. No effect from crops.size on; null: crops as they are",
    )
    window: Annotated[float, Field(gt=0)] | None = Field(
        default=None,
        description="side of the window in the middle of the crop that the network sees, as a share of the crop's; "
        "above 1 needs crops.context. Exported models see it too. null: the middle of the arm's training windows, "
        "finetune.augmentation.scale. Trainings validate by that one whatever is given here, so that a number trains "
        "nothing again",
    )
    within: list[Annotated[float, Field(gt=0)]] = Field(
        default=[5.0, 10.0, 15.0],
        description="report the share of images with a geodesic error below these, in degrees",
    )
    yaw_bins: list[float] = Field(
        default=[-90.0, -60.0, -30.0, 0.0, 30.0, 60.0, 90.0],
        min_length=2,
        description="edges of the error-by-yaw table, in degrees, rising; images beyond them have rows of their own",
    )
    bootstrap: int = Field(default=1000, ge=100, description="resamples behind every interval")

    @field_validator("yaw_bins")
    @classmethod
    def _rising(cls, edges: list[float]) -> list[float]:
        if any(low >= high for low, high in pairwise(edges)):
            raise ValueError("every edge must be greater than the one before it")
        return edges

    @property
    def name(self) -> str:
        """All choices that change predictions or images, as in validation_flip_test_detail_109_window_0.9.

        A window of null is none: it is the arm's own, and so the name is that of all arms.
        """
        options = [
            self.part,
            "flip_test" if self.flip_test else "",
            "" if self.detail is None else f"detail_{self.detail}",
            "" if self.window is None else f"window_{self.window:g}",
        ]
        return "_".join(filter(None, options))

    def window_after(self, augmentation: Augmentation) -> float:
        """The window that a model sees whose training images were augmented in this way."""
        return middle_window(augmentation.scale) if self.window is None else self.window


class Comparison(Strict):
    """Which arms are baselines, and which error is compared."""

    renamed: ClassVar[Mapping[str, str]] = {"baseline": "baselines"}

    baselines: list[ArmName] = Field(
        min_length=1,
        description="the arms that all others are compared with, one table column each; a name without a variation "
        "stands for the arm of that name in every variation. Labels saved are relative to the first",
    )
    error: Literal["mae", "geodesic", "maev"] = Field(default="mae", description="the error that is compared")
    bootstrap: int = Field(default=2000, ge=100, description="resamples behind every interval")
    confidence: Annotated[float, Field(gt=0, lt=1)] = Field(
        default=0.95, description="of the intervals of all arms on one data set together"
    )

    @field_validator("baselines")
    @classmethod
    def _distinct(cls, baselines: list[str]) -> list[str]:
        if len(set(baselines)) < len(baselines):
            raise ValueError("every baseline must be named once")
        return baselines
