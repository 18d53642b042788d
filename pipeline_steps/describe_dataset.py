"""Write the card of a data set: number of images, poses, origin, terms of use, and sample crops.

python -m pipeline_steps.describe_dataset --recipe RECIPE --crops data/crops/NAME --output data/cards/NAME
"""

import io
from pathlib import Path
from typing import Annotated

from typer import Option

from pipeline_steps.figures.histograms import pose_histogram
from pipeline_steps.images.crop_file import CropFile
from pipeline_steps.images.rejected_file import read_rejected
from pipeline_steps.job.command_line import main
from pipeline_steps.job.files import atomic_write, write_json, write_text
from pipeline_steps.job.progress import logger
from pipeline_steps.job.recipe import read_recipe
from pipeline_steps.job.seal import Inputs, seal, unseal
from pipeline_steps.params.steps import DescribeParams
from pipeline_steps.reporting.data_card import contact_sheet, page, summarise
from pipeline_steps.tracking.runs import track_run


def describe_dataset(
    recipe: Annotated[Path, Option(help="parameters of this job")],
    crops: Annotated[Path, Option(help="folder that crop_faces filled")],
    output: Annotated[Path, Option(help="folder for card.html, card.json and contact_sheet.jpg")],
) -> None:
    """Describe the crops of one data set."""
    job_recipe, inputs = read_recipe(recipe), Inputs(recipe, crops / "crops.h5", crops / "rejected.csv")
    unseal(output)
    record = job_recipe.params_as(DescribeParams).record
    rejected = read_rejected(crops / "rejected.csv")
    buffer = io.BytesIO()
    with CropFile(crops / "crops.h5") as file:
        card = summarise(file, rejected, record)
        histogram = pose_histogram(file.euler_deg) if card["pose"] else None
        contact_sheet(file).save(buffer, "JPEG", quality=85)
    with track_run(job_recipe, output):
        write_json(output / "card.json", card)
        with atomic_write(output / "contact_sheet.jpg") as temporary:
            temporary.write_bytes(buffer.getvalue())
        write_text(output / "card.html", page(card, rejected, histogram, buffer.getvalue()))
    message = "describe %s: %d images of %d subjects, %d rejected"
    logger.info(message, card["dataset"], card["images"], card["subjects"], card["rejected"])
    for name, check in card["checks"].items():
        if check["disagree"]:
            message = "%s: %s: %d of %d images disagree, such as %s; see %s"
            named = (card["dataset"], name, check["disagree"], check["images"], check["worst"][0], output / "card.html")
            logger.warning(message, *named)
    seal(job_recipe, output, inputs)


if __name__ == "__main__":
    main(describe_dataset)
