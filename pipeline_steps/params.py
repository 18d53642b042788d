"""Typed parameters: what params.yaml may say, and what each step is told.

`Params` is the whole file, checked when the workflow is read. The `*Params` classes below it are the resolved slices
that single steps receive; a step never sees a parameter that is not its own. Nothing here computes anything: the effect
of this file on a result lies wholly in the values, which every recipe records.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from pipeline_steps.acquisition.catalogue import Record
from pipeline_steps.augmentation import Augmentation, Fraction
from pipeline_steps.boxes import BoxRule
from pipeline_steps.datasets.base import HeadPoseDataset
from pipeline_steps.errors import UserError, brief, first_problem
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


class Dataset(Strict):
    """A data set as the study uses it."""

    source: Source
    archive: Path | None = Field(
        default=None,
        strict=False,
        description="the archive, or a folder of its files, to use as it is; a relative path is looked for in "
        "$HEADPOSE_REAL_DATA, then here. Without it the official archive is looked for there and in data/archives, and "
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

    baseline: ArmName = Field(description="an arm; without a variation it stands for its namesake of each variation")
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
    question: Name | None = Field(
        default=None,
        description="what this run of the study compares, results/{study}/compare/{question}; trainings are shared "
        "between a study's questions",
    )
    size: Name | None = Field(
        default=None, description="one of `sizes`; results go to results/{study}-{size}; null: everything as it stands"
    )
    sizes: dict[Name, dict[str, Any]] = Field(
        default={}, description="by name, keys of this file that a size changes, merged over it"
    )
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
    labels: Labels = Labels()
    finetune: FinetuneTraining
    arms: dict[ArmName, Arm] = Field(min_length=1)
    variations: dict[Name, dict[str, Any]] = Field(
        default={}, description="by name, keys of an arm: every arm is run once with each, as {arm}-{variation}"
    )
    evaluate: Evaluation = Evaluation()
    compare: Comparison
    tracking: Tracking = Tracking()

    @model_validator(mode="before")
    @classmethod
    def _drop_removed(cls, values: Any) -> Any:
        """An overlay removes an inherited entry of a map by setting it to null."""
        if not isinstance(values, dict):
            return values
        names = ("datasets", "pretext", "arms", "variations", "sizes")
        maps = {k: v for k in names if isinstance(v := values.get(k), dict)}
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
        used: set[str] = set()
        if "pose" in self.pretext:
            raise ValueError("pretext.pose: this name is taken by the pose loss; choose another")
        for name, arm in self.arms.items():
            for key, change in (("labels", self.labels_of), ("finetune", self.finetune_of)):
                try:
                    change(name)
                except ValidationError as error:
                    where = error.errors(include_url=False)[0]
                    keys = ".".join(["arms", name, key, *map(str, where["loc"])])
                    raise ValueError(f"{keys}: {where['msg']}") from error
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
        if self.compare.baseline not in self.arms:
            missing = [v for v in self.variations if f"{self.compare.baseline}-{v}" not in self.arms]
            if missing or not self.variations:
                raise ValueError(
                    f"compare.baseline: {self.compare.baseline!r} is not defined; known: {', '.join(self.arms)}"
                )
        reach = 1 + 2 * self.crops.context
        for stage, training in (("pretrain", self.pretrain), ("finetune", self.finetune)):
            if training.augmentation.scale[1] > reach:
                raise ValueError(
                    f"{stage}.augmentation.scale: windows of up to {training.augmentation.scale[1]:g} times the crop "
                    f"reach beyond what is stored, {reach:g} times; raise crops.context"
                )
        return self

    def labels_of(self, arm: str) -> Labels:
        """The label budget of an arm."""
        return Labels.model_validate(merged(self.labels.model_dump(), self.arms[arm].labels))

    def finetune_of(self, arm: str) -> FinetuneTraining:
        """The schedule of an arm's fine-tuning."""
        return FinetuneTraining.model_validate(merged(self.finetune.model_dump(), self.arms[arm].finetune))


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


class CompareParams(Strict):
    """What `compare` is told."""

    compare: Comparison


def merged(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """`base` with `changes`, maps merged key by key, as Snakemake merges configuration files."""
    both = {k: merged(base[k], v) for k, v in changes.items() if isinstance(v, dict) and isinstance(base.get(k), dict)}
    return {**base, **changes, **both}


def _sized(values: dict[str, Any], file: str) -> dict[str, Any]:
    size, sizes = values.get("size"), values.get("sizes")
    if not isinstance(size, str) or not isinstance(sizes, dict):
        return values
    if (changes := sizes.get(size)) is None:
        known = ", ".join(str(name) for name in sizes if sizes[name] is not None)
        raise UserError(f"{file}: size: {brief(repr(size))} is not defined; known: {known or 'none'}")
    return merged(values, changes) if isinstance(changes, dict) else values  # what is no map, the model refuses by key


def _varied(values: dict[str, Any]) -> dict[str, Any]:
    arms, variations = values.get("arms"), values.get("variations")
    if not isinstance(arms, dict) or not isinstance(variations, dict):
        return values
    changed = {
        f"{name}-{variation}": merged(arm, change)
        for variation, change in variations.items()
        for name, arm in arms.items()
        if isinstance(arm, dict) and isinstance(change, dict)
    }
    return values | {"arms": changed} if changed else values


def parse_params(values: dict[str, Any], file: str = "params.yaml") -> Params:
    """Apply the chosen size, cross arms with variations and check everything; raise UserError on the first problem."""
    values = _varied(_sized(values, file))
    try:
        return Params.model_validate(values)
    except ValidationError as error:
        raise first_problem(error, file, values) from error
