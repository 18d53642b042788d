"""What the command lines of all steps have in common."""

import errno
import faulthandler
import logging
import sys
from collections.abc import Callable
from typing import Any

import typer

from pipeline_steps.job.errors import UserError
from pipeline_steps.job.main_process import is_main_process
from pipeline_steps.job.progress import configure_logging, logger
from pipeline_steps.job.signals import end_on_sigterm

_REFUSED = "permission denied; change its permissions"
_REMEDIES = {
    errno.ENOSPC: "the disk is full; free some space",
    errno.EDQUOT: "your disk quota is used up; free some space",
    errno.EROFS: "is on a read-only file system; choose another place, or mount it writable,",
    errno.EACCES: _REFUSED,
    errno.EPERM: _REFUSED,
}
"""What to do about errors of the operating system that have nothing to do with the code, by error number."""


def main(command: Callable[..., Any]) -> None:
    """Run a step's command; an error that the user can fix ends in one line on standard error and exit status 1."""
    configure_logging()
    faulthandler.enable()  # a crash in native code, or on a memory-mapped file that was truncated, says where it was
    if not is_main_process():
        logger.setLevel(logging.WARNING)
    end_on_sigterm()
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(command)
    try:
        app()
    except UserError as error:
        sys.exit(f"error: {error}" if is_main_process() else 1)
    except OSError as error:
        if error.errno not in _REMEDIES:
            raise
        sys.exit(f"error: {error.filename or 'the output'}: {_REMEDIES[error.errno]} and run the same command again")
