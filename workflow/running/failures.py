"""Why jobs failed, as the last thing that Snakemake says."""

import atexit
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pipeline_steps.job.signals import MESSAGE


def say_last(failed: Iterable[Any]) -> None:
    """Print, when Snakemake ends, one line for every failed job: what its step said, or where its log is."""
    lines = dict.fromkeys(reason(job.rule.name, Path(log)) for job in failed for log in job.log)
    if lines:
        atexit.register(print, *lines, sep="\n", file=sys.stderr)


def reason(rule: str, log: Path) -> str:
    """The step's own line that says what to do, with its log; where it said none, where to look."""
    said = log.read_text("utf-8", errors="replace").splitlines() if log.exists() else []
    clear = [line for line in said if line.startswith(("error: ", MESSAGE.rstrip()))]
    if clear:
        return f"{clear[-1]} ({rule}, {log})"
    last = f", which ends in: {said[-1].strip()}" if said and said[-1].strip() else ""
    return f"error: {rule} failed; see its log, {log}{last}"
