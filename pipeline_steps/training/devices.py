"""Which GPUs a training runs on: trainings of one user that run at the same time share them out among each other."""

import itertools
import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import torch
from filelock import FileLock, Timeout

from pipeline_steps.job.errors import UserError

CLAIMED = "HEADPOSE_CLAIMED_GPUS"
"""Environment variable for the further processes of one training. Lightning starts them by calling the command again,
so that they inherit the environment and nothing else, and the locks are held by the first process.
"""


@contextmanager
def claimed_devices(count: int, gpus: int | None = None) -> Iterator[list[int] | int]:
    """What a training with `count` devices runs on, for Lightning: indices of GPUs, or the number of CPU processes.

    The GPUs are those that run the fewest other trainings of this user; they count as used until the block ends.
    gpus: how many the machine has; by default torch counts them. Raises UserError where there are fewer than `count`.
    """
    gpus = torch.cuda.device_count() if gpus is None else gpus
    if not gpus:
        yield count
    elif count > gpus:
        raise UserError(f"--devices {count}: there are {gpus} GPUs here; give fewer")
    elif CLAIMED in os.environ:
        yield [int(index) for index in os.environ[CLAIMED].split(",")]
    else:
        with ExitStack() as locks:
            indices = _locked(count, gpus, locks)
            os.environ[CLAIMED] = ",".join(map(str, indices))
            try:
                yield indices
            finally:
                del os.environ[CLAIMED]


def _locked(count: int, gpus: int, locks: ExitStack) -> list[int]:
    folder = Path(tempfile.gettempdir(), f"headpose-gpus-{os.getuid()}")
    folder.mkdir(exist_ok=True)
    indices: list[int] = []
    for users, index in ((users, index) for users in itertools.count() for index in range(gpus)):
        lock = FileLock(folder / f"{index}.{users}")
        if index not in indices and _acquired(lock):
            locks.callback(lock.release)
            indices.append(index)
        if len(indices) == count:
            break
    return indices


def _acquired(lock: FileLock) -> bool:
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return False
    return True
