"""Batches of crops for training: each in one read from HDF5, in an order that depends on seed and epoch alone."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import BatchSampler, DataLoader, Dataset, Sampler

from pipeline_steps.images.crop_file import CropFile
from pipeline_steps.images.window import read_as_seen, require_context
from pipeline_steps.job.errors import UserError

Batch = dict[str, Tensor]

Kind = Literal["labelled", "unlabelled"]
TrainLoaders = dict[Kind, DataLoader[Batch]]
TrainBatch = dict[Kind, Batch]
"""The input of a training step; pre-training has no labelled images, and fine-tuning need not have unlabelled ones."""

MEMORY_LIMIT = 2 << 30
"""Bytes of images up to which a data set is kept in memory; batches of a larger one are read from the file."""


class CropDataset(Dataset[Batch]):
    """The crops with the given source ids; batches of images uint8 (B, 3, T, T), rotation (B, 3, 3), euler_deg (B, 3).

    with_context: whether images have the stored size, from which training cuts random windows, or the size of the crops
    proper; these show the middle of each crop, a window of that share of its side. The file is opened lazily, so that
    every worker process has a handle of its own. Raises UserError where the window reaches beyond what is stored.
    """

    def __init__(self, crops: Path, source_ids: Sequence[str], with_context: bool = False, window: float = 1.0) -> None:
        self.crops = crops
        with CropFile(crops) as file:
            require_context(file, window)
            position = {source_id: i for i, source_id in enumerate(file.source_ids)}
            self.rows = np.array([position[source_id] for source_id in source_ids], dtype=np.int64)
            self.size, self.crop_rule = file.size, file.crop_rule
            self.subjects = [file.subjects[row] for row in self.rows]
            self.rotation = torch.from_numpy(file.rotation[self.rows].astype(np.float32))
            self.euler_deg = torch.from_numpy(file.euler_deg[self.rows].astype(np.float32))
            self.with_context, self.window = with_context, window
            side = file.stored if with_context else file.size
            self.cached = self._read(file, self.rows) if len(self.rows) * 3 * side**2 <= MEMORY_LIMIT else None
        self.file: CropFile | None = None

    def _read(self, file: CropFile, rows: np.ndarray) -> np.ndarray:
        return file.read_with_context(rows) if self.with_context else read_as_seen(file, rows, self.window)

    def require_labels(self, use: str) -> None:
        """Raise UserError where the pose of an image is unknown. use: what the images are for, in the message."""
        unknown = int((~torch.isfinite(self.rotation)).any(dim=(1, 2)).sum())
        if unknown or not len(self):
            raise UserError(
                f"{self.crops}: {unknown} of {len(self)} images {use} have no full pose label; "
                "choose a data set with yaw, pitch and roll as train_on, and one without as pretrain_on"
            )

    def __len__(self) -> int:
        return len(self.rows)

    def __getitems__(self, indices: list[int]) -> Batch:
        """A batch; torch's fetcher calls this once instead of `__getitem__` for every image."""
        if self.cached is not None:
            images = self.cached[indices]
        else:
            self.file = self.file or CropFile(self.crops)
            images = self._read(self.file, self.rows[indices])
        return {
            "images": torch.from_numpy(images).permute(0, 3, 1, 2),
            "rotation": self.rotation[indices],
            "euler_deg": self.euler_deg[indices],
        }


def _as_is(batch: Any) -> Any:
    return batch


class EpochSampler(Sampler[int]):
    """`images` indices per epoch: random permutations of the `count` images, one after the other, the last cut short.

    They are drawn from `seed` and the epoch, which Lightning sets.
    """

    def __init__(self, count: int, images: int, seed: int) -> None:
        self.count, self.images, self.seed, self.epoch = count, images, seed, 0

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch whose order is drawn next."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.images

    def __iter__(self) -> Iterator[int]:
        rng = np.random.default_rng([self.seed, self.epoch])
        orders = [rng.permutation(self.count) for _ in range(-(-self.images // self.count))]
        yield from np.concatenate(orders)[: self.images].tolist()


def train_loader(
    data: CropDataset, batch_size: int, seed: int, images: int | None = None, workers: int = 0
) -> DataLoader[Batch]:
    """Full batches in a new order each epoch, drawn from `seed` and the epoch.

    images: per epoch, rounded down to full batches; by default every image once, less an incomplete last batch, which
    differs from epoch to epoch. Raises UserError for fewer than two, which have no batch statistics.
    """
    images = len(data) if images is None else images
    if images < 2:
        raise UserError(
            f"{data.crops}: {images} image to train on, but at least two are needed; choose more by labels, "
            "train_on or pretrain_on, or set epoch_images, which repeats it"
        )
    sampler = EpochSampler(len(data), images, seed)
    batches = BatchSampler(sampler, min(batch_size, images), drop_last=True)
    return DataLoader(data, batch_sampler=batches, num_workers=workers, collate_fn=_as_is)


def validation_loader(data: CropDataset, batch_size: int) -> DataLoader[Batch]:
    """All images once, in order, in batches of nearly equal size, on which some losses depend; never a single image."""
    batches = [part.tolist() for part in np.array_split(np.arange(len(data)), -(-len(data) // batch_size))]
    return DataLoader(data, batch_sampler=batches, collate_fn=_as_is)
