"""split.json: which images and subjects are trained on, validated on and tested on."""

from pathlib import Path

from pydantic import ValidationError

from pipeline_steps.job.errors import UserError
from pipeline_steps.job.files import write_json
from pipeline_steps.job.strict import Strict


class Parts(Strict):
    """Names by part of a split."""

    train: list[str]
    validation: list[str]
    test: list[str]


class Split(Parts):
    """Source ids of the images by part.

    subjects: by part, each in the order in which they were drawn; a label budget takes the training subjects in this
    order. left_out: how many images of the data set its protocol leaves out.
    """

    subjects: Parts
    left_out: int


def write_split(path: Path, split: Split) -> None:
    """Write split.json."""
    write_json(path, split.model_dump())


def read_split(path: Path) -> Split:
    """Read split.json; UserError where it is missing or corrupt."""
    try:
        return Split.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"{path}: not a readable split ({reason}); delete it and run snakemake again") from error
