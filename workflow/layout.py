"""Where everything lies: folders and files of every job's results, relative to the working directory.

Everything else asks here: the plan, the rules, the commands, the Makefile and the test of dvc.yaml. Names may be
wildcards of Snakemake, as in `layout.finetuning("{arm}", "{seed}")`.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from pipeline_steps.job.recipe import RECIPE
from pipeline_steps.job.seal import SEAL

ROOT = Path(__file__).resolve().parent.parent
"""The repository."""
ARCHIVES = Path("data/archives")
"""Downloaded archives."""
RECIPES = ".recipes"
REPLACED = ".replaced"
RESULTS = "results"

FILES = {
    "acquire_dataset": (),
    "crop_faces": ("crops.h5", "rejected.csv"),
    "split_dataset": ("split.json",),
    "describe_dataset": ("card.html", "card.json", "contact_sheet.jpg"),
    "pretrain": ("encoder.safetensors", "history.csv", "run.json"),
    "finetune": ("model.safetensors", "history.csv", "run.json"),
    "evaluate": ("metrics.json", "predictions.parquet"),
    "export_model": (
        *("model.onnx", "model_int8.onnx", "model.pt2", "model.safetensors"),
        *("export.json", "README.md"),
    ),
    "compare": (
        *("table.md", "table.csv", "costs.csv", "metrics.json", "design.json", "worst.csv", "error_by_yaw.csv"),
        *("cumulative_error.csv", "training_curves.csv", "figures/training_curves.svg"),
    ),
    "write_report": ("report.html",),
}
"""Files that every job of a step writes, besides its recipe and seal; `comparison_files` names what only some have."""


def outputs(step: str, folder: str, more: Iterable[str] = ()) -> list[str]:
    """Paths of all files in the folder of one of the step's jobs, the seal last; more: names of further files."""
    return [f"{folder}/{name}" for name in (*FILES[step], *more, RECIPE, SEAL)]


def seal(folder: str) -> str:
    """Path of the seal of the results in a folder."""
    return f"{folder}/{SEAL}"


def raw(dataset: str) -> str:
    """Folder of a data set's raw files."""
    return f"data/raw/{dataset}"


def crops(dataset: str, size: int | str) -> str:
    """Folder of a data set's crops; size: in pixels."""
    return f"data/crops/{dataset}-{size}px"


def split(dataset: str, size: int | str) -> str:
    """Folder of a data set's split."""
    return f"data/splits/{dataset}-{size}px"


def card(dataset: str, size: int | str) -> str:
    """Folder of a data set's card."""
    return f"data/cards/{dataset}-{size}px"


def comparison_files(datasets: Iterable[str], has_pretrainings: bool, has_label_curves: bool) -> list[str]:
    """Names of the files that a comparison writes depending on what it compares; datasets: those tested on."""
    names = [f"figures/{d}_{figure}.svg" for d in datasets for figure in ("error_by_yaw", "cumulative_error", "faces")]
    if has_pretrainings:
        names += ["probes.csv", "figures/pretraining_probe.svg"]
    if has_label_curves:
        names += ["label_curve.csv", "labels_saved.csv", *(f"figures/{d}_label_curve.svg" for d in datasets)]
    return names


@dataclass(frozen=True)
class StudyLayout:
    """Folders of one study at one size."""

    study: str
    size: str

    @property
    def name(self) -> str:
        """What the study at this size is called in logs and in MLflow."""
        return self.study if self.size == "default" else f"{self.study}-{self.size}"

    @property
    def folder(self) -> str:
        """Folder of all its results."""
        return f"{RESULTS}/{self.study}/{self.size}"

    @property
    def pretrainings(self) -> str:
        """Folder of all pre-trainings."""
        return f"{self.folder}/pretrain"

    def pretraining(self, pretext: str, seed: int | str) -> str:
        """Folder of a pre-training."""
        return f"{self.pretrainings}/{pretext}/seed{seed}"

    def finetuning(self, arm: str, seed: int | str) -> str:
        """Folder of a fine-tuning."""
        return f"{self.folder}/finetune/{arm}/seed{seed}"

    def evaluation(self, kind: str, dataset: str, arm: str, seed: int | str) -> str:
        """Folder of an evaluation; kind: `Evaluation.name`."""
        return f"{self.folder}/evaluate/{kind}/{dataset}/{arm}/seed{seed}"

    def export(self, arm: str, seed: int | str) -> str:
        """Folder of an exported model."""
        return f"{self.folder}/export/{arm}/seed{seed}"

    def comparison(self, question: str | None) -> str:
        """Folder of a comparison; a study without questions has one."""
        return "/".join(filter(None, [self.folder, "compare", question]))

    def report(self, question: str | None) -> str:
        """Folder of the page on a comparison."""
        return "/".join(filter(None, [self.folder, "report", question]))


def recipe(folder: str, fingerprint: str) -> str:
    """Where the workflow writes the recipe of the job whose results belong in a folder."""
    return f"{RECIPES}/{folder}/{fingerprint}.json"


def replaced(folder: str | Path, fingerprint: str) -> Path:
    """Where results of a folder are kept, once they are replaced by those of another recipe."""
    return Path(REPLACED, folder, fingerprint)


def checkpoints(fingerprint: str) -> str:
    """Folder of an unfinished training: one whose recipe differs never finds another's checkpoint."""
    return f"checkpoints/{fingerprint}"


def finished_trainings() -> list[Path]:
    """Seals of all trainings of all studies that lie here."""
    return [path for step in ("pretrain", "finetune") for path in sorted(Path(RESULTS).glob(f"*/*/{step}/*/*/{SEAL}"))]


def log(step: str, *names: str | int | None) -> str:
    """Path of a job's log; names: study, data set, arm and so on."""
    return f"logs/{step}/{'-'.join(str(name) for name in names if name is not None)}.log"
