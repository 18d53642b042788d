"""How Snakemake ends on SIGTERM."""

import signal
from threading import Thread
from typing import Any


def stop_on_sigterm(scheduler: Any) -> None:
    """Let Snakemake's scheduler start no further job after SIGTERM, and end once those at work have ended.

    The scheduler's own handler waits for a lock. Where the signal interrupts the main thread while it holds that lock,
    as it does while it deals with a job that SIGTERM has just ended, it waits for itself, forever (Snakemake 9.27). A
    thread of its own waits for the main thread instead.
    """
    signal.signal(signal.SIGTERM, lambda *_: Thread(target=scheduler.exit_gracefully).start())
