"""The jobs of a study, each with its recipe."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from pydantic import BaseModel

from pipeline_steps.acquisition.catalogue import Record, read_catalogue
from pipeline_steps.job.errors import UserError
from pipeline_steps.job.files import sha256
from pipeline_steps.job.recipe import (
    RECIPE,
    ArchiveInput,
    FileInput,
    Input,
    JobInput,
    ProtocolInput,
    Recipe,
    read_recipe,
)
from pipeline_steps.params.arms import several_budgets
from pipeline_steps.params.steps import (
    AcquireParams,
    Auxiliary,
    CompareParams,
    CropParams,
    DescribeParams,
    EvaluateParams,
    ExportParams,
    FinetuneParams,
    PretrainParams,
    ReportParams,
    SplitParams,
)
from pipeline_steps.splits.protocols import protocol_checksum, read_protocol
from workflow import layout
from workflow.freshness.archives import identity, locate, places
from workflow.freshness.code import code_of
from workflow.freshness.state import Job
from workflow.layout import ROOT, StudyLayout
from workflow.params import Dataset, Params


class Plan:
    """Every job of a study, by the folder of its results."""

    def __init__(self, params: Params) -> None:
        self.params = params
        self.layout = StudyLayout(params.study, params.size)
        self.catalogue = read_catalogue(ROOT / params.catalogue)
        self.found: list[str] = []
        """A line for each data set that has `otherwise`: which of its archives lies here."""
        self.params = params = self._with_archives_that_are_here()
        self.jobs: dict[str, Job] = {}
        self.comparison = self.layout.comparison(params.question)
        self.report = self.layout.report(params.question)
        for name in self.datasets():
            self._plan_data(name)
        for seed in params.seeds:
            for name in self.params.pretexts():
                self._plan_pretraining(name, seed)
            for arm in params.arms:
                self._plan_finetuning(arm, seed)
                self._plan_use(arm, seed)
        names = self._names(**({"question": params.question} if params.question else {}))
        compared = [*self.evaluations(), *self.finetunings(), *self.pretrainings(), *self.splits(), *self.test_crops()]
        compared.append(self.crops(params.train_on))
        self._add(
            self.comparison,
            "compare",
            names,
            CompareParams(compare=params.compare),
            _by_folder(compared),
            more=self.comparison_files(),
        )
        shown = _by_folder([self.comparison, *self.cards(), *compared])
        self._add(self.report, "write_report", names, ReportParams(), shown)

    def _names(self, **more: str | int) -> dict[str, str | int]:
        return {"study": self.layout.name, **more}

    def _add(
        self,
        folder: str,
        step: str,
        names: Mapping[str, str | int],
        params: BaseModel,
        inputs: Mapping[str, str | Input],
        *code: str,
        more: Iterable[str] = (),
    ) -> None:
        """Plan a job. inputs: by role, the folder of another job's results or what comes from outside. code: modules
        of pipeline_steps, besides the step's own, that are chosen by parameters. more: names of files that not every
        job of the step writes.
        """
        upstream = tuple(source for source in inputs.values() if isinstance(source, str))
        known: dict[str, Input] = {
            role: JobInput(fingerprint=self.jobs[source].recipe.fingerprint) if isinstance(source, str) else source
            for role, source in inputs.items()
        }
        values = params.model_dump(mode="json")
        recipe = Recipe(step=step, job=dict(names), params=values, code=code_of(step, *code), inputs=known)
        self.jobs[folder] = Job(folder, recipe, upstream, tuple(more))

    def datasets(self) -> list[str]:
        """Names of the data sets that the study trains or tests on."""
        pretrain = [self.params.pretrain_on] if self.params.pretrain_on and self.params.pretexts() else []
        return list(dict.fromkeys([self.params.train_on, *pretrain, *self.params.test_on]))

    def crops(self, dataset: str) -> str:
        """Folder of a data set's crops at the study's size."""
        return layout.crops(dataset, self.params.crops.size)

    def split(self, dataset: str) -> str:
        """Folder of a data set's split."""
        return layout.split(dataset, self.params.crops.size)

    def card(self, dataset: str) -> str:
        """Folder of a data set's card."""
        return layout.card(dataset, self.params.crops.size)

    def cards(self) -> list[str]:
        """Folders of all data sets' cards."""
        return [self.card(name) for name in self.datasets()]

    def cards_for_export(self) -> list[str]:
        """Folders of the cards of the data sets that a model was trained and tested on."""
        return [self.card(name) for name in dict.fromkeys([self.params.train_on, *self.params.test_on])]

    def splits(self) -> list[str]:
        """Folders of all data sets' splits."""
        return [self.split(name) for name in self.datasets()]

    def test_crops(self) -> list[str]:
        """Folders of all test data sets' crops."""
        return [self.crops(name) for name in self.params.test_on]

    def pretrainings(self) -> list[str]:
        """Folders of all pre-trainings."""
        return [self.layout.pretraining(name, seed) for name in self.params.pretexts() for seed in self.params.seeds]

    def finetunings(self) -> list[str]:
        """Folders of all fine-tunings."""
        return [self.layout.finetuning(arm, seed) for arm in self.params.arms for seed in self.params.seeds]

    def evaluation(self, dataset: str, arm: str, seed: int | str) -> str:
        """Folder of an evaluation of the kind that the study asks for."""
        return self.layout.evaluation(self.params.evaluate.name, dataset, arm, seed)

    def evaluations_of(self, arm: str, seed: int | str) -> list[str]:
        """Folders of one model's evaluations."""
        return [self.evaluation(name, arm, seed) for name in self.params.test_on]

    def evaluations(self) -> list[str]:
        """Folders of all evaluations."""
        models = [(arm, seed) for arm in self.params.arms for seed in self.params.seeds]
        return [self.evaluation(name, *model) for name in self.params.test_on for model in models]

    def comparison_files(self) -> list[str]:
        """Names of the files of the comparison that depend on what is compared."""
        labels = {arm: self.params.labels_of(arm) for arm in self.params.arms}
        return layout.comparison_files(self.params.test_on, bool(self.pretrainings()), several_budgets(labels))

    def kind(self, dataset: str) -> str:
        """The module that reads a data set."""
        return str(self.params.datasets[dataset].source.model_dump()["kind"])

    def archive(self, dataset: str) -> Path | None:
        """Where a data set's archive lies on this machine, or will be downloaded to; None where it needs none."""
        chosen = self.params.datasets[dataset]
        return locate(chosen.archive, self.catalogue.get(self.kind(dataset))) if chosen.source.needs_archive else None

    def _with_archives_that_are_here(self) -> Params:
        """The parameters with one archive and one crop for every data set that the study uses."""
        found = {name: self._with_archive_that_is_here(name) for name in self.datasets()}
        return self.params.model_copy(update={"datasets": self.params.datasets | found})

    def _with_archive_that_is_here(self, name: str) -> Dataset:
        """A data set with its official archive or, where the other one lies here instead, with that and its crop.

        Where neither does, with the one that its crops were made from. Raises UserError where there are none.
        """
        dataset, record = self.params.datasets[name], self.catalogue.get(self.kind(name))
        other = dataset.otherwise
        if other is None or dataset.archive is not None:
            return dataset
        official, there = locate(None, record), locate(other.archive, None)
        with_other = dataset.model_copy(update={"archive": other.archive, "crop": other.crop})
        for chosen, archive in ((dataset, official), (with_other, there)):
            if archive is not None and archive.exists():
                what = "the official archive" if chosen is dataset else "an archive that stands in for the official one"
                self.found.append(f"datasets.{name}: {archive}, {what}, cropped by {chosen.crop.box}")
                return chosen
        if made_from := self._made_from(name):
            return dataset if record and made_from.sha256 == record.sha256 else with_other
        names = [*([f"{record.file} (official)"] if record and record.file else []), str(other.archive)]
        get = f"get the official one from {record.page} ({record.accept})" if record else f"get {other.archive}"
        raise UserError(
            f"datasets.{name}: neither {' nor '.join(names)} is in {places()}; {get}, put it there, or name another "
            f"archive or folder by datasets.{name}.archive"
        )

    def _made_from(self, name: str) -> ArchiveInput | None:
        """Identity of the archive that a data set's raw files or crops here were made from."""
        for path in (Path(folder, RECIPE) for folder in (layout.raw(name), self.crops(name))):
            if path.exists() and isinstance(made_from := read_recipe(path).inputs.get("archive"), ArchiveInput):
                return made_from
        return None

    def _plan_data(self, name: str) -> None:
        dataset, names, code = self.params.datasets[name], {"dataset": name}, f"datasets/{self.kind(name)}"
        raw, crops, source = layout.raw(name), self.crops(name), dataset.source
        archive: dict[str, str | Input] = {"archive": self._archive(name)} if source.needs_archive else {}
        self._add(raw, "acquire_dataset", names, AcquireParams(source=source), archive, code)
        cropping = CropParams(source=source, crop=dataset.crop, crops=self.params.crops)
        self._add(crops, "crop_faces", names, cropping, {"raw": raw} | archive, code)
        described = DescribeParams(record=_without_downloads(self.catalogue.get(self.kind(name))))
        self._add(self.card(name), "describe_dataset", names, described, {"crops": crops})
        inputs: dict[str, str | Input] = {"crops": crops}
        if dataset.split.protocol:
            inputs["protocol"] = self._protocol(name, ROOT / dataset.split.protocol)
        self._add(self.split(name), "split_dataset", names, SplitParams(split=dataset.split), inputs)

    def _protocol(self, name: str, path: Path) -> ProtocolInput:
        """Checksum of a data set's protocol, which has to fit the rest of its split."""
        key = f"datasets.{name}.split"
        if not path.exists():
            raise UserError(f"{key}.protocol: no file {path}; give an existing one, relative to the repository")
        protocol = read_protocol(path)
        split = self.params.datasets[name].split
        if (protocol.test is None) == (split.test_subjects is None and split.folds is None):
            given = "test_subjects, folds or a protocol with `test`"
            raise UserError(f"{key}: give one of {given}, which {path} does not fit")
        return ProtocolInput(sha256=protocol_checksum(protocol, path))

    def _archive(self, name: str) -> ArchiveInput:
        """Identity of a data set's archive; where it is missing, of the one that its files were made from."""
        archive, given = self.archive(name), self.params.datasets[name].archive
        record, key = self.catalogue.get(self.kind(name)), f"datasets.{name}.archive"
        if archive is None:
            source = f", available from {record.page} ({record.accept})" if record else ""
            raise UserError(f"{key}: missing; give the path of this data set's archive or folder{source}")
        if found := identity(key, archive, None if given else record):
            return found
        if made_from := self._made_from(name):
            return made_from
        if given or record is None:
            given_path = "" if archive.is_absolute() else f", here or in {places()}"
            raise UserError(f"{key}: no file or folder {archive}{given_path}; put it there, or give an existing one")
        raise UserError(f"datasets.{name}: {record.file} cannot be downloaded; {record.by_hand(archive)}")

    def _plan_pretraining(self, name: str, seed: int) -> None:
        data, task = self.params.pretrain_on or self.params.train_on, self.params.pretext[name]
        self._add(
            self.layout.pretraining(name, seed),
            "pretrain",
            self._names(pretext=name, seed=seed),
            pretraining(self.params, name, seed),
            {"crops": self.crops(data), "split": self.split(data)},
            _module_of(task),
        )

    def _plan_finetuning(self, name: str, seed: int) -> None:
        params, arm = self.params, self.params.arms[name]
        inputs: dict[str, str | Input] = {"crops": self.crops(params.train_on), "split": self.split(params.train_on)}
        start, _, source = arm.init.partition(":")
        if start == "ssl":
            inputs["encoder"] = self.layout.pretraining(source, seed)
        elif start == "file":
            if not Path(source).is_file():
                raise UserError(f"arms.{name}.init: no file {source}; give the path of a state dict")
            inputs["encoder"] = FileInput(sha256=sha256(Path(source)))
        planned = finetuning(params, name, seed)
        names, modules = self._names(arm=name, seed=seed), [_module_of(a.task) for a in planned.auxiliary.values()]
        self._add(self.layout.finetuning(name, seed), "finetune", names, planned, inputs, *modules)

    def _plan_use(self, arm: str, seed: int) -> None:
        """Evaluations of a model, and its export."""
        params, model = self.params, self.layout.finetuning(arm, seed)
        window = params.evaluate.window_after(params.finetune_of(arm).augmentation)
        for name in params.test_on:
            self._add(
                self.evaluation(name, arm, seed),
                "evaluate",
                self._names(arm=arm, seed=seed, dataset=name),
                EvaluateParams(seed=seed, evaluate=params.evaluate, window=window),
                {"model": model, "crops": self.crops(name), "split": self.split(name)},
            )
        data = {"crops": self.crops(params.train_on), "split": self.split(params.train_on)}
        described = {"model": model} | _by_folder([*self.evaluations_of(arm, seed), *self.cards_for_export()])
        self._add(
            self.layout.export(arm, seed),
            "export_model",
            self._names(arm=arm, seed=seed),
            ExportParams(seed=seed, detail=params.evaluate.detail, window=window),
            data | described,
        )


