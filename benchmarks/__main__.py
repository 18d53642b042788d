"""Speed, side by side in one run: python -m benchmarks. Prints a table and writes results/benchmarks.csv."""

import logging
import os
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import torch
from PIL import Image

from pipeline_steps.augmentation import Augmentation
from pipeline_steps.boxes import BoxRule
from pipeline_steps.crop_faces import Crop, crops_of
from pipeline_steps.crops import CropFile
from pipeline_steps.datasets.aflw2000 import Aflw2000
from pipeline_steps.datasets.base import Entry, HeadPoseDataset
from pipeline_steps.datasets.biwi import Biwi
from pipeline_steps.datasets.rendered import Rendered
from pipeline_steps.files import whole_file
from pipeline_steps.network.hybrid import HybridNetwork
from pipeline_steps.params import CropParams, CropRule, Crops, Training
from pipeline_steps.pretext.puzzling import Puzzling
from pipeline_steps.stand_ins.aflw2000 import write_aflw2000
from pipeline_steps.stand_ins.biwi import write_biwi
from pipeline_steps.training.fit import resolve_precision
from pipeline_steps.training.multi_task import Labelled, MultiTask

CORES = len(os.sched_getaffinity(0))


def rate(work: Callable[[], int], seconds: float = 6.0) -> float:
    """Images a second of `work`, which returns how many it did, after one unmeasured call."""
    work()
    start, done = time.perf_counter(), 0
    while time.perf_counter() - start < seconds:
        done += work()
    return done / (time.perf_counter() - start)


def rendering() -> dict[str, float]:
    """128 px heads to JPEG files; the start of the processes is taken out by two lengths of the same run."""

    def seconds(subjects: int, processes: int) -> float:
        with tempfile.TemporaryDirectory() as folder:
            start = time.perf_counter()
            Rendered(subjects=subjects, images_per_subject=40, image_size=128).render(Path(folder), processes)
            return time.perf_counter() - start

    rates = {}
    for processes in sorted({1, CORES}):
        seconds(processes, processes)
        short, long = seconds(2 * processes, processes), seconds(14 * processes, processes)
        rates[f"rendering 128 px, {processes} process(es)"] = 12 * processes * 40 / (long - short)
    return rates


def cropping() -> dict[str, float]:
    """Whole official pictures to crops of 64 px, label and all, against the plain decoding of the same files."""
    layouts: list[tuple[str, HeadPoseDataset, Callable[..., object], BoxRule]] = [
        ("JPEG 450x450", Aflw2000(), write_aflw2000, "landmarks_loose"),
        ("PNG 640x480", Biwi(), write_biwi, "projected_head"),
    ]
    rates = {}
    for name, source, write, box in layouts:
        with tempfile.TemporaryDirectory() as folder:
            raw, archive = Path(folder, "raw"), Path(folder, "archive")
            raw.mkdir()
            write(archive, people=4, images=8, seed=0)
            source.acquire(raw, archive)
            entries = list(source.entries(raw)) * 100
            params = CropParams(source=source, crop=CropRule(box=box), crops=Crops(size=64, context=0.1))

            def decode(entries: list[Entry] = entries) -> int:
                for entry in entries[:300]:
                    with Image.open(entry.image) as picture:
                        picture.convert("RGB")
                return 300

            def cut(processes: int, count: int, entries: list[Entry] = entries, params: CropParams = params) -> int:
                cropped = list(crops_of(entries[:count], params, processes))
                assert all(isinstance(item, Crop) for item in cropped)
                return len(cropped)

            rates[f"cropping {name}, plain decoding"] = rate(decode)
            rates[f"cropping {name}, 1 process"] = rate(partial(cut, 1, 300))
            for processes in range(2, CORES + 1):  # the processes' start is part of the time
                rates[f"cropping {name}, {processes} processes"] = rate(partial(cut, processes, len(entries)))
    return rates


def reading() -> dict[str, float]:
    """Random batches of 64 crops of 64 px: HDF5 with a chunk per image against an array in memory."""

    class Opened(CropFile):
        def __init__(self, file: h5py.File) -> None:
            self.file, self.size, self.stored = file, 64, 64

    images = np.random.default_rng(0).integers(0, 255, (8000, 64, 64, 3), dtype=np.uint8)
    order = np.random.default_rng(1)

    def rows() -> np.ndarray:
        return np.sort(order.choice(len(images), 64, replace=False))

    with tempfile.TemporaryDirectory() as folder, h5py.File(Path(folder, "crops.h5"), "w") as file:
        stored = file.create_dataset("images", data=images, chunks=(1, 64, 64, 3))
        return {
            "reading 64 px, array in memory": rate(lambda: len(images[rows()])),
            "reading 64 px, one selection of HDF5": rate(lambda: len(stored[rows()])),
            "reading 64 px, CropFile": rate(lambda: len(Opened(file).read(rows()))),
        }


def training() -> dict[str, float]:
    """ResNet18 at 64 px, batches of 64: a plain forward and backward pass against our whole training step."""
    torch.set_num_threads(CORES)
    images = torch.rand(64, 3, 64, 64).contiguous(memory_format=torch.channels_last)
    rotation, euler = torch.eye(3).expand(64, 3, 3).clone(), torch.zeros(64, 3)
    rates = {}
    for wanted in ("float32", "auto"):
        precision = resolve_precision(wanted)
        for name, tasks in (("baseline", {}), ("with puzzling", {"puzzling": Puzzling()})):
            network = HybridNetwork("resnet18", "rotation_6d", tasks).to(memory_format=torch.channels_last)
            augmentation = Augmentation(brightness=0.3, contrast=0.3, saturation=0.3, scale=(0.8, 1.0))
            training = Training(epochs=1, batch_size=64, learning_rate=1e-3, augmentation=augmentation)
            module = MultiTask(network, tasks, {}, "siamese", training, 64, 0)
            optimiser = torch.optim.AdamW(network.parameters())

            def step(
                module: MultiTask = module,
                optimiser: torch.optim.Optimizer = optimiser,
                augmented: bool = True,
                bfloat: bool = precision == "bf16-mixed",
            ) -> int:
                labelled = Labelled(images, rotation, euler)
                if augmented:
                    seen, motion = module.augment(images)
                    labelled = Labelled(seen, *motion.labels(rotation, euler))
                with torch.autocast("cpu", torch.bfloat16, enabled=bfloat):
                    losses, _ = module.losses(labelled, labelled.images, torch.Generator().manual_seed(0))
                optimiser.zero_grad()
                torch.autograd.backward(list(losses.values()))
                optimiser.step()
                return len(images)

            if not tasks:
                rates[f"training {precision}, plain pass"] = rate(partial(step, augmented=False))
            rates[f"training {precision}, {name}"] = rate(step)
    return rates


def main() -> None:
    """Measure everything and say it."""
    logging.disable(logging.WARNING)
    rates: dict[str, float] = {}
    for measure in (rendering, cropping, reading, training):
        rates |= measure()
    table = pd.DataFrame({"what": list(rates), "images_per_second": [round(r, 1) for r in rates.values()]})
    group = table["what"].str.split(",").str[0].replace(r"^(rendering|training|reading) .*", r"\1", regex=True)
    table["ratio_to_first"] = (
        table["images_per_second"] / table.groupby(group)["images_per_second"].transform("first")
    ).round(3)
    with whole_file(Path("results/benchmarks.csv")) as temporary:
        table.to_csv(temporary, index=False)
    print(table.to_markdown(index=False))


if __name__ == "__main__":
    main()
