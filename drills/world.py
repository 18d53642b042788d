"""A small study in a folder of its own, to be disturbed or to be compared with."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import psutil

from pipeline_steps.job.errors import UserError
from pipeline_steps.job.files import sha256

ROOT = Path(__file__).resolve().parent.parent
STUDY = ROOT / "drills" / "study.yaml"
TIMES = ("seconds", "images_per_second")
"""Columns of a training's history that differ from run to run."""


class World:
    """One run of the drill's study, in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = folder.with_name(f"{folder.name}.log")
        folder.mkdir(parents=True)

    def start(self) -> subprocess.Popen[bytes]:
        """Start snakemake in a process group of its own; its output is appended to the log."""
        command = [sys.executable, "-m", "snakemake", "--cores", "2", "--directory", str(self.folder)]
        command += ["--snakefile", str(ROOT / "Snakefile"), "--configfile", str(STUDY)]
        environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
        with self.log.open("ab") as log:
            return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log, start_new_session=True)

    def run(self) -> None:
        """Run snakemake until it ends; UserError where it fails."""
        if self.start().wait():
            raise UserError(f"snakemake failed:\n{self.output()[-2000:]}")

    def output(self) -> str:
        """All output of snakemake and the steps so far."""
        return self.log.read_text(errors="replace")

    def epochs(self) -> int:
        """How many epochs of training have been completed."""
        return len(re.findall(r"images/s", self.output()))

    def steps(self) -> list[psutil.Process]:
        """Processes that run a step in this folder."""
        found = []
        for process in psutil.process_iter(["cmdline", "cwd"]):
            words = process.info["cmdline"] or []
            if process.info["cwd"] == str(self.folder) and any(word.startswith("pipeline_steps.") for word in words):
                found.append(process)
        return found

    def start_from_scratch(self) -> None:
        """Empty the folder; the log is kept."""
        shutil.rmtree(self.folder)
        self.folder.mkdir()

    def wait_for_steps(self) -> None:
        """Return once no step is running, including those that have outlived their snakemake."""
        psutil.wait_procs(self.steps())

    def contents(self) -> dict[str, str]:
        """The content in which two runs must agree, by file: crops, weights, histories, predictions, tables."""
        found = {}
        for path in sorted(p for top in ("data/crops", "results") for p in (self.folder / top).rglob("*.*")):
            name = str(path.relative_to(self.folder))
            if path.name == "history.csv":
                found[name] = pd.read_csv(path).drop(columns=list(TIMES)).to_csv()
            elif path.suffix in (".h5", ".safetensors", ".parquet") or path.name == "table.csv":
                found[name] = sha256(path)
        return found


def names_of(steps: Sequence[psutil.Process]) -> list[str]:
    """The steps that these processes run, sorted."""
    return sorted(
        word.removeprefix("pipeline_steps.")
        for step in steps
        for word in step.info["cmdline"]
        if word.startswith("pipeline_steps.")
    )


def require_equal(alone: World, disturbed: World) -> int:
    """The number of files compared; raise UserError where any differs."""
    expected, found = alone.contents(), disturbed.contents()
    if differ := {path for path in expected.keys() | found.keys() if expected.get(path) != found.get(path)}:
        raise UserError(
            f"these results differ in {alone.folder} and {disturbed.folder}; look there for the first cause: "
            f"{', '.join(sorted(differ))}"
        )
    return len(expected)