def pretraining(params: Params, name: str, seed: int) -> PretrainParams:
    """What the pre-training by a pretext task is told."""
    return PretrainParams(
        seed=seed, backbone=params.network.backbone, task=params.pretext[name], training=params.pretrain
    )


def finetuning(params: Params, name: str, seed: int) -> FinetuneParams:
    """What the fine-tuning of an arm is told."""
    arm = params.arms[name]
    return FinetuneParams(
        seed=seed,
        network=params.network,
        init="random" if arm.init == "random" else "imagenet" if arm.init == "imagenet" else "encoder",
        auxiliary={task: Auxiliary(weight=arm.auxiliary[task], task=params.pretext[task]) for task in arm.auxiliary},
        views=arm.views,
        weighting=arm.weighting,
        auxiliary_on=arm.auxiliary_on,
        labels=params.labels_of(name),
        training=params.finetune_of(name),
    )


def _by_folder(folders: Iterable[str]) -> dict[str, str]:
    """Inputs whose role is their folder, in one order whatever that of arms, seeds and data sets."""
    return {folder: folder for folder in sorted(folders)}


def _module_of(task: BaseModel) -> str:
    return f"pretext/{task.model_dump()['kind']}"


def _without_downloads(record: Record | None) -> Record | None:
    """A row of the catalogue without where its archive is downloaded, which changes no result."""
    return record and record.model_copy(update={"urls": [], "access": "by hand"})
