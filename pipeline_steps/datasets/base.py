"""What every data set offers: its typed parameters, its raw files, and labelled pictures read from them."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from pydantic import BaseModel, ConfigDict

SOURCE = "source.json"
"""What `acquire_dataset` notes in the raw folder about an archive: its file name and SHA-256."""


@dataclass(frozen=True)
class Entry:
    """A picture that was listed and not opened yet.

    source_id: its name, unique within the data set. label: whatever `read` needs to find the label.
    """

    source_id: str
    image: Path
    label: Any = None


@dataclass(frozen=True)
class Sample:
    """One picture of a head, before cropping. Pixels: x to the right, y down, (0, 0) the picture's corner.

    subject: who is shown; subjects never straddle a split. A data set without identities gives every image its own.
    rotation: (3, 3) in the project's convention (`pipeline_steps.pose.geometry`), or None where it is unknown.
    euler_deg: (3,) yaw, pitch, roll in degrees as the data set publishes them, NaN for an angle that it does not know;
    None to derive them from `rotation`.
    given_box: (4,) x0, y0, x1, y1 of the head as the data set gives it. projected_head: (4,) of the head's recorded
    place in space, seen through the calibrated camera. landmarks: (K, 2). None where the data set has no such thing.
    """

    subject: str
    rotation: np.ndarray | None
    euler_deg: np.ndarray | None = None
    given_box: np.ndarray | None = None
    projected_head: np.ndarray | None = None
    landmarks: np.ndarray | None = None


class HeadPoseDataset(BaseModel, ABC):
    """A data set is its parameters plus three abilities: to acquire its raw files, to list them, to read one.

    One module per data set, named after its `kind`, with one subclass; params.yaml names the kind and gives the fields.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)

    needs_archive: ClassVar[bool] = False
    """Whether the files come from an archive or folder: downloaded, or named by `archive` in params.yaml."""

    @abstractmethod
    def acquire(self, raw: Path, archive: Path | None, processes: int = 1) -> None:
        """Fill the empty folder `raw`, from the archive or folder where the data set needs one.

        processes: how many the work may be spread over. Raises UserError with a way out where the data cannot be had.
        """

    @abstractmethod
    def entries(self, raw: Path) -> Iterator[Entry]:
        """Every picture of the acquired folder in a fixed order; cheap, opens no picture.

        Raises UserError where the folder's layout is not that of the data set.
        """

    @abstractmethod
    def read(self, entry: Entry) -> Sample:
        """The label of one picture; called in many processes at once.

        Raises ValueError or OSError with the reason where the label is missing or damaged.
        """
