"""The folder that Snakemake runs in."""

import os
from pathlib import Path

from pipeline_steps.job.errors import UserError


def require_writable() -> None:
    """Raise UserError where the working directory is read-only: Snakemake writes to it even in a dry run."""
    for folder in (Path(), Path(".snakemake")):
        if folder.exists() and not os.access(folder, os.W_OK):
            raise UserError(
                f"{folder.absolute()}: you may not write there, and Snakemake has to, even in a dry run; to see what "
                "would run, use: python -m workflow.why"
            )
