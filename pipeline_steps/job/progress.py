"""Progress as plain lines: readable in a terminal, in a log file, and when several jobs write at once."""

import logging
import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

from tqdm import tqdm

T = TypeVar("T")
logger = logging.getLogger("headpose")


def configure_logging() -> None:
    """Send the project's messages to standard error, each with the time of day."""
    logging.basicConfig(stream=sys.stderr, format="%(asctime)s %(message)s", datefmt="%H:%M:%S", level=logging.WARNING)
    logger.setLevel(logging.INFO)


def time_left(seconds: float) -> str:
    """A duration as m:ss or h:mm:ss."""
    return str(tqdm.format_interval(max(seconds, 0)))


def track(items: Iterable[T], label: str, total: int, every_seconds: float = 5.0) -> Iterator[T]:
    """Yield the items; every few seconds, and at the end, log how many are done, how fast, and the time left.

    The clock starts at the first item: work before it, such as loading a model, says nothing about the other items.
    """
    start = reported = time.monotonic()
    for done, item in enumerate(items, start=1):
        if done == 1:
            start = reported = time.monotonic()
        yield item
        now = time.monotonic()
        if now - reported >= every_seconds or done == total:
            rate = done / max(now - start, 1e-9)
            logger.info("%s  %d/%d  %.0f/s  left %s", label, done, total, rate, time_left((total - done) / rate))
            reported = now
