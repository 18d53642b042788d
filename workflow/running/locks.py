"""Locks that a killed Snakemake has left behind.

Snakemake's own locks say nothing about who holds them. So every Snakemake holds a file in `.snakemake/holders`, named
by its machine and process, locked by the operating system for as long as the process lives. Where all these files are
of this machine and none is locked, nobody holds Snakemake's locks either.
"""

import atexit
import os
import platform
import shutil
import sys
from pathlib import Path

from filelock import FileLock, Timeout

LOCKS = Path(".snakemake/locks")
HOLDERS = Path(".snakemake/holders")
HERE = platform.node()


def clear_stale(everywhere: bool) -> None:
    """Remove the locks of Snakemakes that were killed, saying so, and hold a file for this one until it ends.

    everywhere: forget the Snakemakes of other machines as well, which cannot be seen from here, as `--unlock` asks for.
    """
    holders = list(HOLDERS.glob("*.lock"))
    dead = [path for path in holders if (everywhere or _names(path)[0] == HERE) and not _is_locked(path)]
    if any(LOCKS.glob("*.lock")) and holders:
        if len(dead) == len(holders):
            shutil.rmtree(LOCKS)
            processes = ", ".join(_names(path)[1] for path in dead)
            _say(f"removed the lock of a Snakemake that no longer runs (process {processes})")
        elif others := [path for path in holders if path not in dead and _names(path)[0] != HERE]:
            ended = (
                f"process {', '.join(_names(path)[1] for path in dead)} of this machine has ended, but " if dead else ""
            )
            named = ", ".join(sorted({_names(path)[0] for path in others}))
            _say(f"{LOCKS}: {ended}a Snakemake of {named} may still run; where none does: make unlock")
    for path in dead:
        path.unlink(missing_ok=True)
    HOLDERS.mkdir(parents=True, exist_ok=True)
    mine = FileLock(HOLDERS / f"{HERE}-{os.getpid()}.lock")
    try:
        mine.acquire(blocking=False)
    except (OSError, NotImplementedError):  # a file system without locks: stale ones are for `make unlock` to remove
        Path(mine.lock_file).unlink(missing_ok=True)
        return
    atexit.register(_release, mine, os.getpid())


def _names(holder: Path) -> tuple[str, str]:
    """Machine and process."""
    machine, _, process = holder.stem.rpartition("-")
    return machine, process


def _is_locked(holder: Path) -> bool:
    """Whether a process holds the file, as far as one can see."""
    try:
        with FileLock(holder, blocking=False):
            return False
    except (OSError, NotImplementedError, Timeout):
        return True


def _release(mine: FileLock, process: int) -> None:
    """Give the file up when this process ends, but not when one does that was forked from it."""
    if os.getpid() == process:
        mine.release()
        Path(mine.lock_file).unlink(missing_ok=True)


def _say(line: str) -> None:
    print(line, file=sys.stderr)
