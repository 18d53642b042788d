"""300W-LP: 61,225 views synthesised from the photographs of 300W by rotating fitted faces, and their mirror images.

Zhu, Lei, Liu, Shi, Li: Face Alignment Across Large Poses: A 3D Solution, CVPR 2016. Official archive 300W-LP.zip
(3DDFA project page): `300W_LP/{AFW,HELEN,IBUG,LFPW}/NAME_V.jpg` (450 x 450) with `.mat` beside it, where V numbers the
views of one face, and the mirror images in `{AFW,...}_Flip/`. `landmarks/` and `Code/` are not read.

The label of a mirror image is a fit of its own, not the mirrored label: in the one pair known here they are 3.5 degrees
apart (HELEN_212515672_1_3, in issue 97 of github.com/natanielruiz/deep-head-pose), and 35 mirror images are beyond 99
degrees where their originals are not (the list in github.com/haofanwang/accurate-head-pose).
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field

from pipeline_steps.acquisition.unpack import is_clutter
from pipeline_steps.datasets._annotations import read_annotation
from pipeline_steps.datasets._archived import ArchivedDataset
from pipeline_steps.datasets._literature import square_in_training
from pipeline_steps.datasets.base import Entry, Sample
from pipeline_steps.job.errors import UserError
from pipeline_steps.pose.geometry import euler_to_matrix

_PARTS = ("AFW", "HELEN", "IBUG", "LFPW")
_FLIP = "_Flip"


class W300Lp(ArchivedDataset):
    """The 300W-LP data set. All views of a face, mirrored or not, are one subject."""

    kind: Literal["w300lp"] = "w300lp"
    mirrored: bool = Field(default=True, description="read the official mirror images (`*_Flip`) too")
    members: ClassVar[re.Pattern[str]] = re.compile(
        r"(^|/)(?<!landmarks/)(AFW|HELEN|IBUG|LFPW)(_Flip)?/[^/]+_\d+\.(jpg|mat)$"
    )

    def entries(self, raw: Path) -> Iterator[Entry]:
        """Every view, folder by folder; its source id is `FOLDER/FILE`."""
        root = self.unpacked(raw)
        names = [f"{part}{flip}" for part in _PARTS for flip in (("", _FLIP) if self.mirrored else ("",))]
        found = [folder for name in names for folder in sorted([*root.glob(name), *root.glob(f"*/{name}")])]
        folders = [folder for folder in found if folder.parent.name != "landmarks"]
        images = [p for folder in folders for p in sorted(folder.glob("*_*.jpg")) if not is_clutter(p.name)]
        if not images:
            raise UserError(f"{root}: no AFW/NAME_V.jpg or the like in it; it does not have the layout of 300W-LP")
        yield from (Entry(f"{path.parent.name}/{path.stem}", path) for path in images)

    def read(self, entry: Entry) -> Sample:
        """Pose, the 68 landmarks of `pt2d`, and the square that the literature trains on."""
        euler_deg, landmarks, pt2d = read_annotation(entry.image.with_suffix(".mat"), "pt2d")
        subject = entry.image.stem.rpartition("_")[0]
        part, _, name = entry.source_id.rpartition("/")
        mirror_of = f"{part.removesuffix(_FLIP)}/{name}" if part.endswith(_FLIP) else ""
        return Sample(
            subject,
            euler_to_matrix(euler_deg),
            euler_deg,
            literature_box=None if pt2d is None else square_in_training(pt2d),
            landmarks=landmarks,
            mirror_of=mirror_of,
        )
