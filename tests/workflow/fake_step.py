"""What a faked step does; it imports little, so that it takes half a second."""

import os
import shutil
import signal
import sys
import time
from pathlib import Path

from pipeline_steps.job.errors import UserError
from pipeline_steps.job.recipe import read_recipe
from pipeline_steps.job.seal import Inputs, seal, unseal
from workflow.layout import FILES


def work(source: str, step: str, arguments: list[str]) -> None:
    """Do a step's job: equal files, under the recipe that was asked for."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # the job's shell ignores it
    Path(f"{step}.begun").touch()
    start = time.time()
    given = dict(zip(arguments[::2], arguments[1::2], strict=False))
    output, recipe = Path(given["--output"]), read_recipe(Path(given["--recipe"]))
    read = [Path(given[option]) for option in ("--crops", "--split", "--model", "--raw") if option in given]
    for path in read:
        if not path.exists():
            sys.exit(f"error: {path}: missing")
    try:
        inputs = Inputs(Path(given["--recipe"]), *(path / "seal.json" if path.is_dir() else path for path in read))
        unseal(output)
    except UserError as error:
        sys.exit(f"error: {error}")
    if step == "export_model":
        output.mkdir(parents=True, exist_ok=True)
        for name in FILES[step]:
            (output / name).touch()
    else:
        made = Path(source, *_counterpart(output.parts))
        shutil.copytree(made, output, dirs_exist_ok=True, ignore=shutil.ignore_patterns("seal.json", "recipe.json"))
    time.sleep(float(os.environ.get("FAKE_SECONDS", "0")))
    seal(recipe, output, inputs)
    with Path("steps.csv").open("a") as notes:
        notes.write(f"{step},{output},{start},{time.time()}\n")


def _counterpart(parts: tuple[str, ...]) -> tuple[str, ...]:
    """The folder of a job of the same step in the finished study, which has one data set and four arms."""
    if parts[0] == "data":
        return ("data", parts[1], "rendered" if parts[1] == "raw" else "rendered-32px")
    names = {"finetune": ("baseline", "seed0"), "pretrain": ("rotation", "seed0")}
    names["evaluate"] = ("test", "rendered", "baseline", "seed0")
    return ("results", "tiny", "default", parts[3], *names.get(parts[3], ()))
