"""Obtain a data set's raw files: render them, or unpack an archive, which is downloaded first where it is missing.

python -m pipeline_steps.acquire_dataset --recipe RECIPE --output data/raw/NAME [--archive ARCHIVE] [--catalogue TABLE]
"""

import os
import shutil
from pathlib import Path
from typing import Annotated

from typer import Option

from pipeline_steps.acquisition.catalogue import CATALOGUE, checksum_file, read_catalogue
from pipeline_steps.acquisition.download import download
from pipeline_steps.datasets.base import SOURCE, HeadPoseDataset
from pipeline_steps.job.command_line import main
from pipeline_steps.job.errors import UserError
from pipeline_steps.job.files import write_json
from pipeline_steps.job.recipe import ArchiveInput, Recipe, read_recipe
from pipeline_steps.job.seal import Inputs, seal, unseal
from pipeline_steps.params.steps import AcquireParams


def archive_checksum(recipe: Recipe, archive: Path) -> str:
    """SHA-256 of the archive: the recipe's, or that of the first download where none was known before it."""
    planned = recipe.inputs["archive"]
    assert isinstance(planned, ArchiveInput)
    return planned.sha256 or checksum_file(archive).read_text().strip()


def fetch(source: HeadPoseDataset, archive: Path, catalogue: Path) -> None:
    """Download the archive of a data set to `archive`, or say how to get it by hand.

    Raises UserError where no mirror delivers the complete file, or where it differs from the first download.
    """
    kind = str(source.model_dump()["kind"])
    record = read_catalogue(catalogue).get(kind)
    if record is None or not record.file or archive.name != record.file:
        raise UserError(f"--archive: no file or folder {archive}; give the archive of the data set, or its folder")
    if not record.urls:
        raise UserError(f"{archive}: is missing, and cannot be downloaded; {record.by_hand(archive)}")
    first = checksum_file(archive)
    known = record.sha256 or (first.read_text().strip() if first.exists() else None)
    checksum = download(record.urls, archive, known, record.bytes)
    if record.sha256 is None:
        first.write_text(f"{checksum}\n")


def acquire_dataset(
    recipe: Annotated[Path, Option(help="parameters of this job")],
    output: Annotated[Path, Option(help="folder for the raw files; anything in it is replaced")],
    archive: Annotated[
        Path | None, Option(help="archive or folder; downloaded where it is missing and has the official file name")
    ] = None,
    catalogue: Annotated[Path, Option(help="table of data sets, with the addresses of archives")] = CATALOGUE,
    threads: Annotated[int, Option(min=1, help="processes")] = 1,
) -> None:
    """Fill a new folder beside the output, then replace the output by it."""
    job_recipe, inputs = read_recipe(recipe), Inputs(recipe)
    unseal(output)
    source = job_recipe.params_as(AcquireParams).source
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
            write_json(temporary / SOURCE, {"file": archive.name, "sha256": archive_checksum(job_recipe, archive)})
        os.sync()  # thousands of files at once: they must be on the disk before the seal, in case the power fails
        seal(job_recipe, temporary, inputs)
        shutil.rmtree(output, ignore_errors=True)
        temporary.replace(output)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


if __name__ == "__main__":
    main(acquire_dataset)
