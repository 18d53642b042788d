"""Writes docs/results.md, docs/findings.md and README.md's table from their templates and the results that lie here.

Then the list of studies, studies/README.md, which says where each question is answered.
"""

from pipeline_steps.job.command_line import main
from workflow.commands.results_page.facts import ROOT
from workflow.commands.results_page.page import write_pages
from workflow.studies import write_readme


def write_all() -> None:
    """Write all pages, from numbers renewed from `results`."""
    write_pages(ROOT, ROOT / "results")
    write_readme()


if __name__ == "__main__":
    main(write_all)
