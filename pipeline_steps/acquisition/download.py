"""Download one file from the first of its mirrors that delivers it completely.

Uses requests and tenacity, and gdown for Google Drive, because no library does the entire task: pooch cannot resume,
pypdl sends no If-Range, and gdown has no mirrors and does not check that a file is unchanged before it resumes.
"""

import errno
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_attempt, wait_exponential

from pipeline_steps.acquisition import google_drive, web
from pipeline_steps.acquisition.unfinished import MirrorError, TransientError, UnfinishedFile
from pipeline_steps.job.errors import UserError
from pipeline_steps.job.progress import logger

ATTEMPTS = 5  # per mirror
BACK_OFF_SECONDS = 1.0  # before the second attempt; doubles with every further attempt


def download(urls: Sequence[str], destination: Path, sha256: str | None = None, size: int | None = None) -> str:
    """Download from the first mirror that delivers, and return the hexadecimal SHA-256 of the finished file.

    The file must have the given sha256 (hexadecimal) and size (bytes), if any. The bytes of an unfinished download stay
    beside the destination, and the next call resumes there. Raises UserError where no mirror delivers, and OSError with
    the destination as its filename where the disk is full; in both cases the destination is left unchanged.
    """
    hosts = [_host(url, destination) for url in urls]
    file = UnfinishedFile(destination, sha256.lower() if sha256 else None, size)
    reasons = []
    try:
        destination.parent.mkdir(parents=True, exist_ok=True)
        for url, host in zip(urls, hosts, strict=True):
            try:
                return _from_mirror(url, host, file)
            except MirrorError as reason:
                logger.info("%s  %s: %s; giving up on this mirror", destination.name, host, reason)
                reasons.append(f"{host}: {reason}")
    except OSError as error:
        if error.errno == errno.ENOSPC:
            error.filename = str(destination)
        raise
    why = "; ".join(reasons) or "no address is known"
    raise UserError(f"{destination.name}: not downloaded ({why}); download it by hand and put it at {destination}")


def _host(url: str, destination: Path) -> str:
    try:
        parts = urlsplit(url)
        if parts.scheme in {"http", "https"} and parts.hostname:
            return parts.hostname
    except ValueError:
        pass
    raise UserError(
        f"{destination.name}: an address is not http or https; correct it, or put the file at {destination}"
    )


def _from_mirror(url: str, host: str, file: UnfinishedFile) -> str:
    def log_failure(state: RetryCallState) -> None:
        reason = state.outcome.exception() if state.outcome else ""
        logger.info("%s  %s: %s; attempt %d failed", file.destination.name, host, reason, state.attempt_number)

    attempts = Retrying(
        retry=retry_if_exception_type(TransientError),
        stop=stop_after_attempt(ATTEMPTS),
        wait=wait_exponential(multiplier=BACK_OFF_SECONDS),
        before_sleep=log_failure,
        reraise=True,
    )
    from_drive = partial(google_drive.fetch, retries=ATTEMPTS - 1)
    return attempts(from_drive if host in google_drive.HOSTS else web.fetch, url, file)
