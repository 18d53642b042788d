"""Writes docs/results.md and docs/findings.md from their templates and the results that lie here."""

import sys

from pipeline_steps.errors import UserError
from workflow.results_page.facts import ROOT
from workflow.results_page.page import write_pages

if __name__ == "__main__":
    try:
        write_pages(ROOT / "docs", ROOT / "results")
    except UserError as error:
        sys.exit(f"error: {error}")
