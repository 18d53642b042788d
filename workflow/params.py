"""The whole of params.yaml: sections of the steps, arms, sizes and overlays, checked when the workflow is read."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Field, ValidationError, model_validator

from pipeline_steps.job.errors import UserError, brief, first_problem
from pipeline_steps.params.sections import (
    Arm,
    ArmName,
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
)


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


class Tracking(Strict):
    """Where MLflow keeps the runs. Changing it re-runs nothing; MLFLOW_TRACKING_URI wins over `uri`."""

    enabled: bool = True
    uri: str = "sqlite:///mlflow.db"


def _require(key: str, name: str, among: Mapping[str, Any]) -> None:
    if name not in among:
        raise ValueError(f"{key}: {name!r} is not defined; known: {', '.join(sorted(among)) or 'none'}")


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
    def _lists(self) -> Self:
        for key, names in (("seeds", self.seeds), ("test_on", self.test_on)):
            if len(set(names)) < len(names):
                raise ValueError(f"{key}: {names} names one twice")
        return self

    @model_validator(mode="after")
    def _arms_and_tasks(self) -> Self:
        if "pose" in self.pretext:
            raise ValueError("pretext.pose: this name is taken by the pose loss; choose another")
        used: set[str] = set()
        for name, arm in self.arms.items():
            for key, change in (("labels", self.labels_of), ("finetune", self.finetune_of)):
                try:
                    change(name)
                except ValidationError as error:
                    where = error.errors(include_url=False)[0]
                    keys = ".".join(["arms", name, key, *map(str, where["loc"])])
                    raise ValueError(f"{keys}: {where['msg']}") from error
            for task in arm.auxiliary:
                _require(f"arms.{name}.auxiliary", task, self.pretext)
            if arm.init.startswith("ssl:"):
                _require(f"arms.{name}.init", arm.init.removeprefix("ssl:"), self.pretext)
            used |= {*arm.auxiliary, arm.init.removeprefix("ssl:")}
        for name in sorted(used & self.pretext.keys()):
            try:
                self.pretext[name].check_image_size(self.crops.size)
            except ValueError as error:
                raise ValueError(f"pretext.{name}: {error}; crops.size is {self.crops.size}") from error
        return self

    @model_validator(mode="after")
    def _data_sets(self) -> Self:
        for name in self.test_on:
            _require("test_on", name, self.datasets)
            if self.datasets[name].split.test_subjects == 0:
                raise ValueError(f"datasets.{name}.split.test_subjects: 0, but test_on names {name!r}")
        for key, name in (("train_on", self.train_on), ("pretrain_on", self.pretrain_on or self.train_on)):
            _require(key, name, self.datasets)
            split = self.datasets[name].split
            if split.test_subjects == "all":
                raise ValueError(f"datasets.{name}.split.test_subjects: 'all' leaves nothing to train on")
            if not split.validation_subjects:
                raise ValueError(
                    f"datasets.{name}.split.validation_subjects: at least 1 is needed to validate training"
                )
        return self

    @model_validator(mode="after")
    def _baseline(self) -> Self:
        if self.compare.baseline not in self.arms:
            missing = [v for v in self.variations if f"{self.compare.baseline}-{v}" not in self.arms]
            if missing or not self.variations:
                _require("compare.baseline", self.compare.baseline, self.arms)
        return self

    @model_validator(mode="after")
    def _windows(self) -> Self:
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
