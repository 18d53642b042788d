"""The jobs of a study as recipes, by the folder of their results."""

from pathlib import Path
from typing import Any

from pydantic import BaseModel

from pipeline_steps.acquisition.catalogue import read_catalogue
from pipeline_steps.job.errors import UserError
from pipeline_steps.job.files import sha256
from pipeline_steps.job.recipe import Recipe, read_recipe
from pipeline_steps.params.arms import several_budgets
from pipeline_steps.splits.protocols import protocol_digest, read_protocol
from workflow.freshness.code import code_of
from workflow.freshness.contents import identity, locate
from workflow.params import Params

ROOT = Path(__file__).resolve().parent.parent


def _dump(value: BaseModel) -> Any:
    return value.model_dump(mode="json")


class Plan:
    """Every recipe of a study, by the folder of its results."""

    def __init__(self, params: Params) -> None:
        self.params = params
        self.catalogue = read_catalogue(ROOT / params.catalogue)
        self.recipes: dict[str, Recipe] = {}
        self.sources: dict[str, list[str]] = {}
        self.study = f"{params.study}-{params.size}" if params.size else params.study
        self.results = f"results/{self.study}"
        evaluate = params.evaluate
        kinds = {
            "validation": evaluate.part == "validation",
            "flip_test": evaluate.flip_test,
            f"detail_{evaluate.detail}": evaluate.detail is not None,
        }
        self.evaluated = "/".join([f"{self.results}/evaluate", *(kind for kind, asked in kinds.items() if asked)])
        self.comparison = f"{self.results}/compare" + (f"/{params.question}" if params.question else "")
        self.report = self.results + (f"/report/{params.question}" if params.question else "")
        for name in self.datasets():
            self._plan_data(name)
        for seed in params.seeds:
            for name in self.pretexts():
                self._plan_pretrain(name, seed)
            for arm in params.arms:
                self._plan_arm(arm, seed)
        job: dict[str, str | int] = {"study": self.study, **({"question": params.question} if params.question else {})}
        compared = {folder: folder for folder in sorted(self.compared())}
        self._add(self.comparison, "compare", job, {"compare": _dump(params.compare)}, compared)
        shown = {folder: folder for folder in sorted([self.comparison, *self.cards(), *self.compared()])}
        self._add(self.report, "write_report", job, {}, shown)

    def _add(
        self,
        folder: str,
        step: str,
        job: dict[str, str | int],
        values: dict[str, Any],
        inputs: dict[str, str],
        *code: str,
    ) -> None:
        keys = {role: self.recipes[source].key if source in self.recipes else source for role, source in inputs.items()}
        self.sources[folder] = [source for source in inputs.values() if source in self.recipes]
        self.recipes[folder] = Recipe(step=step, job=job, params=values, code=code_of(step, *code), inputs=keys)

    def datasets(self) -> list[str]:
        """Names of the data sets that the study trains or tests on."""
        pretrain = [self.params.pretrain_on] if self.params.pretrain_on and self.pretexts() else []
        return list(dict.fromkeys([self.params.train_on, *pretrain, *self.params.test_on]))

    def crops(self, name: str) -> str:
        """Folder of a data set's crops."""
        return f"data/crops/{name}-{self.params.crops.size}px"

    def card(self, name: str) -> str:
        """Folder of a data set's card."""
        return f"data/cards/{name}-{self.params.crops.size}px"

    def cards(self) -> list[str]:
        """Folders of all data sets' cards."""
        return [self.card(name) for name in self.datasets()]

    def split(self, name: str) -> str:
        """Folder of a data set's split."""
        return f"data/splits/{name}-{self.params.crops.size}px"

    def pretexts(self) -> list[str]:
        """Tasks that some arm starts from."""
        inits = {arm.init for arm in self.params.arms.values()}
        return sorted(init.removeprefix("ssl:") for init in inits if init.startswith("ssl:"))

    def test_crops(self) -> list[str]:
        """Folders of all test data sets' crops."""
        return [self.crops(name) for name in self.params.test_on]

    def pretrainings(self) -> list[str]:
        """Folders of all pre-trainings."""
        return [f"{self.results}/pretrain/{name}/seed{seed}" for name in self.pretexts() for seed in self.params.seeds]

    def finetunings(self) -> list[str]:
        """Folders of all fine-tunings."""
        return [f"{self.results}/finetune/{arm}/seed{seed}" for arm in self.params.arms for seed in self.params.seeds]

    def evaluations(self) -> list[str]:
        """Folders of all evaluations."""
        tail = [folder.removeprefix(f"{self.results}/finetune/") for folder in self.finetunings()]
        return [f"{self.evaluated}/{name}/{t}" for name in self.params.test_on for t in tail]

    def evaluations_of(self, arm: str, seed: int) -> list[str]:
        """Folders of one model's evaluations."""
        return [f"{self.evaluated}/{name}/{arm}/seed{seed}" for name in self.params.test_on]

    def splits(self) -> list[str]:
        """Folders of all data sets' splits."""
        return [self.split(name) for name in self.datasets()]

    def compared(self) -> list[str]:
        """Folders of all that the comparison reads."""
        return [*self.evaluations(), *self.finetunings(), *self.pretrainings(), *self.splits(), *self.test_crops()]

    def label_curves(self) -> bool:
        """Whether some arm is run with more than one label budget, so that error by labels can be drawn."""
        return several_budgets({arm: self.params.labels_of(arm) for arm in self.params.arms})

    def _plan_data(self, name: str) -> None:
        dataset, job = self.params.datasets[name], {"dataset": name}
        source, code = _dump(dataset.source), f"datasets/{self.kind(name)}"
        raw, crops = f"data/raw/{name}", self.crops(name)
        contents = {"archive": self._contents(name)} if dataset.source.needs_archive else {}
        self._add(raw, "acquire_dataset", {**job}, {"source": source}, contents, code)
        cropping = {"source": source, "crop": _dump(dataset.crop), "crops": _dump(self.params.crops)}
        self._add(crops, "crop_faces", {**job}, cropping, {"raw": raw} | contents, code)
        record = self.catalogue.get(self.kind(name))
        row = record and record.model_dump(mode="json", exclude={"urls", "access"})
        self._add(self.card(name), "describe_dataset", {**job}, {"record": row}, {"crops": crops})
        inputs = {"crops": crops}
        if dataset.split.protocol:
            inputs["protocol"] = self._protocol(name, ROOT / dataset.split.protocol)
        rule = dataset.split.model_dump(mode="json", exclude={"protocol"}) | {"protocol": inputs.get("protocol")}
        self._add(self.split(name), "split_dataset", {**job}, {"split": rule}, inputs)

    def _protocol(self, name: str, path: Path) -> str:
        """Digest of a data set's protocol, which has to fit the rest of its split."""
        key = f"datasets.{name}.split"
        if not path.exists():
            raise UserError(f"{key}.protocol: no file {path}; give an existing one, relative to the repository")
        protocol = read_protocol(path)
        if (protocol.test is None) == (self.params.datasets[name].split.test_subjects is None):
            raise UserError(f"{key}: give either test_subjects or a protocol with `test`, which {path} does not fit")
        return protocol_digest(protocol, path)

    def kind(self, name: str) -> str:
        """The module that reads a data set."""
        return str(self.params.datasets[name].source.model_dump()["kind"])

    def archive(self, name: str) -> Path | None:
        """Where a data set's archive lies on this machine, or will be downloaded to; None where it needs none."""
        dataset = self.params.datasets[name]
        return locate(dataset.archive, self.catalogue.get(self.kind(name))) if dataset.source.needs_archive else None

    def _contents(self, name: str) -> str:
        """Identity of a data set's archive; without the archive, of the one that its files were made from."""
        archive, given = self.archive(name), self.params.datasets[name].archive
        record, key = self.catalogue.get(self.kind(name)), f"datasets.{name}.archive"
        if archive is None:
            source = f", which is had from {record.page} ({record.accept})" if record else ""
            raise UserError(f"{key}: missing; give the path of this data set's archive or folder{source}")
        found = identity(key, archive, None if given else record)
        if found is not None:
            return found
        for made in (Path("data/raw", name, "recipe.json"), Path(self.crops(name), "recipe.json")):
            if made.exists() and "archive" in (inputs := read_recipe(made).inputs):
                return inputs["archive"]
        if given or record is None:
            raise UserError(
                f"{key}: no file or folder {archive}; give an existing one, or set HEADPOSE_REAL_DATA to the folder "
                "that holds it"
            )
        raise UserError(f"datasets.{name}: {record.file} cannot be downloaded; {record.by_hand(archive)}")

    def training_data(self, name: str | None = None) -> dict[str, str]:
        """Folders of crops and split of a data set, by default the one that is trained on."""
        name = name or self.params.train_on
        return {"crops": self.crops(name), "split": self.split(name)}

    def _plan_pretrain(self, name: str, seed: int) -> None:
        task = _dump(self.params.pretext[name])
        values = {"seed": seed, "backbone": self.params.network.backbone, "task": task}
        self._add(
            f"{self.results}/pretrain/{name}/seed{seed}",
            "pretrain",
            {"study": self.study, "pretext": name, "seed": seed},
            values | {"training": _dump(self.params.pretrain)},
            self.training_data(self.params.pretrain_on),
            f"pretext/{task['kind']}",
        )

    def _plan_arm(self, name: str, seed: int) -> None:
        arm, inputs = self.params.arms[name], self.training_data()
        if arm.init.startswith("ssl:"):
            inputs["encoder"] = f"{self.results}/pretrain/{arm.init.removeprefix('ssl:')}/seed{seed}"
        elif arm.init.startswith("file:"):
            path = Path(arm.init.removeprefix("file:"))
            if not path.is_file():
                raise UserError(f"arms.{name}.init: no file {path}; give the path of a state dict")
            inputs["encoder"] = sha256(path)
        tasks = {t: _dump(self.params.pretext[t]) for t in arm.auxiliary}
        values = {
            "seed": seed,
            "network": _dump(self.params.network),
            "init": "encoder" if "encoder" in inputs else arm.init,
            "auxiliary": {t: {"weight": arm.auxiliary[t], "task": task} for t, task in tasks.items()},
            "views": arm.views,
            "weighting": arm.weighting,
            "auxiliary_on": arm.auxiliary_on,
            "labels": _dump(self.params.labels_of(name)),
            "training": _dump(self.params.finetune_of(name)),
        }
        job: dict[str, str | int] = {"study": self.study, "arm": name, "seed": seed}
        folder = f"{self.results}/finetune/{name}/seed{seed}"
        self._add(folder, "finetune", job, values, inputs, *(f"pretext/{t['kind']}" for t in tasks.values()))
        for dataset in self.params.test_on:
            self._add(
                f"{self.evaluated}/{dataset}/{name}/seed{seed}",
                "evaluate",
                {**job, "dataset": dataset},
                {"evaluate": _dump(self.params.evaluate)},
                {"model": folder, "crops": self.crops(dataset), "split": self.split(dataset)},
            )
        tested = {folder: folder for folder in self.evaluations_of(name, seed)}
        detail = {"detail": self.params.evaluate.detail}
        learnt_from = self.training_data() | {"model": folder, "card": self.card(self.params.train_on)}
        self._add(f"{self.results}/export/{name}/seed{seed}", "export_model", job, detail, learnt_from | tested)

    def recipe_file(self, folder: str) -> str:
        """Path of the recipe that the results in `folder` are to be made by."""
        return f".recipes/{folder}/{self.recipes[folder].key}.json"
