"""What every data set provides: its typed parameters, its raw files, and labelled images read from them."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from pipeline_steps.job.strict import Strict

SOURCE = "source.json"
"""File in the raw folder in which `acquire_dataset` records an archive's file name and SHA-256."""


@dataclass(frozen=True)
class Entry:
    """An image of a data set, not opened yet.

    source_id: its name, unique within the data set. image: the file to open, below the folder that `acquire` filled or
    linked; the crop is cut out of it as it is displayed, with its EXIF orientation applied, and the label refers to
    that. label: whatever `read` needs to find the label.
    """

    source_id: str
    image: Path
    label: Any = None


@dataclass(frozen=True)
class Sample:
    """The label of one image of a head, before cropping. Pixels: x to the right, y down, (0, 0) the image's corner.

    subject: who is shown; all images of a subject are in the same part of a split. Where a data set does not identify
    people, every image is a subject of its own.
    rotation: (3, 3) in the project's convention (`pipeline_steps.pose.geometry`), or None where it is unknown.
    euler_deg: (3,) yaw, pitch, roll in degrees as the data set publishes them, NaN for an unknown angle; None to derive
    them from `rotation`.
    given_box: (4,) x0, y0, x1, y1 of the head as the data set gives it. projected_head: (4,) of the head's recorded
    position, projected by the calibrated camera. literature_box: (4,) of the square that papers cut out of this data
    set's images. landmarks: (K, 2), NaN where a point is hidden. None where the data set provides none.
    mirror_of: source id of the image whose mirror image this is, empty where it is none.
    """

    subject: str
    rotation: np.ndarray | None
    euler_deg: np.ndarray | None = None
    given_box: np.ndarray | None = None
    projected_head: np.ndarray | None = None
    literature_box: np.ndarray | None = None
    landmarks: np.ndarray | None = None
    mirror_of: str = ""


class HeadPoseDataset(Strict, ABC):
    """A data set: its parameters, and how to acquire its raw files, list its images, and read the label of one.

    One module per data set, named after its `kind`, with one subclass; params.yaml gives the kind and the fields.
    """

    needs_archive: ClassVar[bool] = False
    """Whether the files come from an archive or folder, which is downloaded or named by `archive` in params.yaml."""

    @abstractmethod
    def acquire(self, raw: Path, archive: Path | None, processes: int = 1) -> None:
        """Fill the empty folder `raw`, from the archive or folder where the data set needs one.

        processes: how many may share the work. Raises UserError that says what to do where the data are unavailable.
        """

    @abstractmethod
    def entries(self, raw: Path) -> Iterator[Entry]:
        """Every image of the acquired folder in a fixed order, without opening any image.

        Raises UserError where the folder does not have the data set's layout.
        """

    @abstractmethod
    def read(self, entry: Entry) -> Sample:
        """The label of one image; called in many processes at once.

        Raises ValueError or OSError with the reason where the label is missing or corrupt.
        """
