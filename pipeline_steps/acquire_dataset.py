"""Obtain a data set's raw files: render them, or unpack an archive, which is downloaded where it is not there yet.

python -m pipeline_steps.acquire_dataset --recipe RECIPE --output data/raw/NAME [--archive ARCHIVE] [--catalogue TABLE]
"""

import os
import shutil
from pathlib import Path
from typing import Annotated

from typer import Option

from pipeline_steps.acquisition.catalogue import CATALOGUE, read_catalogue, remembered
from pipeline_steps.acquisition.download import download
from pipeline_steps.datasets.base import SOURCE, HeadPoseDataset
from pipeline_steps.job.command_line import main
from pipeline_steps.job.errors import UserError
from pipeline_steps.job.files import write_json
from pipeline_steps.job.recipe import Recipe, read_recipe, seal
from pipeline_steps.params.steps import AcquireParams


def known_digest(made: Recipe, archive: Path) -> str:
    """SHA-256 of the archive: the recipe's or, where it was planned before the first download, that of the download."""
    digest = made.inputs["archive"]
    return digest if len(digest) == 64 else remembered(archive).read_text().strip()


def fetch(source: HeadPoseDataset, archive: Path, catalogue: Path) -> None:
    """Download the archive of a data set to `archive`, or say how to get it by hand.

    Raises UserError where no mirror delivers it whole, or where it is not the archive of the first download.
    """
    kind = str(source.model_dump()["kind"])
    record = read_catalogue(catalogue).get(kind)
    if record is None or not record.file or archive.name != record.file:
        raise UserError(f"--archive: no file or folder {archive}; give the archive of the data set, or its folder")
    if not record.urls:
        raise UserError(f"{archive}: is not there, and cannot be downloaded; {record.by_hand(archive)}")
    note = remembered(archive)
    known = record.sha256 or (note.read_text().strip() if note.exists() else None)
    digest = download(record.urls, archive, known, record.bytes)
    if record.sha256 is None:
        note.write_text(f"{digest}\n")


def acquire_dataset(
    recipe: Annotated[Path, Option(help="parameters of this job")],
    output: Annotated[Path, Option(help="folder for the raw files; replaced as a whole")],
    archive: Annotated[
        Path | None, Option(help="archive or folder; under its official name it is downloaded where it is missing")
    ] = None,
    catalogue: Annotated[Path, Option(help="table of data sets: where archives are downloaded")] = CATALOGUE,
    threads: Annotated[int, Option(min=1, help="processes")] = 1,
) -> None:
    """Fill a new folder beside the output, then put it in the output's place."""
    made = read_recipe(recipe)
    source = made.params_as(AcquireParams).source
    if source.needs_archive and archive is None:
        raise UserError("--archive: missing; give the archive of the data set, or its folder")
    if archive is not None and not archive.exists():
        fetch(source, archive, catalogue)
    temporary = output.with_name(f".{output.name}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    try:
        source.acquire(temporary, archive, threads)
        if archive is not None:
            write_json(temporary / SOURCE, {"file": archive.name, "sha256": known_digest(made, archive)})
        os.sync()  # thousands of files at once: sealed, they must be on the disk, should the power fail
        seal(made, temporary / "recipe.json")
        shutil.rmtree(output, ignore_errors=True)
        temporary.replace(output)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


if __name__ == "__main__":
    main(acquire_dataset)
