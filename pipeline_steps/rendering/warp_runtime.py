"""Start Warp, which renders on the CPU, without what it says of GPUs."""

import os
import sys
from collections.abc import Callable
from tempfile import TemporaryFile

import warp as wp

_NO_GPU = b"Could not find or load the NVIDIA CUDA driver"


def start_warp() -> None:
    """Initialise Warp, and leave out its banner and its line that there is no GPU; all else that it says is shown."""
    wp.config.log_level = wp.LOG_ERROR
    start: Callable[[], None] = wp.init
    if sys.stderr is None:  # closed: there is nothing to leave out
        start()
        return
    sys.stderr.flush()
    shown = os.dup(2)
    with TemporaryFile() as said:  # the line comes from compiled code, which no setting of Warp keeps from it
        os.dup2(said.fileno(), 2)
        try:
            start()
        finally:
            os.dup2(shown, 2)
            os.close(shown)
            said.seek(0)
            os.write(2, b"".join(line for line in said if _NO_GPU not in line))
