"""SIGKILL at random moments of a study, against the same study left alone: python -m drills [--kills N] [--seed N].

What is killed is drawn each time: `everything` (snakemake and its steps at once, as when the power fails), `step` (the
steps alone, as when memory runs out), or `snakemake` (alone: its steps live on while the next one starts).
"""

import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from tempfile import mkdtemp
from typing import Annotated

import pandas as pd
import psutil
from typer import Option

from pipeline_steps.errors import UserError
from pipeline_steps.files import sha256, whole_file
from pipeline_steps.step import main

ROOT = Path(__file__).resolve().parent.parent
STUDY = ROOT / "drills" / "study.yaml"
VICTIMS = ("everything", "step", "snakemake")
PAUSE_SECONDS = (3.0, 25.0)
"""From a start to its kill; the first step of a start begins its work after ten seconds or so."""
TIMES = ("seconds", "images_per_second")
"""Columns of a training's history that differ from run to run."""


class World:
    """One run of the drill's study, in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True)

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Start snakemake in a process group of its own; what it says is appended to said.log."""
        command = [sys.executable, "-m", "snakemake", "--cores", "2", "--directory", str(self.folder)]
        command += ["--snakefile", str(ROOT / "Snakefile"), *arguments, "--configfile", str(STUDY)]
        environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
        with (self.folder / "said.log").open("ab") as said:
            return subprocess.Popen(
                command, cwd=ROOT, env=environment, stdout=said, stderr=said, start_new_session=True
            )

    def run(self, *arguments: str) -> None:
        """Run snakemake to its end."""
        if self.start(*arguments).wait():
            raise UserError(f"snakemake failed:\n{self.said()[-2000:]}")

    def said(self) -> str:
        """All that snakemake and the steps have said."""
        return (self.folder / "said.log").read_text(errors="replace")

    def steps(self) -> list[psutil.Process]:
        """Processes that run a step for this folder."""
        found = []
        for process in psutil.process_iter(["cmdline", "cwd"]):
            words = process.info["cmdline"] or []
            if process.info["cwd"] == str(self.folder) and any(word.startswith("pipeline_steps.") for word in words):
                found.append(process)
        return found

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


def kill(world: World, victim: str, process: subprocess.Popen[bytes]) -> Counter[str]:
    """Kill, and say which steps were at work."""
    steps = world.steps()
    modules = Counter(
        word.removeprefix("pipeline_steps.")
        for step in steps
        for word in step.info["cmdline"]
        if "pipeline_steps." in word
    )
    if victim == "step":
        for step in steps:
            step.kill()
    elif victim == "everything":
        os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()
    return modules


def killed(world: World, kills: int, chance: random.Random) -> pd.DataFrame:
    """Start the study again and again, and kill it; a row for every kill that hit a step, until the study is done."""
    rows: list[dict[str, str | float]] = []
    while len(rows) < kills:
        victim, pause = chance.choice(VICTIMS), chance.uniform(*PAUSE_SECONDS)
        process = world.start()
        try:
            if process.wait(pause):
                raise UserError(f"snakemake failed by itself after {len(rows)} kills:\n{world.said()[-2000:]}")
            return pd.DataFrame(rows)
        except subprocess.TimeoutExpired:
            if modules := kill(world, victim, process):
                rows.append(
                    {"killed": victim, "after_seconds": round(pause, 1), "steps": " ".join(sorted(modules.elements()))}
                )
                print(f"{len(rows)}/{kills} {rows[-1]}", flush=True)
        process.wait()
        world.run("--unlock")
    return pd.DataFrame(rows)


def report(rows: pd.DataFrame, epochs: tuple[int, int], seconds: tuple[float, float], compared: int) -> str:
    """The outcome in words and a table."""
    steps = sorted({step for steps in rows["steps"] for step in steps.split()})
    table = pd.DataFrame(
        {
            victim: {
                step: sum(step in steps.split() for steps in rows["steps"][rows["killed"] == victim]) for step in steps
            }
            for victim in VICTIMS
        }
    )
    table.index.name = "at work when killed"
    counted = ", ".join(f"{(rows['killed'] == victim).sum()} times {victim}" for victim in VICTIMS)
    again, longer = epochs[1] - epochs[0], seconds[1] / seconds[0]
    return f"""# Kills at random moments

`make drill` wrote this page. One study, {epochs[0]} epochs of training, was started and killed by SIGKILL {len(rows)}
times ({counted}); then it ran to its end.
All {compared} files compared (crops, weights, histories without their times, predictions, tables) equal those of
the same study left alone, to the bit. It took {longer:.1f} times as long, with {len(rows)} more starts and {again}
more epochs.

{table.to_markdown()}

`everything`: snakemake and its steps at once, as when the power fails. `step`: the steps alone, as when memory runs
out. `snakemake`: alone; its steps live on, beside those of the next start.
"""


def drill(
    kills: Annotated[int, Option(min=1, help="how often to kill")] = 24,
    seed: Annotated[int, Option(help="of the moments and what is killed")] = 0,
    output: Annotated[Path, Option(help="page to write")] = Path("docs/drill.md"),
) -> None:
    """Kill a study at random moments, and compare what came out with the same study left alone."""
    folder = Path(mkdtemp(prefix="drill-")).resolve()
    alone, disturbed = World(folder / "alone"), World(folder / "killed")
    start = time.perf_counter()
    alone.run()
    between = time.perf_counter()
    rows = killed(disturbed, kills, random.Random(seed))
    if len(rows) < kills:
        disturbed.wait_for_steps()
        raise UserError(f"{STUDY}: done after {len(rows)} kills of {kills}; give it more seeds or epochs")
    disturbed.run()
    disturbed.wait_for_steps()
    seconds = between - start, time.perf_counter() - between
    expected, found = alone.digests(), disturbed.digests()
    if differ := {path for path in expected.keys() | found.keys() if expected.get(path) != found.get(path)}:
        raise UserError(
            f"{folder}: of what the study makes, these differ in alone and killed; look there for the first cause: "
            + ", ".join(sorted(differ))
        )
    epochs = [len(re.findall(r"images/s", world.said())) for world in (alone, disturbed)]
    page = report(rows, (epochs[0], epochs[1]), seconds, len(expected))
    shutil.rmtree(folder)
    with whole_file(output) as temporary:
        temporary.write_text(page, encoding="utf-8")
    print(page)


if __name__ == "__main__":
    main(drill)
