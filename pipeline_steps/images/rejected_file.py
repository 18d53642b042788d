"""rejected.csv: how `crop_faces` writes the images that cannot be used, and how `describe_dataset` reads them."""

import csv
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from pipeline_steps.job.errors import UserError
from pipeline_steps.job.files import atomic_write


class Rejected(NamedTuple):
    """An image that cannot be used, and why."""

    source_id: str
    reason: str


def write_rejected(path: Path, rejected: Iterable[Rejected]) -> None:
    """Write one row per rejected image."""
    with atomic_write(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([Rejected._fields, *rejected])


def read_rejected(path: Path) -> list[Rejected]:
    """The rejected images; UserError where the file is missing or corrupt."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            header, *rows = csv.reader(file)
        if tuple(header) != Rejected._fields:
            raise ValueError(f"its columns are {', '.join(header)}")
        return [Rejected(source_id, reason) for source_id, reason in rows]
    except (OSError, ValueError, csv.Error) as error:
        raise UserError(f"{path}: not a list of rejected images ({error}); run crop_faces again") from error
