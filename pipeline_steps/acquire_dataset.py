"""Obtain a data set's raw files: render, extract, or read them from where the user says.

python -m pipeline_steps.acquire_dataset --recipe RECIPE --output data/raw/NAME [--archive ARCHIVE]
"""

import shutil
from pathlib import Path
from typing import Annotated

from typer import Option

from pipeline_steps.errors import UserError
from pipeline_steps.params import AcquireParams
from pipeline_steps.recipe import read_recipe, seal
from pipeline_steps.step import main


def acquire_dataset(
    recipe: Annotated[Path, Option(help="parameters of this job")],
    output: Annotated[Path, Option(help="folder for the raw files; replaced as a whole")],
    archive: Annotated[Path | None, Option(help="official archive or folder, for a data set that needs one")] = None,
) -> None:
    """Fill a new folder beside the output, then put it in the output's place."""
    made = read_recipe(recipe)
    source = made.params_as(AcquireParams).source
    if source.needs_archive and (archive is None or not archive.exists()):
        raise UserError(f"--archive: no file or folder {archive}; give the data set's archive")
    temporary = output.with_name(f".{output.name}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    try:
        source.acquire(temporary, archive)
        seal(made, temporary / "recipe.json")
        shutil.rmtree(output, ignore_errors=True)
        temporary.replace(output)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


if __name__ == "__main__":
    main(acquire_dataset)
