"""Writes docs/results.md from its template and the results that lie here: python -m workflow.results_page."""

import sys

from pipeline_steps.errors import UserError
from workflow.results_page.facts import ROOT
from workflow.results_page.page import write_page

if __name__ == "__main__":
    try:
        write_page(ROOT / "docs", ROOT / "results")
    except UserError as error:
        sys.exit(f"error: {error}")
