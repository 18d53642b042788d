"""How a step ends on SIGTERM, which a cluster sends to a job that is cancelled, preempted or out of time."""

import itertools
import os
import signal
import sys

MESSAGE = "stopped by SIGTERM; run the same command again: a training resumes after its last complete epoch\n"


def end_on_sigterm() -> None:
    """Let SIGTERM end the process like an error, so that unfinished files are removed and the tracked run is closed."""
    signals, main_pid = itertools.count(), os.getpid()

    def end(*_: object) -> None:
        if next(signals) == 0:  # a cluster may send several, and later ones must not interrupt the clean-up
            if os.getpid() == main_pid:  # forked workers inherit this handler
                os.write(2, MESSAGE.encode())  # the logger may be in the middle of a call, and is not re-entrant
            sys.exit(143)

    signal.signal(signal.SIGTERM, end)
