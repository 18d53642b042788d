"""A small study in a folder of its own, to be disturbed, and compared with another that was left alone."""

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

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Start snakemake in a process group of its own; what it says is appended to the log."""
        command = [sys.executable, "-m", "snakemake", "--cores", "2", "--directory", str(self.folder)]
        command += ["--snakefile", str(ROOT / "Snakefile"), *arguments, "--configfile", str(STUDY)]
        environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
        with self.log.open("ab") as said:
            return subprocess.Popen(
                command, cwd=ROOT, env=environment, stdout=said, stderr=said, start_new_session=True
            )

    def run(self, *arguments: str) -> None:
        """Run snakemake to its end."""
        if self.start(*arguments).wait():
            raise UserError(f"snakemake failed:\n{self.said()[-2000:]}")

    def said(self) -> str:
        """All that snakemake and the steps have said."""
        return self.log.read_text(errors="replace")

    def epochs(self) -> int:
        """How many epochs of training have been run to their end."""
        return len(re.findall(r"images/s", self.said()))

    def steps(self) -> list[psutil.Process]:
        """Processes that run a step for this folder."""
        found = []
        for process in psutil.process_iter(["cmdline", "cwd"]):
            words = process.info["cmdline"] or []
            if process.info["cwd"] == str(self.folder) and any(word.startswith("pipeline_steps.") for word in words):
                found.append(process)
        return found

    def begin_anew(self) -> None:
        """Empty the folder; the log goes on."""
        shutil.rmtree(self.folder)
        self.folder.mkdir()

    def wait_for_steps(self) -> None:
        """Return once no step is at work, also none that has outlived its snakemake."""
        psutil.wait_procs(self.steps())

    def digests(self) -> dict[str, str]:
        """Everything in which two runs must agree, by name: crops, weights, histories, predictions, tables."""
        found = {}
        for path in sorted(p for top in ("data/crops", "results") for p in (self.folder / top).rglob("*.*")):
            name = str(path.relative_to(self.folder))
            if path.name == "history.csv":
                found[name] = pd.read_csv(path).drop(columns=list(TIMES)).to_csv()
            elif path.suffix in (".h5", ".safetensors", ".parquet") or path.name == "table.csv":
                found[name] = sha256(path)
        return found


def names_of(steps: Sequence[psutil.Process]) -> list[str]:
    """Which steps these processes are, sorted."""
    return sorted(
        word.removeprefix("pipeline_steps.")
        for step in steps
        for word in step.info["cmdline"]
        if word.startswith("pipeline_steps.")
    )


def require_equal(alone: World, disturbed: World) -> int:
    """The number of files compared; raise UserError where any differs."""
    expected, found = alone.digests(), disturbed.digests()
    if differ := {path for path in expected.keys() | found.keys() if expected.get(path) != found.get(path)}:
        raise UserError(
            f"of what the study makes, these differ in {alone.folder} and {disturbed.folder}; look there for the first "
            f"cause: {', '.join(sorted(differ))}"
        )
    return len(expected)
