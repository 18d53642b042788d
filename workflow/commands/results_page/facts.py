"""Numbers and figures behind docs/results.md: committed copies of files of `compare`, renewed from the results here."""

from functools import cache
from pathlib import Path

import pandas as pd

from pipeline_steps.evaluation.design import Design, read_design
from pipeline_steps.evaluation.reading import read_table
from pipeline_steps.job.errors import UserError
from pipeline_steps.job.files import atomic_write
from pipeline_steps.job.seal import SEAL
from workflow.commands.results_page.outdated import outdated
from workflow.params import Params, load_params

ROOT = Path(__file__).resolve().parents[3]
DESIGN = "design.json"


def command(study: str, question: str = "") -> str:
    """The command that answers a question of a study; study: its name and size, as in biwi/small."""
    files, chosen = _files(study), _chosen(study, question)
    config = [f"{key}={value}" for key, value in chosen.items()]
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


def _files(study: str) -> list[Path]:
    """The file of a study, relative to the repository; none of the default study, whose file is params.yaml."""
    file = Path("studies", f"{study.partition('/')[0]}.yaml")
    return [file] if (ROOT / file).exists() else []


def _chosen(study: str, question: str) -> dict[str, str]:
    """Size and question as `snakemake --config` is given them, without those that go without saying."""
    size = study.partition("/")[2]
    chosen = {"question": question, "size": "" if size == "default" else size}
    return {key: value for key, value in chosen.items() if value}


@cache
def _asked(study: str, question: str) -> Params | None:
    """Parameters of a study of this repository, at its size and for a question; None for any other study."""
    files = [ROOT / path for path in _files(study)]
    if load_params(files).study != study.partition("/")[0]:
        return None
    return load_params(files, _chosen(study, question))


class Facts:
    """Tables and figures by study and question, from the folders docs/results and docs/figures.

    results: the workflow's results, from which each copy is renewed when it is read; without them, or without a
    finished comparison with the trainings that the study asks for today among them, the copies stay as they are.
    """

    def __init__(self, docs: Path, results: Path | None = None) -> None:
        self.docs = docs
        self.results = results
        self.used: set[Path] = set()

    def _renewed(self, copy: Path, study: str, question: str, name: str) -> Path:
        """The copy of one file of a comparison; UserError where both it and the file are missing."""
        made = self.results and self.results / study / "compare" / question
        sealed, asked = made and (made / SEAL).exists() and (made / name).exists(), _asked(study, question)
        if made and sealed and not (asked and outdated(read_design(made / DESIGN), asked)):
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
            self._numbers(study, question, "table.csv")
        except UserError:
            return False
        return True

    def table(self, study: str, question: str, name: str) -> pd.DataFrame:
        """One CSV file of a comparison, by its name without ending; UserError where the study has changed since."""
        path = self._numbers(study, question, f"{name}.csv")
        self._check(study, question)
        return read_table(path)

    def design(self, study: str, question: str) -> Design:
        """Parameters and facts of the trainings that were compared."""
        return read_design(self._numbers(study, question, DESIGN))

    def _check(self, study: str, question: str) -> None:
        """Raise UserError where a study has changed since the comparison was made whose numbers are kept here."""
        asked = _asked(study, question)
        if asked and (changed := outdated(self.design(study, question), asked)):
            more = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
            raise UserError(
                f"{self.docs / 'results' / study / question}: the study has changed since ({changed[0]}{more}); "
                f"make it again by: {command(study, question)}"
            )

    def _numbers(self, study: str, question: str, file: str) -> Path:
        return self._renewed(self.docs / "results" / study / question / file, study, question, file)

    def figure(self, study: str, question: str, name: str) -> str:
        """Path, relative to docs, of one figure of a comparison, by its name without ending; never one with faces."""
        if name.endswith("_faces"):
            raise UserError(f"figure {name}: shows people; photographs stay in results/, take another figure")
        copy = self.docs / "figures" / study / question / f"{name}.svg"
        return self._renewed(copy, study, question, f"figures/{name}.svg").relative_to(self.docs).as_posix()
