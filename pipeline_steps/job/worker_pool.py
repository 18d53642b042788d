"""Worker processes of a step, which end with it, however it ends."""

import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import parent_process
from multiprocessing.context import BaseContext
from typing import Any

from pipeline_steps.job.errors import UserError


@contextmanager
def worker_pool(
    processes: int, context: BaseContext | None = None, start: Callable[..., None] | None = None, *arguments: Any
) -> Iterator[ProcessPoolExecutor]:
    """A pool of processes, each of which first calls `start` with the arguments.

    Raises UserError where one of them is killed.
    """
    with ProcessPoolExecutor(processes, context, _start, (start, *arguments)) as pool:
        try:
            yield pool
        except BrokenProcessPool as error:
            raise UserError(
                "a worker process was killed, most likely because memory ran out; give this step fewer cores or the "
                "machine more memory, and run the same command again"
            ) from error


def _start(start: Callable[..., None] | None, *arguments: Any) -> None:
    # A worker would outlive a killed parent, waiting for work, and hold the pipe to the log open: tee, and with it
    # Snakemake, would wait for it forever.
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if start:
        start(*arguments)


def _end_with_parent() -> None:
    parent = parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
