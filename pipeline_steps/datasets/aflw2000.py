"""AFLW2000-3D: 2,000 photographs in the wild with poses from fitted 3D models; the field's usual test set.

Zhu, Lei, Liu, Shi, Li: Face Alignment Across Large Poses: A 3D Solution, CVPR 2016. Official archive AFLW2000-3D.zip
(3DDFA project page): `AFLW2000/imageNNNNN.jpg` (450 x 450) with `.mat` beside it.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar, Literal

from pipeline_steps.datasets._annotations import read_annotation
from pipeline_steps.datasets._archived import ArchivedDataset
from pipeline_steps.datasets._literature import square_in_tests
from pipeline_steps.datasets.base import Entry, Sample
from pipeline_steps.job.errors import UserError
from pipeline_steps.pose.geometry import euler_to_matrix


class Aflw2000(ArchivedDataset):
    """The AFLW2000-3D data set. It does not identify people: every image is a subject of its own."""

    kind: Literal["aflw2000"] = "aflw2000"
    members: ClassVar[re.Pattern[str]] = re.compile(r"(^|/)image\d{5}\.(jpg|mat)$")

    def entries(self, raw: Path) -> Iterator[Entry]:
        """Every image, in the order of the file names."""
        root = self.unpacked(raw)
        images = sorted(path for path in self.files(raw, "image*.jpg") if self.members.search(path.as_posix()))
        if not images:
            raise UserError(f"{root}: no imageNNNNN.jpg in it; it does not have the layout of AFLW2000-3D")
        yield from (Entry(path.stem, path) for path in images)

    def read(self, entry: Entry) -> Sample:
        """Pose, landmarks, and the square that the literature tests on.

        The landmarks are those of `pt3d_68`, because `pt2d` has only 21 points, with -1 where one is hidden; the
        literature's square is around `pt2d` all the same.
        """
        euler_deg, landmarks, pt2d = read_annotation(entry.image.with_suffix(".mat"), "pt3d_68")
        square = None if pt2d is None else square_in_tests(pt2d)
        return Sample(
            entry.source_id, euler_to_matrix(euler_deg), euler_deg, literature_box=square, landmarks=landmarks
        )
