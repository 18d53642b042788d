"""All parameters of a study, checked when the workflow is read; how files are merged: `workflow.questions`."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from pydantic import Field, ValidationError, model_validator

from pipeline_steps.images.boxes import CropBox
from pipeline_steps.images.cropping import CropFormat
from pipeline_steps.job.errors import refusal
from pipeline_steps.job.strict import Strict
from pipeline_steps.params.sections import (
    Arm,
    ArmName,
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
)
from pipeline_steps.params.steps import refuse_jumping_angles
from workflow.questions import DEFAULT, Choices, Seeds, merged, read_files, require, resolved


class OtherArchive(Strict):
    """An archive that stands in for the official one of a data set, and how it is cropped."""

    archive: Path = Field(strict=False, description="as datasets.NAME.archive")
    crop: CropBox


class Dataset(Strict):
    """A data set as the study uses it."""

    source: Source
    archive: Path | None = Field(
        default=None,
        strict=False,
        description="the archive, or a folder of its files, to use as it is; a relative path is looked for in "
        "$HEADPOSE_REAL_DATA, then here, then in data/archives. Without it the official archive is looked for in the "
        "same places, and downloaded. Where an archive lies changes no result, what it holds does",
    )
    crop: CropBox
    otherwise: OtherArchive | None = Field(
        default=None,
        exclude=True,  # a plan has one archive and one crop of each data set, which are those that it found
        description="another archive, with its own crop, to use where the official one does not lie here; nothing is "
        "downloaded then. Without effect where `archive` names one",
    )
    split: SplitRule

    @model_validator(mode="after")
    def _archive_where_used(self) -> Self:
        for key in ("archive", "otherwise"):
            if not self.source.needs_archive and getattr(self, key) is not None:
                raise ValueError(f"{key}: this data set has none; remove the key")
        return self


class Tracking(Strict):
    """Where MLflow keeps the runs. Changing it re-runs nothing; MLFLOW_TRACKING_URI wins over `uri`."""

    enabled: bool = True
    uri: str = "sqlite:///mlflow.db"


class Params(Choices):
    """All parameters of one question of a study, at one size."""

    study: Name
    about: str = Field(default="", description="the study in one sentence, for the list of studies")
    seeds: Seeds
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
    crops: CropFormat
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
                    raise ValueError(f"{keys}: {where['msg'].removeprefix('Value error, ')}") from error
            for task in arm.auxiliary:
                require(f"arms.{name}.auxiliary", task, self.pretext)
            if arm.init.startswith("ssl:"):
                require(f"arms.{name}.init", arm.init.removeprefix("ssl:"), self.pretext)
            used |= {*arm.auxiliary, arm.init.removeprefix("ssl:")}
            seen = arm.auxiliary if arm.views == "single_view" else {}
            try:
                refuse_jumping_angles(self.network, self.finetune_of(name), {t: self.pretext[t] for t in seen})
            except ValueError as error:
                raise ValueError(f"arms.{name}: {error}") from error
        for name in sorted(used & self.pretext.keys()):
            try:
                self.pretext[name].check_image_size(self.crops.size)
            except ValueError as error:
                raise ValueError(f"pretext.{name}: {error}; crops.size is {self.crops.size}") from error
        return self

    @model_validator(mode="after")
    def _data_sets(self) -> Self:
        for name in self.test_on:
            require("test_on", name, self.datasets)
            if self.datasets[name].split.test_subjects == 0:
                raise ValueError(f"datasets.{name}.split.test_subjects: 0, but test_on names {name!r}")
        for key, name in (("train_on", self.train_on), ("pretrain_on", self.pretrain_on or self.train_on)):
            require(key, name, self.datasets)
            split = self.datasets[name].split
            if split.test_subjects == "all":
                raise ValueError(f"datasets.{name}.split.test_subjects: 'all' leaves nothing to train on")
            if not split.validation_subjects:
                raise ValueError(
                    f"datasets.{name}.split.validation_subjects: at least 1 is needed to validate training"
                )
        for name in self.test_on if self.evaluate.part == "test" else []:
            folds = self.datasets[name].split.folds
            if folds and sorted(seed % folds for seed in self.seeds) != list(range(folds)):
                raise ValueError(
                    f"seeds: {self.seeds} do not test each of the {folds} folds of {name} once, as the trainings with "
                    f"seed s are tested on fold s mod {folds}; give {folds} seeds, such as {list(range(folds))}"
                )
        return self

    @model_validator(mode="after")
    def _baselines(self) -> Self:
        for baseline in self.compare.baselines:
            if baseline not in self.arms:
                missing = [v for v in self.variations if f"{baseline}-{v}" not in self.arms]
                if missing or not self.variations:
                    require("compare.baselines", baseline, self.arms)
        return self

    @model_validator(mode="after")
    def _windows(self) -> Self:
        reach = 1 + 2 * self.crops.context
        trainings = {"pretrain": self.pretrain, "finetune": self.finetune}
        trainings |= {f"arms.{arm}.finetune": self.finetune_of(arm) for arm, of in self.arms.items() if of.finetune}
        largest = {f"{key}.augmentation.scale": of.augmentation.scale[1] for key, of in trainings.items()}
        if self.evaluate.window is not None:
            largest["evaluate.window"] = self.evaluate.window
        for key, side in largest.items():
            if side > reach:
                raise ValueError(
                    f"{key}: windows of up to {side:g} times the crop reach beyond what is stored, {reach:g} times; "
                    "raise crops.context"
                )
        return self

    def pretexts(self) -> list[str]:
        """Pretext tasks that some arm starts from."""
        inits = {arm.init for arm in self.arms.values()}
        return sorted(init.removeprefix("ssl:") for init in inits if init.startswith("ssl:"))

    def labels_of(self, arm: str) -> Labels:
        """The label budget of an arm."""
        return Labels.model_validate(merged(self.labels.model_dump(), self.arms[arm].labels))

    def finetune_of(self, arm: str) -> FinetuneTraining:
        """The schedule of an arm's fine-tuning."""
        return FinetuneTraining.model_validate(merged(self.finetune.model_dump(), self.arms[arm].finetune))


def parse_params(
    values: Mapping[str, Any], file: str = "params.yaml", config: Mapping[str, Any] | None = None
) -> Params:
    """The parameters of the chosen question at the chosen size, from the merged values of parameter files.

    file: what messages call these files. config: values of the command line, which win over those of size and question.
    Raises UserError that names all problems.
    """
    found = resolved(values, config or {}, file)
    try:
        return Params.model_validate(found)
    except ValidationError as error:
        raise refusal(error, file, found) from error


def load_params(
    configfiles: Sequence[Path] = (), config: Mapping[str, Any] | None = None, default: Path = DEFAULT
) -> Params:
    """The parameters of a study, as every command reads them; how files are merged: `workflow.questions`.

    configfiles: as `snakemake --configfile` is given them, each on top of the one before; default: what all of them go
    on top of. config: as `snakemake --config`. Raises UserError.
    """
    files = [default, *configfiles]
    return parse_params(read_files(files), ", ".join(path.name for path in files), config)
