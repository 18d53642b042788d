"""Speed, side by side in one run: python -m benchmarks [NAME...].

Every part writes results/bench/NAME.json; the table of all parts measured so far is printed.
"""

import importlib
import json
import logging
from pathlib import Path
from typing import Annotated

import pandas as pd
import torch
from typer import Argument, Option

from benchmarks.measure import CORES, device_name
from pipeline_steps.errors import UserError
from pipeline_steps.files import write_json
from pipeline_steps.step import main

PARTS = ("rendering", "cropping", "reading", "training", "prediction", "scale", "workflow")


def table(folder: Path) -> pd.DataFrame:
    """The rows of all parts, one under the other."""
    rows = [row for path in sorted(folder.glob("*.json")) for row in json.loads(path.read_text())["rows"]]
    return pd.DataFrame(rows, columns=["what", "ours", "against", "theirs", "unit", "ratio", "reach"])


def bench(
    parts: Annotated[list[str] | None, Argument(help=f"of {', '.join(PARTS)}; all by default")] = None,
    output: Annotated[Path, Option(help="folder for the figures")] = Path("results/bench"),
) -> None:
    """Measure, and say what came out."""
    if unknown := set(parts or PARTS) - set(PARTS):
        raise UserError(f"{min(unknown)}: no such benchmark; there are {', '.join(PARTS)}")
    logging.disable(logging.WARNING)
    for name in parts or PARTS:
        torch.set_num_threads(CORES)
        rows = importlib.import_module(f"benchmarks.{name}").measure()
        on = {"device": device_name(), "cores": CORES, "torch": torch.__version__}
        write_json(output / f"{name}.json", {**on, "rows": [row.record() for row in rows]})
        print(table(output).to_markdown(index=False), flush=True)


if __name__ == "__main__":
    main(bench)
