"""DAD-3DHeads: 44,898 photographs in the wild with fitted 3D heads, in every pose up to the back of the head.

Martyniuk, Kupyn, Kurlyak, Krashenyi, Matas, Sharmanska: DAD-3DHeads: A Large-scale Dense, Accurate and Diverse Dataset
for 3D Head Alignment from a Single Image, CVPR 2022. Official layout (github.com/PinataFarms/DAD-3DHeads):
`DAD-3DHeadsDataset/{train,val}/{train,val}.json`, `images/ID.png`, `annotations/ID.json`.

`model_view_matrix` takes the head's coordinates (x to the image's right in a frontal view, y up, z out of the nose) to
OpenGL's camera (x right, y up, z to the viewer), which is this project's rotation: the official benchmark.py inverts y
and z to get its own rotation, and the official calculate_rpy decomposes that into the angles of 300W-LP.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from pipeline_steps.datasets._archived import ArchivedDataset
from pipeline_steps.datasets.base import Entry, Sample
from pipeline_steps.job.errors import UserError, brief


class Dad3dHeads(ArchivedDataset):
    """The DAD-3DHeads data set. It does not identify people: every image is a subject of its own.

    The labels of its test part are not public.
    """

    kind: Literal["dad3dheads"] = "dad3dheads"
    part: Literal["train", "val"] = "train"
    members: ClassVar[re.Pattern[str]] = re.compile(
        r"(^|/)(train|val)/((train|val)\.json|images/[^/]+\.png|annotations/[^/]+\.json)$"
    )

    def entries(self, raw: Path) -> Iterator[Entry]:
        """Every image in the index of the part, in the order of the index."""
        root = self.unpacked(raw)
        found = sorted(self.files(raw, f"{self.part}/{self.part}.json"))
        if not found:
            raise UserError(
                f"{root}: no {self.part}/{self.part}.json in it; it does not have the layout of DAD-3DHeads"
            )
        try:
            items = [(str(item["item_id"]), list(item["bbox"])) for item in json.loads(found[0].read_bytes())]
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            reason = brief(repr(error))
            raise UserError(f"{found[0]}: not an index of DAD-3DHeads ({reason}); unpack the archive again") from error
        for name, box in items:
            if "/" in name or name.startswith("."):
                raise UserError(f"{found[0]}: {brief(repr(name))} is not an item_id; unpack the archive again")
            yield Entry(name, found[0].parent / "images" / f"{name}.png", box)

    def read(self, entry: Entry) -> Sample:
        """Rotation from the annotation, and box from the index, which gives x, y, width, height."""
        path = entry.image.parent.parent / "annotations" / f"{entry.source_id}.json"
        matrix = _numbers(_load(path).get("model_view_matrix"), (4, 4), f"{path.name}: model_view_matrix")
        x, y, width, height = _numbers(entry.label, (4,), f"bbox of {entry.source_id}")
        return Sample(entry.source_id, matrix[:3, :3], given_box=np.array([x, y, x + width, y + height]))


def _load(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_bytes())
    except FileNotFoundError as error:
        raise ValueError(f"annotations/{path.name} is missing") from error
    except (ValueError, RecursionError) as error:
        raise ValueError(f"annotations/{path.name} is not JSON ({error})") from error
    if not isinstance(content, dict):
        raise ValueError(f"annotations/{path.name} is not an annotation")
    return content


def _numbers(value: Any, shape: tuple[int, ...], name: str) -> np.ndarray:
    try:
        numbers = np.array(value, float)
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"{name} does not consist of numbers") from error
    if numbers.shape != shape or not np.isfinite(numbers).all():
        raise ValueError(f"{name} is not {' x '.join(map(str, shape))} numbers")
    return numbers
