"""Speed, side by side in one run: python -m benchmarks [NAME...].

Every part writes results/bench/NAME.json; the table of all parts measured so far is printed and, once there are all
of one machine and torch, written into docs/speed.md as well.
"""

import importlib
import json
import logging
from pathlib import Path
from typing import Annotated

import pandas as pd
import torch
from typer import Argument, Option

from benchmarks.measure import CORES, DEVICE, device_name
from pipeline_steps.job.command_line import main
from pipeline_steps.job.errors import UserError
from pipeline_steps.job.files import write_json, write_table
from pipeline_steps.job.processor import use_processor

PARTS = ("rendering", "cropping", "reading", "training", "prediction", "scale", "workflow")
PAGE = Path(__file__).parent.parent / "docs" / "speed.md"


def table(folder: Path) -> str:
    """The rows of all parts, one under the other, as Markdown."""
    paths = [path for name in PARTS if (path := folder / f"{name}.json").exists()]
    rows = [row for path in paths for row in json.loads(path.read_text())["rows"]]
    columns = ["what", "ours", "against", "theirs", "unit", "ratio", "reach"]
    return str(pd.DataFrame(rows, columns=columns).to_markdown(index=False))


def is_whole(folder: Path) -> bool:
    """Whether all parts are there, measured on one machine by one torch, as the page says of its table."""
    found = [json.loads(path.read_text()) for name in PARTS if (path := folder / f"{name}.json").exists()]
    return len(found) == len(PARTS) and len({(on["device"], on["cores"], on["torch"]) for on in found}) == 1


def write_page(found: str) -> None:
    """Put a table, and what it was measured on, into the page."""
    on = f"{CORES} CPU cores" if DEVICE == "cpu" else device_name()
    write_table(PAGE, "make bench", f"Measured on {on}, torch {torch.__version__}.\n\n{found}\n")


def bench(
    parts: Annotated[list[str] | None, Argument(help=f"of {', '.join(PARTS)}; all by default")] = None,
    output: Annotated[Path, Option(help="folder for the figures")] = Path("results/bench"),
) -> None:
    """Measure, and say what came out."""
    if unknown := set(parts or PARTS) - set(PARTS):
        raise UserError(f"{min(unknown)}: no such benchmark; there are {', '.join(PARTS)}")
    logging.disable(logging.WARNING)
    for name in parts or PARTS:
        use_processor(CORES)
        rows = importlib.import_module(f"benchmarks.{name}").measure()
        on = {"device": device_name(), "cores": CORES, "torch": torch.__version__}
        write_json(output / f"{name}.json", {**on, "rows": [row.record() for row in rows]})
        print(table(output), flush=True)
    if is_whole(output):
        write_page(table(output))


if __name__ == "__main__":
    main(bench)
