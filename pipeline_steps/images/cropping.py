"""Cut a square around the head out of every image of a data set, and reject the images that cannot be used."""

import re
from collections import Counter, deque
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from pipeline_steps.datasets.base import Entry, HeadPoseDataset, Sample
from pipeline_steps.images.boxes import CropBox
from pipeline_steps.images.crop_file import Crop, stored_size
from pipeline_steps.images.image_files import UNREADABLE, cut_from_file
from pipeline_steps.images.rejected_file import Rejected
from pipeline_steps.job.errors import UserError, brief
from pipeline_steps.job.strict import Strict
from pipeline_steps.job.worker_pool import worker_pool
from pipeline_steps.pose.geometry import is_rotation, matrix_to_euler

_NAME = re.compile(r"[^\0-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]{1,1000}")
"""Names that can be stored, printed and searched for: no control characters, no line breaks, valid UTF-8."""

_IMAGES_PER_TASK = 16
_TASKS_PER_PROCESS = 4  # submitted ahead, which limits the crops in memory


class CropFormat(Strict):
    """What the crops of all data sets of a study have in common, so that one network can read them."""

    size: int = Field(ge=16, le=1024, description="side in pixels of the square crops that a network sees")
    context: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="stored around every crop on each side, as a share of its side: how far training windows may reach",
    )
    border: Literal["reflect", "constant"] = Field(
        default="reflect", description="how pixels beyond the image's edge are filled: its reflection, or black"
    )
    max_rejected: Annotated[float, Field(ge=0, le=1)] = Field(
        default=0.01, description="the step fails where more than this share of the images are unusable"
    )

    @property
    def stored_size(self) -> int:
        """Side in pixels of a crop with its context, as it is stored."""
        return stored_size(self.size, self.context)


@dataclass(frozen=True)
class Cropper:
    """How the images of one data set become crops."""

    source: HeadPoseDataset
    box: CropBox
    format: CropFormat

    @property
    def rule(self) -> dict[str, Any]:
        """Everything that determines a crop's pixels, for the crop file."""
        return self.box.model_dump() | self.format.model_dump(exclude={"max_rejected"})

    def crop(self, entry: Entry) -> Crop | Rejected:
        """One image's crop, or the reason why there is none."""
        stored = self.format.stored_size
        context = (stored / self.format.size - 1) / 2  # share of the crop's side, rounded to whole pixels
        try:
            sample = self.source.read(entry)
            rotation, euler_deg = checked_label(sample)

            square = np.empty(4)

            def square_with_context(width: int, height: int) -> np.ndarray:
                square[:] = self.box.square(sample, width, height)
                grown: np.ndarray = square + context * (square[2] - square[0]) * np.array([-1, -1, 1, 1])
                return grown

            pixels = cut_from_file(entry.image, square_with_context, stored, self.format.border)
        except UNREADABLE as error:
            return Rejected(entry.source_id, brief(str(error).replace(str(entry.image), entry.image.name)))
        landmarks = None if sample.landmarks is None else (sample.landmarks - square[:2]) / (square[2] - square[0])
        return Crop(entry.source_id, pixels, sample.subject, rotation, euler_deg, landmarks, sample.mirror_of)

    def crop_all(self, entries: list[Entry], processes: int) -> Iterator[Crop | Rejected]:
        """The crops in the order of the entries, whatever the number of processes; a few hundred in memory at a time.

        Raises UserError where a process is killed.
        """
        if processes == 1:
            yield from map(self.crop, entries)
            return
        with worker_pool(processes) as pool:
            waiting: deque[Future[list[Crop | Rejected]]] = deque()
            for start in range(0, len(entries), _IMAGES_PER_TASK):
                waiting.append(pool.submit(self._crop_some, entries[start : start + _IMAGES_PER_TASK]))
                if len(waiting) > _TASKS_PER_PROCESS * processes:
                    yield from waiting.popleft().result()
            while waiting:
                yield from waiting.popleft().result()

    def _crop_some(self, entries: list[Entry]) -> list[Crop | Rejected]:
        return [self.crop(entry) for entry in entries]


def checked_label(sample: Sample) -> tuple[np.ndarray, np.ndarray]:
    """Rotation (3, 3) and yaw, pitch, roll (3,) in degrees, NaN where unknown; ValueError where they are invalid."""
    if sample.rotation is not None and not is_rotation(sample.rotation):
        raise ValueError("the label is not a rotation")
    if not _NAME.fullmatch(sample.subject):
        raise ValueError(f"{sample.subject!r} cannot be a subject's name")
    rotation = np.full((3, 3), np.nan) if sample.rotation is None else sample.rotation
    euler_deg = matrix_to_euler(rotation) if sample.euler_deg is None else sample.euler_deg
    if (np.abs(euler_deg) > 180).any():
        raise ValueError(f"angles {np.round(euler_deg, 1).tolist()} beyond 180 degrees")
    return rotation, euler_deg


def list_images(source: HeadPoseDataset, raw: Path, dataset: str) -> list[Entry]:
    """Every image of the data set; UserError where there is none, or a name cannot be stored or is not unique."""
    entries = list(source.entries(raw))
    if not entries:
        raise UserError(f"{raw}: no images of the data set {dataset} in it; check its layout")
    if bad := [entry.source_id for entry in entries if not _NAME.fullmatch(entry.source_id)]:
        raise UserError(f"{raw}: an image is named {brief(repr(bad[0]))}; rename it, in UTF-8 without line breaks")
    name, times = Counter(entry.source_id for entry in entries).most_common(1)[0]
    if times > 1:
        raise UserError(f"{raw}: {times} images are named {name}; rename them")
    return entries
