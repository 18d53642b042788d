"""Rendered heads: generated from a seed, with exact labels. The images show no real people.

The body model is `anny` (Apache-2.0, based on MakeHuman's CC0 assets); see `pipeline_steps.rendering`.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from pipeline_steps.datasets.base import Entry, HeadPoseDataset, Sample
from pipeline_steps.job.errors import UserError, brief
from pipeline_steps.job.files import atomic_write
from pipeline_steps.job.progress import track
from pipeline_steps.job.strict import Strict

_LABELS = "labels.parquet"


class AnglePrior(Strict):
    """A truncated normal distribution, in degrees."""

    mean: float
    std: float = Field(gt=0)
    min: float
    max: float

    @model_validator(mode="after")
    def _mean_inside(self) -> Self:
        if not self.min <= self.mean <= self.max or self.min == self.max:
            raise ValueError(f"min < max and min <= mean <= max are needed, got {self.min}, {self.mean}, {self.max}")
        return self


class PosePrior(Strict):
    """The distribution of poses, in degrees.

    A share `uniform` of the poses is uniform between the limits. The others are truncated normals whose mean roll grows
    with the product of yaw and pitch, by `roll_coupling` degrees per 1000 square degrees, as in photographs. The
    defaults follow the frontal half of AFLW2000-3D, where people look down more often than up.
    """

    yaw: AnglePrior = AnglePrior(mean=0.0, std=38.0, min=-90.0, max=90.0)
    pitch: AnglePrior = AnglePrior(mean=-7.0, std=17.0, min=-60.0, max=60.0)
    roll: AnglePrior = AnglePrior(mean=0.0, std=12.0, min=-45.0, max=45.0)
    uniform: Annotated[float, Field(ge=0, le=1)] = 0.25
    roll_coupling: float = 12.0

    @model_validator(mode="after")
    def _limits(self) -> Self:
        for name, limit in (("yaw", 90), ("pitch", 60), ("roll", 45)):
            prior = getattr(self, name)
            if prior.min < -limit or prior.max > limit:
                raise ValueError(f"{name}: at most {limit} degrees to either side, got {prior.min} to {prior.max}")
        return self

    def draw(self, rng: np.random.Generator, count: int) -> np.ndarray:
        """Poses (count, 3): yaw, pitch, roll in degrees. The first poses are the same whatever the `count`."""
        return np.array([self._draw_one(rng) for _ in range(count)]).reshape(count, 3)

    def _draw_one(self, rng: np.random.Generator) -> list[float]:
        if rng.random() < self.uniform:
            return [rng.uniform(p.min, p.max) for p in (self.yaw, self.pitch, self.roll)]
        yaw = _truncated_normal(rng, self.yaw, self.yaw.mean)
        pitch = _truncated_normal(rng, self.pitch, self.pitch.mean)
        lean = self.roll.mean + self.roll_coupling * yaw * pitch / 1000
        return [yaw, pitch, _truncated_normal(rng, self.roll, float(np.clip(lean, self.roll.min, self.roll.max)))]


def _truncated_normal(rng: np.random.Generator, prior: AnglePrior, mean: float) -> float:
    while not prior.min <= (angle := rng.normal(mean, prior.std)) <= prior.max:
        pass
    return float(angle)


class Rendered(HeadPoseDataset):
    """The rendered data set. The same parameters give the same bytes on the same machine."""

    kind: Literal["rendered"] = "rendered"
    subjects: int = Field(ge=1, le=100_000, description="each with an individual head, skin, hair and clothes")
    images_per_subject: int = Field(ge=1, le=10_000)
    image_size: int = Field(ge=32, le=1024, description="pixels, square; the head fills half to three quarters of it")
    seed: int = Field(default=0, ge=0)
    pose: PosePrior = PosePrior()

    def acquire(self, raw: Path, archive: Path | None = None, processes: int = 1) -> None:
        """Render into `raw`: images/NNNNNN.jpg and labels.parquet, which do not depend on the number of processes.

        labels.parquet has one row per image: source_id, subject, rotation (9, row by row), landmarks (136: x, y in
        pixels), box (4), landmarks_camera (204: x, y, z in metres, camera frame), focal (pixels).
        """
        import pandas as pd

        from pipeline_steps.rendering.workers import render_subjects

        images = raw / "images"
        images.mkdir(parents=True, exist_ok=True)
        subjects, each = range(self.subjects), self.images_per_subject
        poses = [self.pose.draw(np.random.default_rng([self.seed, subject, 3]), each) for subject in subjects]
        files = [[images / f"{subject * each + i:06d}.jpg" for i in range(each)] for subject in subjects]
        labels = render_subjects(self.seed, self.image_size, poses, files, processes)
        rows = [
            {
                "source_id": label.file.stem,
                "subject": f"{label.subject:05d}",
                "rotation": label.view.rotation.ravel(),
                "landmarks": label.landmarks.ravel(),
                "box": label.box,
                "landmarks_camera": label.view.to_camera(label.landmarks_3d).ravel(),
                "focal": label.view.focal,
            }
            for label in track(labels, "rendering heads", total=self.subjects * each)
        ]
        with atomic_write(raw / _LABELS) as temporary:
            pd.DataFrame(rows).to_parquet(temporary, index=False)

    def entries(self, raw: Path) -> Iterator[Entry]:
        """Every rendered image, subject by subject; UserError where the labels in `raw` are missing or corrupt."""
        import pandas as pd

        try:
            rows = pd.read_parquet(raw / _LABELS, columns=["source_id", "subject", "rotation", "box", "landmarks"])
        except (OSError, ValueError, KeyError) as error:
            reason = brief(repr(error))
            raise UserError(f"{raw / _LABELS}: {reason}; delete {raw} to render the data set again") from error
        for row in rows.to_dict("records"):
            yield Entry(row["source_id"], raw / "images" / f"{row['source_id']}.jpg", row)

    def read(self, entry: Entry) -> Sample:
        """Pose, head box and the 68 landmarks, all of them exact."""
        row = entry.label
        return Sample(
            subject=row["subject"],
            rotation=np.asarray(row["rotation"]).reshape(3, 3),
            given_box=np.asarray(row["box"]),
            landmarks=np.asarray(row["landmarks"]).reshape(68, 2),
        )
