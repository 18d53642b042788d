"""Renders pages of docs/ from templates, whose prose calls for tables, figures and numbers by study and question."""

from pathlib import Path

from jinja2 import Environment, StrictUndefined

from pipeline_steps.evaluation.sheets import as_markdown
from pipeline_steps.job.files import write_table, write_text
from workflow.commands.results_page import blocks
from workflow.commands.results_page.facts import Facts, command

SUMMARY = "summary.j2"


class Blocks:
    """What a template can call: every block takes a study, such as biwi/base, and a question, '' for none."""

    def __init__(self, facts: Facts) -> None:
        self.facts = facts
        self.has = facts.has
        self.command = command

    def table(self, study: str, question: str = "", dataset: str | None = None) -> str:
        """Errors of all arms, on one test set or all."""
        table = self.facts.table(study, question, "table")
        return as_markdown(table if dataset is None else table[table["dataset"] == dataset]).rstrip()

    def errors(self, study: str, question: str = "") -> str:
        """Errors of all arms in few columns."""
        return blocks.errors(self.facts.table(study, question, "table"))

    def mae(self, study: str, question: str, arm: str, dataset: str = "biwi") -> str:
        """An arm's error within a sentence, in degrees."""
        return blocks.mae(self.facts.table(study, question, "table"), dataset, arm)

    def reduction(self, study: str, question: str, arm: str, dataset: str = "biwi", baseline: str = "") -> str:
        """An arm's error reduction within a sentence, its interval and its verdict; baseline: '' for the first."""
        return blocks.reduction(self.facts.table(study, question, "table"), dataset, arm, baseline)

    def labels_needed(self, study: str, question: str, arm: str, curve: str, dataset: str = "biwi") -> str:
        """An arm's labels, within a sentence, for the baseline's error with all of its."""
        return blocks.labels_needed(self.facts.table(study, question, "labels_saved"), dataset, curve, arm)

    def design(self, study: str, question: str = "") -> str:
        """Data, seeds, schedules, arms."""
        return blocks.design(self.facts.design(study, question))

    def probes(self, study: str, question: str = "") -> str:
        """How much the pre-trainings learn of the pose."""
        return blocks.probes(self.facts.table(study, question, "probes"))

    def costs(self, study: str, question: str = "") -> str:
        """Images seen and minutes."""
        return blocks.costs(self.facts.table(study, question, "costs"))

    def label_curve(self, study: str, question: str = "") -> str:
        """Error by number of labels."""
        return blocks.label_curve(self.facts.table(study, question, "label_curve"))

    def labels_saved(self, study: str, question: str = "") -> str:
        """Labels for the same error."""
        return blocks.labels_saved(self.facts.table(study, question, "labels_saved"))

    def worst(self, study: str, question: str = "", number: int = 5) -> str:
        """Images with the largest errors."""
        return blocks.worst(self.facts.table(study, question, "worst"), number)

    def figure(self, study: str, question: str, name: str, caption: str) -> str:
        """A figure of the comparison, by its name without ending."""
        return f"![{caption}]({self.facts.figure(study, question, name)})"


def render(template: str, facts: Facts) -> str:
    """The page; UserError where the template asks for a study that has not been run."""
    of = Blocks(facts)
    environment = Environment(
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    functions = {name: getattr(of, name) for name in dir(of) if not name.startswith("_") and name != "facts"}
    return environment.from_string(template).render(functions)


def write_pages(root: Path, results: Path | None) -> None:
    """Write every page of docs/ that has a template (x.md from x.md.j2), and README.md's table from docs/summary.j2.

    root: of the repository; results: where numbers are renewed from first.
    """
    docs = root / "docs"
    facts = Facts(docs, results)
    pages = {template.with_suffix(""): render(template.read_text("utf-8"), facts) for template in docs.glob("*.md.j2")}
    summary = render((docs / SUMMARY).read_text("utf-8"), facts)
    for path, page in pages.items():
        write_text(path, page)
    write_table(root / "README.md", "make results", summary)
