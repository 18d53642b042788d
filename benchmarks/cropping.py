"""Cropping to 64 px from official images with their labels, against plain decoding of the same files."""

import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

from PIL import Image

from benchmarks.measure import CORES, Row, rates
from pipeline_steps.datasets.aflw2000 import Aflw2000
from pipeline_steps.datasets.base import Entry, HeadPoseDataset
from pipeline_steps.datasets.biwi import Biwi
from pipeline_steps.images.boxes import BoxRule, CropBox
from pipeline_steps.images.crop_file import Crop
from pipeline_steps.images.cropping import CropFormat, Cropper
from stand_ins.aflw2000 import write_aflw2000
from stand_ins.biwi import write_biwi

LAYOUTS: list[tuple[str, HeadPoseDataset, Callable[..., object], BoxRule]] = [
    ("JPEG 450x450", Aflw2000(), write_aflw2000, "landmarks_loose"),
    ("PNG 640x480", Biwi(), write_biwi, "projected_head"),
]


def _decode(entries: list[Entry]) -> int:
    for entry in entries[:300]:
        with Image.open(entry.image) as image:
            image.convert("RGB")
    return 300


def _cut(entries: list[Entry], cropper: Cropper, processes: int) -> int:
    cropped = list(cropper.crop_all(entries, processes))
    assert all(isinstance(item, Crop) for item in cropped)
    return len(cropped)


def measure() -> list[Row]:
    """With one process, and with one per core; starting the processes is part of the time."""
    rows = []
    for name, source, write, box in LAYOUTS:
        with tempfile.TemporaryDirectory() as folder:
            raw, archive = Path(folder, "raw"), Path(folder, "archive")
            raw.mkdir()
            write(archive, subjects=4, images=8, seed=0)
            source.acquire(raw, archive)
            entries = list(source.entries(raw)) * 100
            cropper = Cropper(source, CropBox(box=box), CropFormat(size=64, context=0.1))
            counts = sorted({1, CORES})
            cutting = [partial(_cut, entries[:300] if n == 1 else entries, cropper, n) for n in counts]
            decoded, *cut = rates(partial(_decode, entries), *cutting)
            for processes, of_cut in zip(counts, cut, strict=True):
                what = f"cropping {name}, {processes} process{'es' * (processes > 1)}"
                rows.append(Row(what, of_cut, "plain decoding by one process", decoded, "images/s"))
    return rows
