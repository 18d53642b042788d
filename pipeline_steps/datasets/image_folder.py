"""Your own images: a folder or archive of images with a CSV file of their poses, or without any labels.

The CSV has one row per image and these columns:
    path                      relative to the CSV's folder
    yaw, pitch, roll          degrees, in the project's convention; an empty cell is an unknown angle
    or r00, r01, ..., r22     instead, the rotation matrix, row by row
    x0, y0, x1, y1            optional, the head's box in pixels, for the box rule `given_box`
    subject                   optional, who is shown
Labels and boxes refer to the image as displayed, with its EXIF orientation applied. Without a CSV the images can be
used for pre-training (`pretrain_on`).
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from pipeline_steps.datasets._archived import ArchivedDataset
from pipeline_steps.datasets.base import Entry, Sample
from pipeline_steps.job.errors import UserError, brief
from pipeline_steps.job.progress import logger
from pipeline_steps.pose.geometry import ANGLES, euler_to_matrix

if TYPE_CHECKING:
    import pandas as pd

_MATRIX = [f"r{row}{column}" for row in range(3) for column in range(3)]
_BOX = ["x0", "y0", "x1", "y1"]
_KNOWN = {"path", "subject", *ANGLES, *_MATRIX, *_BOX}


class ImageFolder(ArchivedDataset):
    """The user's own images."""

    kind: Literal["image_folder"] = "image_folder"
    labels: str | None = Field(
        default="labels.csv",
        pattern=r"^[^/]+\.csv$",
        description="name of the CSV file in the folder; null: the images have no labels",
    )
    subject: Literal["image", "folder"] = Field(
        default="image",
        description="where the CSV has no subject column: every image shows another subject, or every folder does",
    )
    members: ClassVar[re.Pattern[str]] = re.compile(r"\.(jpe?g|png|bmp|webp|tiff?|csv)$", re.IGNORECASE)

    def entries(self, raw: Path) -> Iterator[Entry]:
        """The CSV's rows in their order or, without a CSV, all images by path."""
        root = self.unpacked(raw)
        if self.labels is None:
            images = sorted(
                p for p in self.files(raw, "*") if self.members.search(p.name) and p.suffix.lower() != ".csv"
            )
            yield from (Entry(p.relative_to(root).as_posix(), p, {}) for p in images)
            return
        found = sorted(self.files(raw, self.labels), key=lambda path: len(path.parts))
        if not found:
            raise UserError(
                f"{root}: no {self.labels} in it; add it, or set source.labels to the name of your CSV, or to null"
            )
        for row in _read_table(found[0]).to_dict("records"):
            yield Entry(str(row["path"]), _inside(found[0].parent, str(row["path"])), row)

    def read(self, entry: Entry) -> Sample:
        """The label, box and subject of the row; ValueError that names the wrong column."""
        row: dict[str, Any] = entry.label
        folder = entry.source_id.rpartition("/")[0] or "."
        rotation, euler_deg = _pose(row)
        return Sample(
            subject=str(row.get("subject") or (entry.source_id if self.subject == "image" else folder)),
            rotation=rotation,
            euler_deg=euler_deg,
            given_box=_numbers(row, _BOX) if "x0" in row else None,
        )


def _read_table(path: Path) -> "pd.DataFrame":
    """All cells as text; UserError where a column is missing or unknown."""
    import pandas as pd

    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False, skipinitialspace=True)
    except ValueError as error:
        raise UserError(f"{path}: not a readable CSV ({brief(error)}); save it as comma-separated UTF-8") from error
    if not isinstance(table.index, pd.RangeIndex):  # pandas has shifted the names by a column
        raise UserError(f"{path}: rows have more cells than the header; remove commas within numbers and at their ends")
    columns = set(table.columns)
    if unknown := sorted(columns - _KNOWN):
        raise UserError(f"{path}: unknown column {brief(repr(unknown[0]))}; known: {', '.join(sorted(_KNOWN))}")
    pose = [names for names in (ANGLES, _MATRIX) if columns & set(names)]
    if "path" not in columns or len(pose) != 1:
        raise UserError(f"{path}: needs a column `path`, and either {', '.join(ANGLES)} or {', '.join(_MATRIX)}")
    for names in (*pose, *([_BOX] if columns & set(_BOX) else [])):
        if missing := [name for name in names if name not in columns]:
            raise UserError(f"{path}: column {missing[0]!r} is missing; all of {', '.join(names)} are needed")
    if pose[0] == ANGLES:
        angles = table[ANGLES].apply(pd.to_numeric, errors="coerce").abs().max(axis=None)
        if len(table) >= 10 and angles <= np.pi:
            logger.warning("%s: no angle exceeds %.2f: are these radians? Degrees are expected", path, angles)
    return table


def _inside(folder: Path, name: str) -> Path:
    path = folder / name
    if Path(name).is_absolute() or ".." in Path(name).parts:
        raise UserError(f"{folder}: {brief(repr(name))} is outside the folder; give paths relative to the CSV")
    return path


def _pose(row: dict[str, Any]) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Rotation (3, 3), None where an angle is unknown, and yaw, pitch, roll (3,) in degrees, NaN where unknown.

    The angles are None where the row gives a matrix instead.
    """
    if "r00" in row:
        return _numbers(row, _MATRIX).reshape(3, 3), None
    if "yaw" not in row:
        return None, np.full(3, np.nan)
    euler_deg = np.array([np.nan if not row[angle].strip() else _numbers(row, [angle])[0] for angle in ANGLES])
    return (euler_to_matrix(euler_deg) if np.isfinite(euler_deg).all() else None), euler_deg


def _numbers(row: dict[str, Any], names: list[str]) -> np.ndarray:
    values = []
    for name in names:
        try:
            values.append(float(row[name]))
        except ValueError as error:
            raise ValueError(f"{name} is {row[name]!r}, not a number") from error
        if not np.isfinite(values[-1]):
            raise ValueError(f"{name} is {row[name]!r}, not a number")
    return np.array(values)
