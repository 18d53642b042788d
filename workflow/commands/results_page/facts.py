"""Numbers and figures behind docs/results.md: committed copies of what `compare` wrote, renewed where results lie."""

import re
from pathlib import Path

import pandas as pd

from pipeline_steps.job.errors import UserError
from pipeline_steps.job.files import whole_file

TEXT = ("name", "value", "variation", "bound", "source_id", "subject")
"""Columns whose cells may look like numbers or be empty, and are text."""

ROOT = Path(__file__).resolve().parents[3]


def command(study: str, question: str = "") -> str:
    """The command that makes a study: the one at the head of its overlay, with this study's size."""
    name, _, size = study.partition("-")
    overlays = [path for stem in (name, question) if (path := ROOT / "studies" / f"{stem}.yaml").exists()]
    files = [f"studies/{path.name}" for path in overlays]
    text = overlays[-1].read_text("utf-8") if overlays else ""
    head = re.search(r"^# .*\bsnakemake --configfile .*$", text, re.MULTILINE)
    line, _, _ = (head[0].lstrip("# ") if head else "").partition(" --config ")
    if not all(file in line for file in files):
        line = " ".join(["snakemake", *(["--configfile", *files] if files else [])])
    asked = [f"question={question}"] if question and f"studies/{question}.yaml" not in line else []
    keys = [*asked, *([f"size={size}"] if size else [])]
    return " ".join([line or "snakemake", *(["--config", *keys] if keys else [])])


class Facts:
    """Tables and figures by study and question, from the folders docs/results and docs/figures.

    results: the workflow's results, from which the copies are renewed, one by one as they are asked for; without it,
    or without a finished comparison there, the copies are taken as they are.
    """

    def __init__(self, docs: Path, results: Path | None = None) -> None:
        self.docs = docs
        self.results = results
        self.used: set[Path] = set()

    def _renewed(self, copy: Path, study: str, question: str, name: str) -> Path:
        """The copy of one file of a comparison; UserError where there is neither it nor the file."""
        made = self.results and self.results / study / "compare" / question
        if made and (made / "recipe.json").exists() and (made / name).exists():
            content = (made / name).read_bytes()
            if not copy.exists() or copy.read_bytes() != content:
                with whole_file(copy) as temporary:
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
        file = f"{name}.csv"
        copy = self._renewed(self.docs / "results" / study / question / file, study, question, file)
        table = pd.read_csv(copy, dtype=dict.fromkeys(TEXT, str), keep_default_na=False, na_values=[""])
        return table.fillna({column: "" for column in TEXT if column in table})

    def figure(self, study: str, question: str, name: str) -> str:
        """Path, relative to docs, of one figure of a comparison, by its name without ending; never one with people."""
        if name.endswith("_faces"):
            raise UserError(f"figure {name}: shows people; photographs stay in results/, take another figure")
        copy = self.docs / "figures" / f"{'-'.join(filter(None, (study, question, name)))}.svg"
        return self._renewed(copy, study, question, f"figures/{name}.svg").relative_to(self.docs).as_posix()
