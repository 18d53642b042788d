"""One training in several processes, each with its share of every batch, to the result that one process would have.

Every process makes the whole batch with its augmentations and views, since all randomness is drawn for the whole batch;
through the network it passes its own images alone. The heads' outputs are gathered and the losses are those of the
whole batch, so that no loss and no pretext task needs to know. What still differs: dropout, and batch statistics where
they are not synchronised (on GPUs they are, torch offers it there alone).
"""

import itertools
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.distributed as dist
from filelock import FileLock, Timeout
from torch import Tensor
from torch.distributed.nn.functional import all_gather

from pipeline_steps.job.errors import UserError

CLAIMED = "HEADPOSE_CLAIMED_GPUS"
_held: list[FileLock] = []


@dataclass(frozen=True)
class Shares:
    """How a batch of `batch` images is shared out: the image of index i goes to process i % processes."""

    batch: int
    processes: int = 1
    rank: int = 0

    @classmethod
    def of(cls, batch: int) -> "Shares":
        """Among all processes of this training; raises UserError where the batch does not divide by them."""
        if not dist.is_initialized():
            return cls(batch)
        processes = dist.get_world_size()
        if batch % processes:
            raise UserError(f"--devices {processes}: a batch has {batch} images, which do not divide by it")
        return cls(batch, processes, dist.get_rank())

    def own(self, inputs: Tensor) -> Tensor:
        """This process's images (V*B/N, ...) of inputs (V*B, ...): V views of each of the B images, view by view."""
        if self.processes == 1:
            return inputs
        views = inputs.reshape(-1, self.batch, *inputs.shape[1:])
        return views[:, self.rank :: self.processes].flatten(0, 1)

    def gathered(self, outputs: Tensor) -> Tensor:
        """Outputs (V*B, ...) for the whole batch, from those (V*B/N, ...) for every process's own share.

        A loss of them, computed alike by all, has N times its gradient for the own share, and DDP's mean over N
        processes takes that out again.
        """
        if self.processes == 1:
            return outputs
        if torch.is_grad_enabled():
            shares = list(all_gather(outputs.contiguous()))  # type: ignore[no-untyped-call]
        else:
            shares = [torch.empty_like(outputs) for _ in range(self.processes)]
            dist.all_gather(shares, outputs.contiguous())
        own = (-1, self.batch // self.processes, *outputs.shape[1:])
        return torch.stack([share.reshape(own) for share in shares], 2).flatten(0, 2)


def claim_devices(count: int, gpus: int | None = None) -> list[int] | int:
    """What a training of `count` devices runs on, for Lightning: indices of GPUs, or the number of CPU processes.

    The GPUs are those that the fewest other trainings of this user run on, and are counted as used until this process
    ends. gpus: how many there are; by default asked for. Raises UserError where they are too few.
    """
    gpus = torch.cuda.device_count() if gpus is None else gpus
    if not gpus:
        return count
    if count > gpus:
        raise UserError(f"--devices {count}: there are {gpus} GPUs here; give fewer")
    if CLAIMED in os.environ:  # by the process that has called this one
        return [int(index) for index in os.environ[CLAIMED].split(",")]
    folder = Path(tempfile.gettempdir(), f"headpose-gpus-{os.getuid()}")
    folder.mkdir(exist_ok=True)
    indices: list[int] = []
    for users, index in ((users, index) for users in itertools.count() for index in range(gpus)):
        lock = FileLock(folder / f"{index}.{users}")
        if index not in indices and _acquired(lock):
            _held.append(lock)
            indices.append(index)
        if len(indices) == count:
            break
    os.environ[CLAIMED] = ",".join(map(str, indices))
    return indices


def _acquired(lock: FileLock) -> bool:
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return False
    return True
