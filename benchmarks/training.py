"""The training step: what the data path, Lightning and the hybrid network cost beside the bare network."""

import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from benchmarks.crop_files import write_noise
from benchmarks.measure import CORES, DEVICE, Row, rates, wait
from pipeline_steps.images.augmentation import Augmentation
from pipeline_steps.job.processor import use_processor
from pipeline_steps.job.worker_pool import worker_pool
from pipeline_steps.network.backbones import Backbone
from pipeline_steps.network.hybrid import HybridNetwork
from pipeline_steps.params.sections import Training
from pipeline_steps.params.steps import Auxiliary
from pipeline_steps.pretext.puzzling import Puzzling
from pipeline_steps.tracking.runs import TrackedRun
from pipeline_steps.training.data import Batch, CropDataset, train_loader, validation_loader
from pipeline_steps.training.fit import fit, resolve_precision
from pipeline_steps.training.multi_task import Labelled, MultiTask

AUGMENTATION = Augmentation(brightness=0.3, contrast=0.3, saturation=0.3, grayscale=0.1, scale=(0.8, 1.0), shift=0.1)
PUZZLING = {"puzzling": Auxiliary(weight=1.0, task=Puzzling())}
UNMEASURED, MEASURED = 5, 60
"""Steps of each kind, which take turns: a shared machine's speed drifts by more than is looked for."""
Step = Callable[[], int]
"""A training step in a plain loop, which returns of how many images."""


class _InTurns(DataLoader[Batch]):
    """Batches of our data path in turns with one that lies on the device already, and steps of plain loops between.

    seconds: that each took from when it was asked for to the end of its step: read, resident, one per plain loop.
    """

    def __init__(self, read: DataLoader[Batch], resident: Batch, plain: Sequence[Step]) -> None:
        super().__init__(range(2 * len(read)))  # type: ignore[arg-type]
        self.read, self.resident, self.plain = read, resident, plain
        self.seconds: list[list[float]] = [[] for _ in ("read", "resident", *plain)]

    @contextmanager
    def _timed(self, kind: int) -> Iterator[None]:
        start = time.perf_counter()
        yield
        wait()
        self.seconds[kind].append(time.perf_counter() - start)

    def __iter__(self) -> Any:
        batches = iter(self.read)
        for _ in range(len(self.read)):
            with self._timed(0):
                yield next(batches)
            with self._timed(1):
                yield dict(self.resident)
            for kind, step in enumerate(self.plain, 2):
                with self._timed(kind):
                    step()


def _step_rates(
    backbone: str, auxiliary: Mapping[str, Auxiliary], data: CropDataset, batch_size: int, plain: Sequence[Step] = ()
) -> list[float]:
    """Images a second by our data path, on a batch that lies on the device, and by each plain loop."""
    training = Training(epochs=1, batch_size=batch_size, learning_rate=1e-3, augmentation=AUGMENTATION)
    module = MultiTask(HybridNetwork(backbone, "rotation_6d", auxiliary), training, data.size, 0)
    few = validation_loader(CropDataset(data.crops, ["0000000", "0000001"]), batch_size)
    resident = {k: v.to(DEVICE) for k, v in data.__getitems__(list(range(batch_size))).items()}
    loader = _InTurns(train_loader(data, batch_size, 0), resident, plain)
    with tempfile.TemporaryDirectory() as folder:
        fit(module, {"labelled": loader}, few, Path(folder), "bench", TrackedRun())
    return [batch_size / median(seconds[UNMEASURED:]) for seconds in loader.seconds]


def _bare_step(backbone: str, batch_size: int, size: int, compiled: bool = False) -> Step:
    """The network alone in a plain loop: channels-last, mixed precision, fused optimiser."""
    torch.manual_seed(0)
    network: Any = Backbone(backbone)
    head = torch.nn.Linear(network.features, 6).to(DEVICE)
    network = network.to(DEVICE, memory_format=torch.channels_last)
    parameters = [*network.parameters(), *head.parameters()]
    optimiser = torch.optim.AdamW(parameters, fused=True)
    if compiled:
        network = torch.compile(network)
    images = torch.rand(batch_size, 3, size, size, device=DEVICE).contiguous(memory_format=torch.channels_last)
    bfloat = resolve_precision("auto") == "bf16-mixed"

    def step() -> int:
        with torch.autocast(DEVICE, torch.bfloat16, enabled=bfloat):
            loss = head(network(images)).float().square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        return batch_size

    return step


