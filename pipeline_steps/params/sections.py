"""The typed sections of params.yaml that steps know; the whole file, with sizes and arms, is `workflow.params`."""

from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from pipeline_steps.datasets.base import HeadPoseDataset
from pipeline_steps.images.augmentation import Augmentation, Fraction
from pipeline_steps.images.boxes import BoxRule
from pipeline_steps.params.registry import tagged_union
from pipeline_steps.pretext.base import PretextTask

if TYPE_CHECKING:
    Source = HeadPoseDataset
    Task = PretextTask
else:
    Source = tagged_union("pipeline_steps.datasets", HeadPoseDataset)
    Task = tagged_union("pipeline_steps.pretext", PretextTask)


class Strict(BaseModel):
    """Unknown keys and wrong types are errors."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_]*$")]
ArmName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_]*(-[a-z0-9][a-z0-9_]*)?$")]


class CropRule(Strict):
    """Which square is cut out around a head."""

    box: BoxRule = Field(
        description="landmarks_loose: the landmarks' bounding box with forehead and cheeks, as Hopenet; "
        "landmarks_tight: the bounding box itself; projected_head: the recorded head seen through the calibrated "
        "camera (BIWI); given_box: the data set's own head box; whole_image: the picture is a crop already"
    )
    margin: float = Field(
        default=0.0, ge=-0.4, le=2, description="added on each side, as a share of the box's longer side"
    )


class SplitRule(Strict):
    """Who is trained on, who validates, who is tested on. Subjects never straddle a part."""

    seed: int = Field(default=0, ge=0)
    test_subjects: int | Literal["all"] | None = Field(
        default=None,
        description="how many subjects are drawn for testing; all: the whole set is a test set; 0: none of it is",
    )
    protocol: Path | None = Field(
        default=None,
        strict=False,
        description="a file that says which images count and, instead of test_subjects, who is tested on; relative "
        "to the repository",
    )
    validation_subjects: int = Field(default=0, ge=0, description="drawn from the subjects that are not tested on")

    @model_validator(mode="after")
    def _test_rule(self) -> Self:
        if self.test_subjects is None and self.protocol is None:
            raise ValueError("give test_subjects, or a protocol that names them")
        return self


class Crops(Strict):
    """What all data sets of a study share, so that one network can read them."""

    size: int = Field(ge=16, le=1024, description="side in pixels of the square crops that a network sees")
    context: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="stored around every crop on each side, as a share of its side: what training windows may reach",
    )
    border: Literal["reflect", "constant"] = Field(default="reflect", description="what lies beyond the picture's edge")
    max_rejected: Fraction = Field(default=0.01, description="more unusable images than this share stop the run")


class Training(Strict):
    """Optimiser and schedule: AdamW, linear warm-up, cosine decay to zero."""

    epochs: int = Field(ge=1)
    epoch_images: Annotated[int, Field(ge=2)] | None = Field(
        default=None,
        description="images seen per epoch, each as often as the others, so that arms with few labels take as many "
        "steps as arms with many; null: every image once",
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
        description="whose weights become the encoder: the last epoch's, or those of the epoch in which a linear pose "
        "probe of the frozen features errs least on the validation subjects",
    )


class FinetuneTraining(Training):
    """Schedule of every arm's fine-tuning."""

    choose: Literal["best", "last"] = Field(
        default="best",
        description="whose weights become the model: those of the epoch with the lowest geodesic error on the "
        "validation subjects, or the last epoch's, which needs no validation labels",
    )
    backbone_learning_rate: Annotated[float, Field(gt=0, le=1)] = Field(
        default=1.0, description="learning rate of a backbone with initial weights, as a share of learning_rate"
    )
    frozen_epochs: int = Field(
        default=0, ge=0, description="epochs at the start in which a backbone with initial weights does not move"
    )


class Network(Strict):
    """Backbone and pose head that all arms share."""

    backbone: Literal["resnet18", "resnet50"]
    pose_head: Literal["euler", "binned", "rotation_6d"] = Field(
        description="euler: regression of three angles; binned: Hopenet's bins with an expected angle; "
        "rotation_6d: 6DRepNet's matrix with the geodesic loss"
    )


class Labels(Strict):
    """The label budget: which training subjects have pose labels. Pre-training sees all of them, unlabelled."""

    subjects: Annotated[int, Field(ge=1)] | Literal["all"] = "all"
    fraction: Annotated[float, Field(gt=0, le=1)] = Field(
        default=1.0, description="share of each labelled subject's images, spread evenly, at least one image each"
    )
    redraw: bool = Field(
        default=False, description="whether every seed labels other subjects, so that the spread includes who they are"
    )


Weighting = Literal["fixed", "annealed", "ramped", "uncertainty"]


class Arm(Strict):
    """One row of the results table: where the weights come from and which losses stand beside the pose loss."""

    init: str = Field(
        pattern=r"^(random|imagenet|ssl:[a-z0-9_]+|file:.+)$",
        description="random, imagenet (torchvision), ssl:<pretext> (pre-trained here), or file:<path of a state dict>",
    )
    auxiliary: dict[Name, Annotated[float, Field(gt=0)]] = Field(
        default={}, description="weight of each pretext task's loss beside the pose loss"
    )
    views: Literal["siamese", "single_view"] = Field(
        default="siamese",
        description="siamese: the pose loss sees the upright image, each task its own view; single_view: one "
        "transformed view feeds the pose head and the task alike",
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
    """How errors are computed."""

    part: Literal["test", "validation"] = Field(
        default="test", description="whose images: validation, where a study chooses parameters"
    )
    flip_test: bool = Field(
        default=False,
        description="predict each image and its mirror image, and take the mean: test-time augmentation, for twice the "
        "time",
    )
    detail: Annotated[int, Field(ge=16)] | None = Field(
        default=None,
        description="pixels a side to which crops are shrunk, and enlarged to crops.size again: the width of heads in "
        "the pictures of train_on, so that no test image shows detail that training images had not. Exported models do "
        "so too. From crops.size on it changes nothing; null: crops as they are",
    )
    within: list[Annotated[float, Field(gt=0)]] = Field(
        default=[5.0, 10.0, 15.0],
        description="report the share of images with a geodesic error below these, in degrees",
    )
    yaw_bins: list[float] = Field(
        default=[-90.0, -60.0, -30.0, 0.0, 30.0, 60.0, 90.0],
        min_length=2,
        description="edges of the error-by-yaw table, in degrees, rising",
    )
    bootstrap: int = Field(default=1000, ge=100, description="resamples behind every interval")

    @field_validator("yaw_bins")
    @classmethod
    def _rising(cls, edges: list[float]) -> list[float]:
        if any(low >= high for low, high in pairwise(edges)):
            raise ValueError("every edge must be greater than the one before it")
        return edges


class Comparison(Strict):
    """Which arm the others are held against, and by which error."""

    baseline: ArmName = Field(description="an arm; without a variation it stands for its namesake of each variation")
    error: Literal["mae", "geodesic", "maev"] = "mae"
    bootstrap: int = Field(default=2000, ge=100)
    confidence: Annotated[float, Field(gt=0, lt=1)] = 0.95
