"""Crops of 64 px from whole official pictures, label and all, against the plain decoding of the same files."""

import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

from PIL import Image

from benchmarks.measure import CORES, Row, rates
from pipeline_steps.crop_faces import crops_of
from pipeline_steps.datasets.aflw2000 import Aflw2000
from pipeline_steps.datasets.base import Entry, HeadPoseDataset
from pipeline_steps.datasets.biwi import Biwi
from pipeline_steps.images.boxes import BoxRule
from pipeline_steps.images.crop_file import Crop
from pipeline_steps.params.sections import CropRule, Crops
from pipeline_steps.params.steps import CropParams
from stand_ins.aflw2000 import write_aflw2000
from stand_ins.biwi import write_biwi

LAYOUTS: list[tuple[str, HeadPoseDataset, Callable[..., object], BoxRule]] = [
    ("JPEG 450x450", Aflw2000(), write_aflw2000, "landmarks_loose"),
    ("PNG 640x480", Biwi(), write_biwi, "projected_head"),
]


def _decode(entries: list[Entry]) -> int:
    for entry in entries[:300]:
        with Image.open(entry.image) as picture:
            picture.convert("RGB")
    return 300


def _cut(entries: list[Entry], params: CropParams, processes: int) -> int:
    cropped = list(crops_of(entries, params, processes))
    assert all(isinstance(item, Crop) for item in cropped)
    return len(cropped)


def measure() -> list[Row]:
    """One process and one per core, whose start is part of the time."""
    rows = []
    for name, source, write, box in LAYOUTS:
        with tempfile.TemporaryDirectory() as folder:
            raw, archive = Path(folder, "raw"), Path(folder, "archive")
            raw.mkdir()
            write(archive, people=4, images=8, seed=0)
            source.acquire(raw, archive)
            entries = list(source.entries(raw)) * 100
            params = CropParams(source=source, crop=CropRule(box=box), crops=Crops(size=64, context=0.1))
            spread = sorted({1, CORES})
            cutting = [partial(_cut, entries[:300] if n == 1 else entries, params, n) for n in spread]
            decoded, *cut = rates(partial(_decode, entries), *cutting)
            for processes, of_cut in zip(spread, cut, strict=True):
                what = f"cropping {name}, {processes} process{'es' * (processes > 1)}"
                rows.append(Row(what, of_cut, "plain decoding by one process", decoded, "images/s"))
    return rows
