"""Cut a square around every head, resize it, and store all crops with their labels in one HDF5 file.

python -m pipeline_steps.crop_faces --recipe RECIPE --raw data/raw/NAME --output data/crops/NAME
"""

import shutil
from pathlib import Path
from typing import Annotated

import torch
from typer import Option

from pipeline_steps.checks.head_size import require_heads
from pipeline_steps.datasets.base import SOURCE
from pipeline_steps.images.crop_file import write_crops
from pipeline_steps.images.cropping import Cropper, list_images
from pipeline_steps.images.rejected_file import write_rejected
from pipeline_steps.job.command_line import main
from pipeline_steps.job.errors import UserError
from pipeline_steps.job.files import atomic_write
from pipeline_steps.job.progress import track
from pipeline_steps.job.recipe import read_recipe
from pipeline_steps.job.seal import SEAL, Inputs, seal, unseal
from pipeline_steps.params.steps import CropParams


def require_space(output: Path, count: int, size: int) -> None:
    """Raise UserError where the disk has no room for `count` crops of `size` pixels, before hours of work are lost."""
    output.mkdir(parents=True, exist_ok=True)
    needed, free = count * size * size * 3 / 1e6, shutil.disk_usage(output).free / 1e6
    if needed > free:
        raise UserError(
            f"{output}: {count:,} crops need {needed:,.1f} MB and the disk has {free:,.1f} MB left; free some space, "
            "or lower crops.size or crops.context"
        )


def crop_faces(
    recipe: Annotated[Path, Option(help="parameters of this job")],
    raw: Annotated[Path, Option(help="folder that acquire_dataset filled")],
    output: Annotated[Path, Option(help="folder for crops.h5 and rejected.csv")],
    threads: Annotated[int, Option(min=1, help="processes")] = 1,
) -> None:
    """Crop every image; list those that cannot be used with the reason."""
    job_recipe, inputs = read_recipe(recipe), Inputs(recipe, raw / SEAL)
    unseal(output)
    params, dataset = job_recipe.params_as(CropParams), str(job_recipe.job["dataset"])
    cropper = Cropper(params.source, params.crop, params.crops)
    torch.set_num_threads(1)  # of every process
    entries = list_images(params.source, raw, dataset)
    require_heads(params.source, params.crop, entries, dataset)
    require_space(output, len(entries), params.crops.stored_size)
    source = path.read_text() if (path := raw / SOURCE).exists() else "{}"
    with atomic_write(output / "crops.h5") as temporary:
        crops = track(cropper.crop_all(entries, threads), f"crop {dataset}", len(entries))
        rejected = write_crops(temporary, crops, len(entries), dataset, source, cropper.rule)
        write_rejected(output / "rejected.csv", rejected)
        if len(rejected) > params.crops.max_rejected * len(entries) or len(rejected) == len(entries):
            raise UserError(
                f"{raw}: {len(rejected)} of {len(entries)} images are unusable, more than crops.max_rejected = "
                f"{params.crops.max_rejected}; the first: {rejected[0].source_id}: {rejected[0].reason}; "
                f"fix or remove those in {output / 'rejected.csv'}, or raise crops.max_rejected"
            )
    seal(job_recipe, output, inputs)


if __name__ == "__main__":
    main(crop_faces)
