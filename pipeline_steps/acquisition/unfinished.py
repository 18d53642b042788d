"""A download in progress: the file wanted, the bytes received so far, and the check of the finished file."""

import hashlib
import html
import re
import shutil
import textwrap
import time
from dataclasses import dataclass
from pathlib import Path

from pipeline_steps.job import files
from pipeline_steps.job.progress import logger, time_left

REPORT_SECONDS = 5.0
CHUNK = 1 << 16  # bytes; the first chunk shows whether it is a web page
PAGE = re.compile(rb"(\xef\xbb\xbf)?\s*<(!doctype\s+html|html)\b", re.IGNORECASE)
TITLE = re.compile(rb"<title[^<>]*>([^<]*)", re.IGNORECASE)


class MirrorError(Exception):
    """Why a mirror does not deliver; another attempt would not help."""


class TransientError(MirrorError):
    """Why an attempt failed; another one may succeed."""


@dataclass(frozen=True)
class UnfinishedFile:
    """The file wanted, and the bytes received so far, which are kept beside it."""

    destination: Path
    sha256: str | None
    size: int | None  # bytes

    @property
    def part(self) -> Path:
        """The bytes received so far."""
        return self._beside(".part")

    @property
    def folder(self) -> Path:
        """Folder for gdown, which chooses the names of unfinished files itself."""
        return self._beside(".drive")

    @property
    def _version(self) -> Path:
        return self._beside(".part.version")

    def _beside(self, ending: str) -> Path:
        return self.destination.with_name(self.destination.name + ending)

    def begin(self, url: str, validator: str) -> None:
        """Discard the bytes received so far, and record the address and version of the file that is about to come."""
        self.discard()
        self._version.write_text(f"{_hash(url)}\n{validator}\n")

    def received(self, url: str) -> tuple[int, str]:
        """Number of bytes to resume from, and the If-Range to send: empty where only the checksum guards the resume."""
        length = self.part.stat().st_size if self.part.is_file() else 0
        lines = self._version.read_text(errors="replace").splitlines() if self._version.is_file() else []
        validator = lines[1] if len(lines) == 2 and lines[0] == _hash(url) else ""
        return (length, validator) if validator or self.sha256 else (0, "")

    def discard(self) -> None:
        """Remove the bytes received so far."""
        self.part.unlink(missing_ok=True)
        self._version.unlink(missing_ok=True)

    def finish(self, complete: Path, resumed: bool) -> str:
        """Check a complete file, move it to its destination and return its SHA-256.

        Removes a wrong file and raises MirrorError; TransientError where it was resumed, since a download from the
        start may be right.
        """
        with complete.open("rb") as content:
            fault = web_page(content.read(CHUNK))
        length, checksum = complete.stat().st_size, files.sha256(complete)
        if not fault and self.size not in {None, length}:
            fault = f"sent {length} bytes instead of {self.size}"
        if not fault and self.sha256 not in {None, checksum}:
            fault = f"wrong checksum: SHA-256 is {checksum}"
        if not fault:
            files.put_in_place(complete, self.destination)
        self.discard()
        shutil.rmtree(self.folder, ignore_errors=True)
        if fault:
            raise (TransientError if resumed else MirrorError)(fault)
        return checksum


class Progress:
    """Logs one transfer: megabytes received, the total, the speed, and the time left."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.start = self.reported = time.monotonic()
        self.before: int | None = None  # bytes that were already there at the start

    def __call__(self, done: int, total: int | None, last: bool = False) -> None:
        """Report the number of bytes received; total is None where the server does not say."""
        now = time.monotonic()
        self.before = done if self.before is None else self.before
        if last or now - self.reported >= REPORT_SECONDS:
            rate = max(done - self.before, 1) / max(now - self.start, 1e-9)
            of, left = ("?", "?") if total is None else (f"{total / 1e6:.1f}", time_left((total - done) / rate))
            logger.info("%s  %.1f/%s MB  %.1f MB/s  left %s", self.name, done / 1e6, of, rate / 1e6, left)
            self.reported = now


def web_page(head: bytes, certain: bool = False) -> str | None:
    """A reason to refuse a file whose first bytes are those of a web page; None for other files.

    certain: whether it is known to be a web page, whatever the bytes.
    """
    if not certain and not PAGE.match(head):
        return None
    found = TITLE.search(head)
    title = plain(html.unescape(found[1].decode(errors="replace"))) if found else ""
    return "sent a web page instead of the file" + (f" ({textwrap.shorten(title, 80)})" if title else "")


def plain(text: str) -> str:
    """The text in one line, without characters that cannot be printed."""
    return "".join(filter(str.isprintable, " ".join(text.split())))


def _hash(url: str) -> str:
    return hashlib.sha256(url.encode(errors="replace")).hexdigest()  # an address may contain a secret
