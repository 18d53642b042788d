"""Who writes results into a folder: one process at a time.

A step may outlive the Snakemake that started it. Whoever comes next must not mix other results with those that it still
writes.
"""

import atexit
import os
import platform
import sys
from contextlib import suppress
from pathlib import Path

from filelock import FileLock, Timeout

from pipeline_steps.job.errors import UserError
from pipeline_steps.job.main_process import is_main_process

WAIT_SECONDS = 60.0
"""How long a step waits for another process to end that holds the same folder."""
_held: dict[Path, FileLock] = {}


def hold(folder: Path) -> None:
    """Let no other process write results into a folder, until they are sealed or this process ends.

    The lock is a hidden file beside the folder, locked by the operating system; where the file system has no locks,
    nothing is locked. Raises UserError where another process holds the folder for a minute.
    """
    path = folder.absolute()
    if path in _held or not is_main_process():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path.with_name(f".{path.name}.lock"))
    try:
        _acquire(lock, folder)
    except (OSError, NotImplementedError) as error:
        if isinstance(error, PermissionError):
            raise
        return
    with suppress(OSError):
        Path(lock.lock_file).write_text(f"process {os.getpid()} on {platform.node()}")
    _held[path] = lock
    atexit.register(_release_in, os.getpid(), path)


def release(folder: Path) -> None:
    """Let others write into a folder that this process holds."""
    if lock := _held.pop(folder.absolute(), None):
        Path(lock.lock_file).unlink(missing_ok=True)  # while it is locked: whoever waits for it makes another
        lock.release()


def _acquire(lock: FileLock, folder: Path) -> None:
    try:
        lock.acquire(blocking=False)
    except Timeout:
        holder = "another process"
        with suppress(OSError):
            holder = Path(lock.lock_file).read_text() or holder
        print(f"{folder}: waiting for {holder}, which still writes there", file=sys.stderr, flush=True)
        try:
            lock.acquire(timeout=WAIT_SECONDS)
        except Timeout:
            raise UserError(
                f"{folder}: {holder} still writes there; wait until it ends, or end it, and run snakemake again"
            ) from None


def _release_in(process: int, path: Path) -> None:
    """Release when this process ends, but not when one does that was forked from it."""
    if os.getpid() == process:
        release(path)
