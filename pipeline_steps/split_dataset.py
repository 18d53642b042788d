"""Divide a data set by subject into training, validation and test images.

python -m pipeline_steps.split_dataset --recipe RECIPE --crops CROPS.h5 [--protocol PROTOCOL.yaml] --output DIR
"""

from pathlib import Path
from typing import Annotated

import pandas as pd
from typer import Option

from pipeline_steps.images.crop_file import CropFile
from pipeline_steps.job.command_line import main
from pipeline_steps.job.errors import UserError
from pipeline_steps.job.progress import logger
from pipeline_steps.job.recipe import read_recipe
from pipeline_steps.job.seal import Inputs, seal, unseal
from pipeline_steps.params.steps import SplitParams
from pipeline_steps.splits.partition import partition, selected
from pipeline_steps.splits.protocols import Protocol, listed_images, read_protocol
from pipeline_steps.splits.split_file import write_split


def log_selection(path: Path, protocol: Protocol, kept: int, images: int) -> None:
    """Log how many images the protocol keeps; warn where the official data set would give another number."""
    logger.info("%s: keeps %d of %d images", protocol.title, kept, images)
    if protocol.expected_images not in (None, kept):
        message = "%s keeps %d images here and %d of the official data set: this data set is incomplete or another one"
        logger.warning(message, path, kept, protocol.expected_images)
    if not protocol.verified:
        logger.warning("%s could not be verified against its source: %s", path, protocol.notes or protocol.source)


def split_dataset(
    recipe: Annotated[Path, Option(help="parameters of this job")],
    crops: Annotated[Path, Option(help="crops.h5 of the data set")],
    output: Annotated[Path, Option(help="folder for split.json")],
    protocol: Annotated[Path | None, Option(help="file that selects images and may list the test subjects")] = None,
) -> None:
    """Write split.json."""
    job_recipe, inputs = read_recipe(recipe), Inputs(recipe, crops)
    unseal(output)
    rule, test_subjects = job_recipe.params_as(SplitParams).split, None
    official_test = None
    with CropFile(crops) as file:
        images = kept = pd.DataFrame({"source_id": file.source_ids, "subject": file.subjects})
        if protocol is not None:
            rules = read_protocol(protocol)
            test_subjects = rules.test
            everyone = rule.test_subjects == "all" or (rule.folds is not None and rule.validation_subjects == 0)
            official_test = rules.official_test_images(everyone)
            kept = images[selected(file, rules.max_angle, listed_images(rules, protocol))]
            log_selection(protocol, rules, len(kept), len(images))
    if kept.empty:
        raise UserError(
            f"{protocol}: leaves out all {len(images)} images of {crops}; check that it is for this data set"
        )
    made = partition(kept, rule, test_subjects, len(images) - len(kept), official_test)
    write_split(output / "split.json", made)
    seal(job_recipe, output, inputs)


if __name__ == "__main__":
    main(split_dataset)