def _step_rows(backbone: str, size: int, batch_size: int, compile_too: bool) -> list[Row]:
    name = f"{backbone} at {size} px, batches of {batch_size}"
    plain = [_bare_step(backbone, batch_size, size, compiled) for compiled in (False, *[True] * compile_too)]
    with tempfile.TemporaryDirectory() as folder:
        crops, images = Path(folder, "crops.h5"), (UNMEASURED + MEASURED) * batch_size
        write_noise(crops, images, size)
        data = CropDataset(crops, [f"{i:07d}" for i in range(images)], True)
        read, resident, bare, *compiled = _step_rates(backbone, {}, data, batch_size, plain)
        hybrid, hybrid_resident = _step_rates(backbone, PUZZLING, data, batch_size)
    reach, unit = ">= 0.95" if DEVICE == "cuda" else ">= 0.97", "images/s"
    return [
        Row(f"baseline's step, {name}", read, "the same on a batch that lies on the device", resident, unit, reach),
        Row(f"hybrid's step, {name}", hybrid, "the same on a batch that lies there", hybrid_resident, unit, reach),
        Row(f"baseline's step, {name}", read, "a plain loop without data or augmentation", bare, unit),
        *(
            Row(f"baseline's step, {name}", read, "that loop with torch.compile", best, unit, ">= 1.0")
            for best in compiled
        ),
    ]


def _siamese(backbone: str, size: int, batch_size: int) -> Row:
    """Pose view and puzzle view through the backbone as one batch, against one after the other."""
    torch.manual_seed(0)
    network = HybridNetwork(backbone, "rotation_6d", PUZZLING).to(DEVICE).to(memory_format=torch.channels_last)
    training = Training(epochs=1, batch_size=batch_size, learning_rate=1e-3, augmentation=AUGMENTATION)
    module = MultiTask(network, training, size, 0).to(DEVICE)
    images = torch.rand(batch_size, 3, size, size, device=DEVICE).contiguous(memory_format=torch.channels_last)
    rotation = torch.eye(3, device=DEVICE).expand(batch_size, 3, 3)
    labelled = Labelled(images, rotation, torch.zeros(batch_size, 3, device=DEVICE))
    bfloat = resolve_precision("auto") == "bf16-mixed"

    def backward(losses: list[Tensor]) -> None:
        network.zero_grad()
        torch.stack(losses).sum().backward()  # type: ignore[no-untyped-call]

    def together() -> int:
        with torch.autocast(DEVICE, torch.bfloat16, enabled=bfloat):
            losses, _ = module.losses(labelled, images, torch.Generator().manual_seed(0))
        backward(list(losses.values()))
        return batch_size

    def one_by_one() -> int:
        with torch.autocast(DEVICE, torch.bfloat16, enabled=bfloat):
            rotated = network(images)
            task = PUZZLING["puzzling"].task
            view = task.views(images, torch.Generator().manual_seed(0))
            maps = network.backbone.maps(view.inputs.contiguous(memory_format=torch.channels_last)).float()
            loss, _ = task.loss(network.auxiliary_outputs("puzzling", maps), view.targets)
        assert network.pose_head is not None
        backward([(rotated - rotation).square().mean(), loss])
        return batch_size

    ours, theirs = (1e3 * batch_size / found for found in rates(together, one_by_one))
    name = f"{backbone} at {size} px, batches of {batch_size}"
    return Row(f"hybrid's two views as one batch, {name}", ours, "one after the other", theirs, "ms", "<= 1.0")


def _fresh_process(kept: bool, backbone: str, batch_size: int, size: int) -> float:
    (use_processor if kept else torch.set_num_threads)(CORES)
    (found,) = rates(_bare_step(backbone, batch_size, size))
    return found


def _memory(backbone: str, size: int, batch_size: int) -> Row:
    """The network alone where freed memory stays with the process, against glibc's default."""
    found: dict[bool, list[float]] = {True: [], False: []}
    for kept in (True, False) * 3:
        with worker_pool(1, get_context("spawn")) as process:
            found[kept].append(process.submit(_fresh_process, kept, backbone, batch_size, size).result())
    what = f"a plain loop that keeps its memory, {backbone} at {size} px, batches of {batch_size}"
    return Row(what, median(found[True]), "one that gives it back", median(found[False]), "images/s")


def measure() -> list[Row]:
    """The rows for this machine: what a GPU or two CPU cores train."""
    if DEVICE == "cuda":
        rows = _step_rows("resnet18", 112, 256, False)
        return [*rows, _siamese("resnet18", 112, 128), *_step_rows("resnet50", 224, 128, True)]
    memory = [_memory("resnet18", 64, 64), _memory("resnet50", 224, 32)]
    return [*_step_rows("resnet18", 64, 64, False), _siamese("resnet18", 64, 64), *memory]
