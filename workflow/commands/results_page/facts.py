"""Numbers and figures behind docs/results.md: committed copies of files of `compare`, renewed from the results here."""

from pathlib import Path

import pandas as pd

from pipeline_steps.evaluation.design import Design, read_design
from pipeline_steps.evaluation.reading import read_table
from pipeline_steps.job.errors import UserError
from pipeline_steps.job.files import atomic_write
from pipeline_steps.job.seal import SEAL
from workflow.params import load_params

ROOT = Path(__file__).resolve().parents[3]


def command(study: str, question: str = "") -> str:
    """The command that answers a question of a study; study: its name and size, as in biwi/small."""
    name, _, size = study.partition("/")
    file = Path("studies", f"{name}.yaml")
    files = [file] if (ROOT / file).exists() else []
    chosen = {"question": question, "size": "" if size == "default" else size}
    config = [f"{key}={value}" for key, value in chosen.items() if value]
    datasets = load_params([ROOT / path for path in files]).datasets.values()
    archives = any(dataset.archive or dataset.otherwise for dataset in datasets)
    return " ".join(
        [
            *(["HEADPOSE_REAL_DATA=FOLDER"] if archives else []),
            "snakemake",
            *(["--configfile", *map(str, files)] if files else []),
            *(["--config", *config] if config else []),
        ]
    )


class Facts:
    """Tables and figures by study and question, from the folders docs/results and docs/figures.

    results: the workflow's results, from which each copy is renewed when it is read; without them, or without a
    finished comparison among them, the copies stay as they are.
    """

    def __init__(self, docs: Path, results: Path | None = None) -> None:
        self.docs = docs
        self.results = results
        self.used: set[Path] = set()

    def _renewed(self, copy: Path, study: str, question: str, name: str) -> Path:
        """The copy of one file of a comparison; UserError where both it and the file are missing."""
        made = self.results and self.results / study / "compare" / question
        if made and (made / SEAL).exists() and (made / name).exists():
            content = (made / name).read_bytes()
            if not copy.exists() or copy.read_bytes() != content:
                with atomic_write(copy) as temporary:
                    temporary.write_bytes(content)
        if not copy.exists():
            raise UserError(f"{copy}: missing; make it by: {command(study, question)}")
        self.used.add(copy)
        return copy

    def has(self, study: str, question: str = "") -> bool:
        """Whether the comparison is there."""
        try:
            self.table(study, question, "table")
        except UserError:
            return False
        return True

    def table(self, study: str, question: str, name: str) -> pd.DataFrame:
        """One CSV file of a comparison, by its name without ending."""
        return read_table(self._numbers(study, question, f"{name}.csv"))

    def design(self, study: str, question: str) -> Design:
        """Parameters and facts of the trainings that were compared."""
        return read_design(self._numbers(study, question, "design.json"))

    def _numbers(self, study: str, question: str, file: str) -> Path:
        return self._renewed(self.docs / "results" / study / question / file, study, question, file)

    def figure(self, study: str, question: str, name: str) -> str:
        """Path, relative to docs, of one figure of a comparison, by its name without ending; never one with faces."""
        if name.endswith("_faces"):
            raise UserError(f"figure {name}: shows people; photographs stay in results/, take another figure")
        copy = self.docs / "figures" / study / question / f"{name}.svg"
        return self._renewed(copy, study, question, f"figures/{name}.svg").relative_to(self.docs).as_posix()
