"""What all command lines of the steps have in common."""

import errno
import signal
import sys
from collections.abc import Callable
from typing import Any

import typer

from pipeline_steps.errors import UserError
from pipeline_steps.progress import configure_logging


def main(command: Callable[..., Any]) -> None:
    """Run a step's command; what the user can mend ends in one line on standard error and exit status 1."""
    configure_logging()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that a stopped job still closes its tracked run
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(command)
    try:
        app()
    except UserError as error:
        sys.exit(f"error: {error}")
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        where = error.filename or "the output"
        sys.exit(f"error: {where}: the disk is full; free some space and run the same command again")
