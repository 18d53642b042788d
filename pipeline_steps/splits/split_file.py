"""split.json: which images and subjects are trained on, validated on and tested on."""

from pathlib import Path
from typing import Annotated

from pydantic import Field, TypeAdapter, ValidationError

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
    order. left_out: how many images of the data set its protocol leaves out. official_test: how many test images the
    complete, official data set has by this protocol; None where that is not known.
    """

    subjects: Parts
    left_out: int
    official_test: int | None = None


class Folds(Strict):
    """The splits of a cross-validation, of which each tests other subjects."""

    folds: Annotated[list[Split], Field(min_length=2)]


_FILE: TypeAdapter[Split | Folds] = TypeAdapter(Split | Folds)


def write_split(path: Path, split: Split | Folds) -> None:
    """Write split.json."""
    write_json(path, split.model_dump())


def read_folds(path: Path) -> list[Split]:
    """The splits of all folds in split.json, or its only one; UserError where it is missing or corrupt."""
    try:
        content = _FILE.validate_json(path.read_bytes())
        return content.folds if isinstance(content, Folds) else [content]
    except (OSError, ValidationError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"{path}: not a readable split ({reason}); delete it and run snakemake again") from error


def read_split(path: Path, seed: int) -> Split:
    """The split in which a training with this seed learns and is tested: of F folds, the fold seed mod F."""
    folds = read_folds(path)
    return folds[seed % len(folds)]
