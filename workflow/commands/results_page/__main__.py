"""Writes docs/results.md, docs/findings.md and README.md's table from their templates and the results that lie here."""

from pipeline_steps.job.command_line import main
from workflow.commands.results_page.facts import ROOT
from workflow.commands.results_page.page import write_pages

if __name__ == "__main__":
    main(lambda: write_pages(ROOT, ROOT / "results"))
