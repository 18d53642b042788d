"""What a step does when it is told to end, as a cluster tells a job that is cancelled, preempted or out of time."""

import itertools
import os
import signal
import sys

MESSAGE = "stopped by SIGTERM; run the same command again: a training goes on from its last whole epoch\n"


def end_on_sigterm() -> None:
    """Let SIGTERM end the process like an error, so that unfinished files are removed and the tracked run is closed."""
    signals, speaker = itertools.count(), os.getpid()

    def end(*_: object) -> None:
        if next(signals) == 0:  # a cluster may send several, and the later ones must not cut the tidying short
            if os.getpid() == speaker:  # forked workers inherit this
                os.write(2, MESSAGE.encode())  # the logger may be at work right now, and cannot be entered twice
            sys.exit(143)

    signal.signal(signal.SIGTERM, end)
