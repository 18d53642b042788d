"""What the workflow costs beside the trainings that it runs: the default study from nothing, and with nothing to do."""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pandas as pd

from benchmarks.measure import CORES, Row

ROOT = Path(__file__).resolve().parent.parent


def _seconds(folder: Path, *command: str) -> float:
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    start = time.perf_counter()
    subprocess.run([sys.executable, *command], cwd=folder, env=environment, check=True, capture_output=True)
    return time.perf_counter() - start


def measure() -> list[Row]:
    """A whole run of the default study takes as long as `make reproduce`."""
    snakemake = ("-m", "snakemake", "--cores", str(CORES), "--snakefile", str(ROOT / "Snakefile"), "--directory")
    with tempfile.TemporaryDirectory() as name:
        whole, again = (_seconds(ROOT, *snakemake, name) for _ in range(2))
        training = sum(pd.read_csv(path)["seconds"].sum() for path in Path(name, "results").rglob("history.csv"))
        importing = _seconds(ROOT, "-c", "import snakemake.cli")
    return [
        Row("the default study", whole, "its trainings alone, one after the other", training, "s", "<= 1.15"),
        Row("the default study", whole, f"its trainings alone, spread over {CORES} cores", training / CORES, "s"),
        Row("snakemake with nothing to do", again, "importing Snakemake", importing, "s", "ours <= 5 s"),
    ]
