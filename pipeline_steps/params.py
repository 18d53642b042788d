"""Typed parameters: what params.yaml may say, and what each step is told.

`Params` is the whole file, checked when the workflow is read. The `*Params` classes below it are the resolved slices
that single steps receive; a step never sees a parameter that is not its own. Nothing here computes anything: the effect
of this file on a result lies wholly in the values, which every recipe records.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from pipeline_steps.acquisition.catalogue import Record
from pipeline_steps.boxes import BoxRule
from pipeline_steps.datasets.base import HeadPoseDataset
from pipeline_steps.errors import first_problem
from pipeline_steps.pretext.base import PretextTask
from pipeline_steps.registry import tagged_union

if TYPE_CHECKING:
    Source = HeadPoseDataset
    Task = PretextTask
else:
    Source = tagged_union("pipeline_steps.datasets", HeadPoseDataset)
    Task = tagged_union("pipeline_steps.pretext", PretextTask)


class Strict(BaseModel):
    """Unknown keys and wrong types are errors."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


def _ascending(limits: tuple[float, float]) -> tuple[float, float]:
    if limits[0] > limits[1]:
        raise ValueError(f"the first number must not exceed the second, got {list(limits)}")
    return limits


Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_]*$")]
Fraction = Annotated[float, Field(ge=0, le=1)]
Limits = Annotated[
    tuple[float, float],
    BeforeValidator(lambda v: tuple(v) if isinstance(v, list) else v),
    AfterValidator(_ascending),
]


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
    """Who is trained on, who is labelled, who validates, who is tested on. Subjects never straddle a part."""

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
    labelled_subjects: int | Literal["all"] = Field(
        default="all",
        description="how many training subjects have pose labels; pre-training sees all of them, unlabelled",
    )
    labelled_fraction: Annotated[float, Field(gt=0, le=1)] = Field(
        default=1.0, description="share of each labelled subject's images that is labelled"
    )

    @model_validator(mode="after")
    def _test_rule(self) -> Self:
        if self.test_subjects is None and self.protocol is None:
            raise ValueError("give test_subjects, or a protocol that names them")
        return self


class Dataset(Strict):
    """A data set as the study uses it."""

    source: Source
    archive: Path | None = Field(
        default=None,
        strict=False,
        description="the archive, or a folder of its files, to use as it is; a relative path is looked up in "
        "$HEADPOSE_REAL_DATA, else here. Without it the official archive is looked for there and in data/archives, and "
        "downloaded. Where an archive lies changes no result, what it holds does",
    )
    crop: CropRule
    split: SplitRule

    @model_validator(mode="after")
    def _archive_where_used(self) -> Self:
        if not self.source.needs_archive and self.archive is not None:
            raise ValueError("archive: this data set has none; remove the key")
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


class Augmentation(Strict):
    """Applied to training images in one batch on the training device, with parameters drawn per image."""

    flip: Fraction = Field(default=0.5, description="probability of a mirrored image; the pose label is mirrored too")
    scale: Limits = Field(
        default=(1.0, 1.0),
        description="side of the window that is cut out, as a share of the crop's; above 1 it needs crops.context",
    )
    shift: float = Field(
        default=0.0,
        ge=0,
        le=0.5,
        description="largest move of the window's centre, as a share of the crop's side, as far as the context reaches",
    )
    brightness: Fraction = 0.0
    contrast: Fraction = 0.0
    saturation: Fraction = 0.0
    hue: Annotated[float, Field(ge=0, le=0.5)] = 0.0
    grayscale: Fraction = Field(default=0.0, description="probability")
    blur: Fraction = Field(default=0.0, description="probability")
    noise: Fraction = Field(default=0.0, description="standard deviation of Gaussian noise on images in 0..1")
    erase: Fraction = Field(default=0.0, description="probability that a rectangle is blanked out")


class Training(Strict):
    """Optimiser and schedule: AdamW, linear warm-up, cosine decay to zero."""

    epochs: int = Field(ge=1)
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


class FinetuneTraining(Training):
    """Schedule of every arm's fine-tuning."""

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

    @model_validator(mode="after")
    def _single_view_has_one_task(self) -> Self:
        if self.views == "single_view" and len(self.auxiliary) != 1:
            raise ValueError("single_view needs exactly one auxiliary task")
        return self


class Evaluation(Strict):
    """How test errors are computed."""

    within: list[Annotated[float, Field(gt=0)]] = Field(
        default=[5.0, 10.0, 15.0],
        description="report the share of images with a geodesic error below these, in degrees",
    )
    yaw_bins: list[float] = Field(
        default=[-90.0, -60.0, -30.0, 0.0, 30.0, 60.0, 90.0], description="edges of the error-by-yaw table, in degrees"
    )
    bootstrap: int = Field(default=1000, ge=100, description="resamples behind every interval")


