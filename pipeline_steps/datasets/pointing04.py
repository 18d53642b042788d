"""Pointing'04: 15 people, each twice in 93 poses given by markers on a half-sphere; pan and tilt, no roll.

Gourier, Hall, Crowley: Estimating Face Orientation from Robust Detection of Salient Facial Features, Pointing'04, 2004.
Official archive HeadPoseImageDatabase.tar.gz: `PersonNN/personNNSII-TT+PP.jpg` (384 x 288) with person NN, series S,
pose number II, tilt TT and pan PP in degrees, and a `.txt` with the face's centre, width and height. `Front/` repeats
some of the images and is not read.

+tilt looks up (official page). The direction of +pan is not given there: that text is missing in every copy found. That
it turns the face to the image's left, so that yaw = pan, was measured by others on 1,773 of the images.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np

from pipeline_steps.datasets._archived import ArchivedDataset
from pipeline_steps.datasets.base import Entry, Sample
from pipeline_steps.job.errors import UserError

_NAME = re.compile(r"^person(?:ne)?(\d\d)([12])(\d\d)([+-]\d\d?)([+-]\d\d?)$")


class Pointing04(ArchivedDataset):
    """The Pointing'04 data set. Its labels are yaw and pitch only, so it can be tested on but not trained on."""

    kind: Literal["pointing04"] = "pointing04"
    members: ClassVar[re.Pattern[str]] = re.compile(
        r"(^|/)Person\d\d/person(ne)?\d{5}[+-]\d\d?[+-]\d\d?\.(jpg|txt)$", re.IGNORECASE
    )

    def entries(self, raw: Path) -> Iterator[Entry]:
        """Every image, subject by subject."""
        root = self.unpacked(raw)
        images = sorted(path for path in self.files(raw, "*.jpg") if self.members.search(path.as_posix()))
        if not images:
            raise UserError(
                f"{root}: no PersonNN/personNNSII-TT+PP.jpg in it; it does not have the layout of Pointing'04"
            )
        yield from (Entry(f"{path.parent.name}/{path.stem}", path) for path in images)

    def read(self, entry: Entry) -> Sample:
        """Yaw and pitch from the file name, the face's box from the `.txt`."""
        parts = _NAME.match(entry.image.stem)
        if not parts:
            raise ValueError(f"{entry.image.name} is not named personNNSII-TT+PP")
        subject, _, number, tilt, pan = parts.groups()
        if (int(tilt), int(pan)) != _direction(int(number)):
            raise ValueError(f"{entry.image.name}: number {number} is not tilt {tilt}, pan {pan}")
        euler_deg = np.array([float(pan), float(tilt), np.nan])
        return Sample(f"person{subject}", None, euler_deg, given_box=_read_box(entry.image.with_suffix(".txt")))


def _direction(number: int) -> tuple[int, int]:
    """Tilt and pan in degrees of a pose number, as the official browsing program computes them."""
    if number in (0, 92):
        return (-90 if number == 0 else 90), 0
    row, column = divmod(number - 1, 13)
    return (-60, -30, -15, 0, 15, 30, 60)[row] if row < 7 else 0, (column - 6) * 15


def _read_box(path: Path) -> np.ndarray:
    """The face's box (4,) x0, y0, x1, y1. The file contains: image name, `Face`, centre x, centre y, width, height."""
    try:
        words = path.read_text(errors="replace").split()
        x, y, width, height = (float(word) for word in words[2:])
    except FileNotFoundError as error:
        raise ValueError(f"{path.name} is missing") from error
    except ValueError as error:
        raise ValueError(f"{path.name}: not an image name, `Face` and four numbers ({error})") from error
    return np.array([x - width / 2, y - height / 2, x + width / 2, y + height / 2])
