"""A file on its way: what is wanted, what there is of it so far, and whether what came is what was wanted."""

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
CHUNK = 1 << 16  # bytes; the first ones tell a web page
PAGE = re.compile(rb"(\xef\xbb\xbf)?\s*<(!doctype\s+html|html)\b", re.IGNORECASE)
TITLE = re.compile(rb"<title[^<>]*>([^<]*)", re.IGNORECASE)


class MirrorError(Exception):
    """Why a mirror does not deliver; another attempt would not help."""


class PassingError(MirrorError):
    """Why an attempt failed; another one may succeed."""


@dataclass(frozen=True)
class UnfinishedFile:
    """What is wanted, and what there is of it so far."""

    destination: Path
    sha256: str | None
    size: int | None  # bytes

    @property
    def part(self) -> Path:
        """The unfinished bytes."""
        return self._beside(".part")

    @property
    def folder(self) -> Path:
        """Place for a library that names unfinished files itself."""
        return self._beside(".drive")

    @property
    def _version(self) -> Path:
        return self._beside(".part.version")

    def _beside(self, ending: str) -> Path:
        return self.destination.with_name(self.destination.name + ending)

    def begin(self, url: str, validator: str) -> None:
        """Forget the unfinished bytes, and note which version of which address those to come belong to."""
        self.forget()
        self._version.write_text(f"{_fingerprint(url)}\n{validator}\n")

    def begun(self, url: str) -> tuple[int, str]:
        """Bytes to go on from, and the If-Range for them: empty where the checksum alone can tell versions apart."""
        have = self.part.stat().st_size if self.part.is_file() else 0
        lines = self._version.read_text(errors="replace").splitlines() if self._version.is_file() else []
        validator = lines[1] if len(lines) == 2 and lines[0] == _fingerprint(url) else ""
        return (have, validator) if validator or self.sha256 else (0, "")

    def forget(self) -> None:
        """Remove the unfinished bytes."""
        self.part.unlink(missing_ok=True)
        self._version.unlink(missing_ok=True)

    def finish(self, whole: Path, resumed: bool) -> str:
        """Give a checked file its name and return its SHA-256; remove a wrong one, and try a resumed one afresh."""
        with whole.open("rb") as content:
            fault = web_page(content.read(CHUNK))
        length, digest = whole.stat().st_size, files.sha256(whole)
        if not fault and self.size not in {None, length}:
            fault = f"sent {length} bytes in place of {self.size}"
        if not fault and self.sha256 not in {None, digest}:
            fault = f"wrong checksum: SHA-256 is {digest}"
        if not fault:
            files.put_in_place(whole, self.destination)
        self.forget()
        shutil.rmtree(self.folder, ignore_errors=True)
        if fault:
            raise (PassingError if resumed else MirrorError)(fault)
        return digest


class Progress:
    """Lines about one transfer: megabytes done, of how many, how fast, and what is left."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.start = self.reported = time.monotonic()
        self.before: int | None = None  # bytes that were there at the start

    def __call__(self, done: int, total: int | None, last: bool = False) -> None:
        """Take note of the bytes done; total is None where the server does not tell."""
        now = time.monotonic()
        self.before = done if self.before is None else self.before
        if last or now - self.reported >= REPORT_SECONDS:
            rate = max(done - self.before, 1) / max(now - self.start, 1e-9)
            of, left = ("?", "?") if total is None else (f"{total / 1e6:.1f}", time_left((total - done) / rate))
            logger.info("%s  %.1f/%s MB  %.1f MB/s  left %s", self.name, done / 1e6, of, rate / 1e6, left)
            self.reported = now


def web_page(head: bytes, certain: bool = False) -> str | None:
    """The reason where a file's first bytes are those of a web page."""
    if not certain and not PAGE.match(head):
        return None
    found = TITLE.search(head)
    title = plain(html.unescape(found[1].decode(errors="replace"))) if found else ""
    return "sent a web page in place of the file" + (f" ({textwrap.shorten(title, 80)})" if title else "")


def plain(text: str) -> str:
    """The text in one line, without what cannot be printed."""
    return "".join(filter(str.isprintable, " ".join(text.split())))


def _fingerprint(url: str) -> str:
    return hashlib.sha256(url.encode(errors="replace")).hexdigest()  # an address may hold a secret