class Comparison(Strict):
    """Which arm the others are held against, and by which error."""

    baseline: Name
    error: Literal["mae", "geodesic", "maev"] = "mae"
    bootstrap: int = Field(default=2000, ge=100)
    confidence: Annotated[float, Field(gt=0, lt=1)] = 0.95


class Tracking(Strict):
    """Where MLflow keeps the runs. Changing it re-runs nothing; MLFLOW_TRACKING_URI wins over `uri`."""

    enabled: bool = True
    uri: str = "sqlite:///mlflow.db"


class Params(Strict):
    """The whole of params.yaml, with a study's overlay merged in."""

    study: Name
    seeds: list[Annotated[int, Field(ge=0)]] = Field(min_length=1)
    catalogue: Path = Field(
        default=Path("workflow/resources/datasets.yaml"),
        strict=False,
        description="table of data sets: pages, downloads, checksums, licences; relative to the repository",
    )
    datasets: dict[Name, Dataset]
    train_on: Name
    pretrain_on: Name | None = Field(
        default=None, description="data set that pre-training sees instead of train_on; it needs no labels"
    )
    test_on: list[Name] = Field(min_length=1)
    crops: Crops
    pretext: dict[Name, Task]
    network: Network
    pretrain: PretrainTraining
    finetune: FinetuneTraining
    arms: dict[Name, Arm] = Field(min_length=1)
    evaluate: Evaluation = Evaluation()
    compare: Comparison
    tracking: Tracking = Tracking()

    @model_validator(mode="before")
    @classmethod
    def _drop_removed(cls, values: Any) -> Any:
        """An overlay removes an inherited data set, task or arm by setting it to null."""
        if not isinstance(values, dict):
            return values
        maps = {k: v for k in ("datasets", "pretext", "arms") if isinstance(v := values.get(k), dict)}
        return values | {k: {n: e for n, e in v.items() if e is not None} for k, v in maps.items()}

    @model_validator(mode="after")
    def _references(self) -> Self:
        def known(key: str, name: str, among: dict[str, Any]) -> None:
            if name not in among:
                raise ValueError(f"{key}: {name!r} is not defined; known: {', '.join(sorted(among)) or 'none'}")

        for key, names in (("seeds", self.seeds), ("test_on", self.test_on)):
            if len(set(names)) < len(names):
                raise ValueError(f"{key}: {names} names one twice")
        for name in self.test_on:
            known("test_on", name, self.datasets)
        known("compare.baseline", self.compare.baseline, self.arms)
        used: set[str] = set()
        for name, arm in self.arms.items():
            for task in arm.auxiliary:
                known(f"arms.{name}.auxiliary", task, self.pretext)
            if arm.init.startswith("ssl:"):
                known(f"arms.{name}.init", arm.init.removeprefix("ssl:"), self.pretext)
            used |= {*arm.auxiliary, arm.init.removeprefix("ssl:")}
        for name, pretext in self.pretext.items():
            if name in used:
                try:
                    pretext.check_image_size(self.crops.size)
                except ValueError as error:
                    raise ValueError(f"pretext.{name}: {error}; crops.size is {self.crops.size}") from error
        for key, name in (("train_on", self.train_on), ("pretrain_on", self.pretrain_on or self.train_on)):
            known(key, name, self.datasets)
            split = self.datasets[name].split
            if split.test_subjects == "all":
                raise ValueError(f"datasets.{name}.split.test_subjects: 'all' leaves nothing to train on")
            if not split.validation_subjects:
                raise ValueError(
                    f"datasets.{name}.split.validation_subjects: at least 1 is needed to validate training"
                )
        for name in self.test_on:
            if self.datasets[name].split.test_subjects == 0:
                raise ValueError(f"datasets.{name}.split.test_subjects: 0, but test_on names {name!r}")
        reach = 1 + 2 * self.crops.context
        for stage, training in (("pretrain", self.pretrain), ("finetune", self.finetune)):
            if training.augmentation.scale[1] > reach:
                raise ValueError(
                    f"{stage}.augmentation.scale: windows of up to {training.augmentation.scale[1]:g} times the crop "
                    f"reach beyond what is stored, {reach:g} times; raise crops.context"
                )
        return self


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
    training: FinetuneTraining


class DescribeParams(Strict):
    """What `describe_dataset` is told."""

    record: Record | None = Field(description="the data set's row in the table of data sets, if it has one")


class EvaluateParams(Strict):
    """What `evaluate` is told."""

    evaluate: Evaluation


class CompareParams(Strict):
    """What `compare` is told."""

    compare: Comparison


def parse_params(values: dict[str, Any], file: str = "params.yaml") -> Params:
    """Check a loaded params.yaml; raise UserError on the first problem."""
    try:
        return Params.model_validate(values)
    except ValidationError as error:
        raise first_problem(error, file) from error
