"""Write a data set's card: how much there is, which poses, from where, under which terms, and what it looks like.

python -m pipeline_steps.describe_dataset --recipe RECIPE --crops data/crops/NAME --output data/cards/NAME
"""

import csv
import io
from pathlib import Path
from typing import Annotated

from typer import Option

from pipeline_steps.figures.plots import pose_histogram
from pipeline_steps.images.crop_file import CropFile
from pipeline_steps.job.command_line import main
from pipeline_steps.job.errors import UserError
from pipeline_steps.job.files import whole_file, write_json, write_text
from pipeline_steps.job.progress import logger
from pipeline_steps.job.recipe import Inputs, read_recipe, seal
from pipeline_steps.params.steps import DescribeParams
from pipeline_steps.reporting.data_card import contact_sheet, page, summarise
from pipeline_steps.tracking.runs import track_run


def read_rejected(path: Path) -> list[tuple[str, str]]:
    """Source id and reason of every rejected picture; UserError where the file is missing or damaged."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return [(row["source_id"], row["reason"]) for row in csv.DictReader(file)]
    except (OSError, KeyError) as error:
        raise UserError(f"{path}: not a list of rejected pictures ({error}); run crop_faces again") from error


def describe_dataset(
    recipe: Annotated[Path, Option(help="parameters of this job")],
    crops: Annotated[Path, Option(help="folder that crop_faces filled")],
    output: Annotated[Path, Option(help="folder for card.html, card.json and contact_sheet.jpg")],
) -> None:
    """Describe the crops of one data set."""
    made, inputs = read_recipe(recipe), Inputs(crops / "crops.h5", crops / "rejected.csv")
    record = made.params_as(DescribeParams).record
    rejected = read_rejected(crops / "rejected.csv")
    buffer = io.BytesIO()
    with CropFile(crops / "crops.h5") as file:
        card = summarise(file, rejected, record)
        histogram = pose_histogram(file.euler_deg) if card["pose"] else None
        contact_sheet(file).save(buffer, "JPEG", quality=85)
    with track_run(made, output):
        write_json(output / "card.json", card)
        with whole_file(output / "contact_sheet.jpg") as temporary:
            temporary.write_bytes(buffer.getvalue())
        write_text(output / "card.html", page(card, rejected, histogram, buffer.getvalue()))
    message = "describe %s: %d images of %d subjects, %d rejected"
    logger.info(message, card["dataset"], card["images"], card["subjects"], card["rejected"])
    seal(made, output / "recipe.json", inputs)


if __name__ == "__main__":
    main(describe_dataset)
