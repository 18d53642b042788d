"""What every data set offers: its typed parameters, its raw files, and samples read from them."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from pydantic import BaseModel, ConfigDict


@dataclass(frozen=True)
class Sample:
    """One labelled picture of a head, before cropping.

    rotation: (3, 3) in the project's convention (`pipeline_steps.pose.geometry`).
    euler_deg: (3,) yaw, pitch, roll in degrees as the data set publishes them, or None to derive them from `rotation`.
    subject: who is shown; subjects never straddle a split. A data set without identities gives every image its own.
    box: (4,) x0, y0, x1, y1 of the head in pixels, x to the right, y down, or None where the data set has no box.
    landmarks: (K, 2) x, y in pixels, or None.
    """

    source_id: str
    image: Path
    rotation: np.ndarray
    subject: str
    euler_deg: np.ndarray | None = None
    box: np.ndarray | None = None
    landmarks: np.ndarray | None = None


class HeadPoseDataset(BaseModel, ABC):
    """A data set is its parameters plus two abilities: to acquire its raw files, and to read samples.

    One module per data set, named after its `kind`, with one subclass; params.yaml names the kind and gives the fields.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    needs_archive: ClassVar[bool] = False
    """Whether the files come from an archive or folder that the user has, named by `archive` in params.yaml."""

    @abstractmethod
    def acquire(self, raw: Path, archive: Path | None) -> None:
        """Fill the empty folder `raw`, from the archive or folder where the data set needs one.

        Raises UserError with a way out where the data cannot be had.
        """

    @abstractmethod
    def samples(self, raw: Path) -> Iterator[Sample]:
        """Every sample of the acquired folder in a fixed order.

        A sample with an unusable label is still yielded, with NaN in `rotation`, to be rejected by name.
        """
