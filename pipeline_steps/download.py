"""Download one file from the first of its mirrors that delivers it whole.

By requests and tenacity, and by gdown where Google Drive is the mirror, because no library does the whole task: pooch
cannot resume, pypdl sends no If-Range, and gdown knows no mirrors and guards no resume from one call to the next.
"""

import errno
import hashlib
import html
import itertools
import re
import shutil
import textwrap
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from http.client import responses as phrases
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import requests
from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_attempt, wait_exponential
from urllib3.exceptions import HTTPError

from pipeline_steps import files
from pipeline_steps.errors import UserError
from pipeline_steps.progress import logger, time_left

CONNECT_SECONDS = 20.0
READ_SECONDS = 60.0
ATTEMPTS = 5  # per mirror
BACK_OFF_SECONDS = 1.0  # before the second attempt; doubles with every further one
REPORT_SECONDS = 5.0
CHUNK = 1 << 16  # bytes
DRIVE_HOSTS = {"drive.google.com", "drive.usercontent.google.com", "docs.google.com"}
ARCHIVES = {".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar"}
PAGE = re.compile(rb"(\xef\xbb\xbf)?\s*<(!doctype\s+html|html)\b", re.IGNORECASE)
TITLE = re.compile(rb"<title[^<>]*>([^<]*)", re.IGNORECASE)


class _MirrorError(Exception):
    """Why a mirror does not deliver; another attempt would not help."""


class _PassingError(_MirrorError):
    """Why an attempt failed; another one may succeed."""


def download(urls: Sequence[str], destination: Path, sha256: str | None = None, size: int | None = None) -> str:
    """Fetch the first of the mirrors that delivers, and return the hexadecimal SHA-256 of the finished file.

    sha256 (hexadecimal) and size (bytes) are demanded of the file where given. Unfinished bytes stay beside the
    destination, and the next call goes on from there. Raises UserError where no mirror delivers, and OSError with the
    destination as its filename where the disk is full; the destination is then as it was before.
    """
    hosts = [_host(url, destination) for url in urls]
    file = _File(destination, sha256.lower() if sha256 else None, size)
    reasons = []
    try:
        destination.parent.mkdir(parents=True, exist_ok=True)
        for url, host in zip(urls, hosts, strict=True):
            try:
                return _from_mirror(url, host, file)
            except _MirrorError as reason:
                logger.info("%s  %s: %s; given up", destination.name, host, reason)
                reasons.append(f"{host}: {reason}")
    except OSError as error:
        if error.errno == errno.ENOSPC:
            error.filename = str(destination)
        raise
    why = "; ".join(reasons) or "no address is known"
    raise UserError(f"{destination.name}: not downloaded ({why}); download it by hand and put it at {destination}")


@dataclass(frozen=True)
class _File:
    """What is wanted, and what there is of it so far."""

    destination: Path
    sha256: str | None
    size: int | None  # bytes

    def beside(self, ending: str) -> Path:
        return self.destination.with_name(self.destination.name + ending)

    @property
    def part(self) -> Path:
        return self.beside(".part")

    def begin(self, url: str, validator: str) -> None:
        """Forget the unfinished bytes, and note which version of which address those to come belong to."""
        self.forget()
        self.beside(".part.version").write_text(f"{_fingerprint(url)}\n{validator}\n")

    def unfinished(self, url: str) -> tuple[int, str]:
        """Bytes to go on from, and the If-Range for them: empty where the checksum alone can tell versions apart."""
        have = self.part.stat().st_size if self.part.is_file() else 0
        version = self.beside(".part.version")
        lines = version.read_text(errors="replace").splitlines() if version.is_file() else []
        validator = lines[1] if len(lines) == 2 and lines[0] == _fingerprint(url) else ""
        return (have, validator) if validator or self.sha256 else (0, "")

    def forget(self) -> None:
        """Remove the unfinished bytes."""
        self.part.unlink(missing_ok=True)
        self.beside(".part.version").unlink(missing_ok=True)

    def finish(self, whole: Path, resumed: bool) -> str:
        """Give a checked file its name and return its SHA-256; remove a wrong one, and try a resumed one afresh."""
        with whole.open("rb") as content:
            fault = _web_page(content.read(CHUNK))
        length, digest = whole.stat().st_size, files.sha256(whole)
        if not fault and self.size not in {None, length}:
            fault = f"sent {length} bytes in place of {self.size}"
        if not fault and self.sha256 not in {None, digest}:
            fault = f"wrong checksum: SHA-256 is {digest}"
        if not fault:
            whole.replace(self.destination)
        self.forget()
        shutil.rmtree(self.beside(".drive"), ignore_errors=True)
        if fault:
            raise (_PassingError if resumed else _MirrorError)(fault)
        return digest


class _Progress:
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


def _fingerprint(url: str) -> str:
    return hashlib.sha256(url.encode(errors="replace")).hexdigest()  # an address may hold a secret


def _from_mirror(url: str, host: str, file: _File) -> str:
    def say(state: RetryCallState) -> None:
        reason = state.outcome.exception() if state.outcome else ""
        logger.info("%s  %s: %s; attempt %d failed", file.destination.name, host, reason, state.attempt_number)

    attempts = Retrying(
        retry=retry_if_exception_type(_PassingError),
        stop=stop_after_attempt(ATTEMPTS),
        wait=wait_exponential(multiplier=BACK_OFF_SECONDS),
        before_sleep=say,
        reraise=True,
    )
    return attempts(_from_drive if host in DRIVE_HOSTS else _from_web, url, file)


def _from_web(url: str, file: _File) -> str:
    offset, validator = file.unfinished(url)
    headers = {"Accept-Encoding": "identity"}  # lengths and ranges must be those of the file itself
    if offset:
        headers |= {"Range": f"bytes={offset}-"} | ({"If-Range": validator} if validator else {})
    try:
        with requests.get(url, headers=headers, stream=True, timeout=(CONNECT_SECONDS, READ_SECONDS)) as response:
            _receive(response, url, file, offset, validator)
    except (requests.exceptions.SSLError, ValueError) as error:  # ValueError: malformed addresses and redirects
        raise _MirrorError(_reason(error)) from error
    except (requests.ConnectionError, requests.Timeout, HTTPError) as error:
        raise _PassingError(_reason(error)) from error
    except requests.RequestException as error:
        raise _MirrorError(_reason(error)) from error
    return file.finish(file.part, resumed=offset > 0)


def _receive(response: requests.Response, url: str, file: _File, offset: int, validator: str) -> None:
    """Write what the server sends into the .part, once it is known to be the wanted piece of the wanted file."""
    status = response.status_code
    if status == 416 and offset:
        file.forget()
    if status not in {200, 206}:
        passing = status in {408, 416, 429} or status >= 500
        raise (_PassingError if passing else _MirrorError)(_status(status))
    # as sent: some servers call a .tar.gz an encoded .tar, and requests would decode it
    chunks = response.raw.stream(CHUNK, decode_content=False)
    head = next(chunks, b"")
    archive = {Path(urlsplit(url).path).suffix.lower(), file.destination.suffix.lower()} & ARCHIVES
    claimed = bool(archive) and response.headers.get("Content-Type", "").lower().startswith("text/html")
    if page := _web_page(head, claimed) if claimed or status == 200 else None:
        raise _MirrorError(page)
    total = _length(response) if status == 200 else _continued(response, file, offset, validator)
    if total is not None and file.size not in {None, total}:
        raise _MirrorError(f"offers {total} bytes in place of {file.size}")
    if status == 200:
        offset = 0
        file.begin(url, _validator(response))
    _write(itertools.chain([head], chunks), file, offset, file.size if total is None else total)


def _write(chunks: Iterable[bytes], file: _File, done: int, total: int | None) -> None:
    progress = _Progress(file.destination.name)
    progress(done, total)
    with file.part.open("ab") as part:
        for chunk in chunks:
            part.write(chunk)
            done += len(chunk)
            progress(done, total)
            if total is not None and done > total:
                break
    if total is not None and done != total:
        if done > total:
            file.forget()
        raise _PassingError(f"sent {done} bytes in place of {total}")
    progress(done, done, last=True)


def _length(response: requests.Response) -> int | None:
    said = response.headers.get("Content-Length", "")
    return int(said) if said.isdecimal() and "Transfer-Encoding" not in response.headers else None


def _validator(response: requests.Response) -> str:
    """The mark of the file's version on the server; weak ETags are not allowed in If-Range."""
    etag = response.headers.get("ETag", "")
    return etag if etag.startswith('"') else response.headers.get("Last-Modified", "")


def _continued(response: requests.Response, file: _File, offset: int, validator: str) -> int:
    """Bytes of the whole file, from an answer that must go on where the .part ends, in the same version."""
    found = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+|\*)", response.headers.get("Content-Range", ""))
    changed = validator and _validator(response) not in {"", validator}  # some servers ignore If-Range
    if not offset or not found or int(found[1]) != offset or changed:
        file.forget()
        raise _PassingError("sent another piece than was asked for")
    return int(found[2]) + 1 if found[3] == "*" else int(found[3])


def _from_drive(url: str, file: _File) -> str:
    import gdown

    # in a folder of its own, for gdown names unfinished files itself
    whole = file.beside(".drive") / file.destination.name
    if file.sha256 is None:  # from one call to the next, gdown cannot tell whether the file has changed
        shutil.rmtree(whole.parent, ignore_errors=True)
    whole.parent.mkdir(exist_ok=True)
    resumed = any(whole.parent.iterdir())
    ids = parse_qs(urlsplit(url).query).get("id", [None])
    progress = _Progress(file.destination.name)
    try:
        gdown.download(
            url=None if ids[0] else url,
            id=ids[0],
            output=str(whole),
            quiet=True,
            use_cookies=False,  # they would be kept in the home folder
            resume=True,
            progress=progress,
            timeout=(CONNECT_SECONDS, READ_SECONDS),
            retries=ATTEMPTS - 1,
        )
    except OSError as error:
        if isinstance(error, requests.RequestException):
            raise _MirrorError(_reason(error)) from error
        raise
    except Exception as error:  # gdown reads pages that Google may change: KeyError, AssertionError and the like too
        raise _MirrorError(_drive_reason(error)) from error
    progress(whole.stat().st_size, whole.stat().st_size, last=True)
    return file.finish(whole, resumed)


def _drive_reason(error: Exception) -> str:
    """What gdown found out, without the addresses and the advice that it adds."""
    inner = error.__cause__ or error.__context__
    if isinstance(inner, requests.RequestException):
        return _reason(inner)
    known = [text for text in (inner, error) if type(text).__module__.startswith("gdown")]
    text = str(known[0]).partition("\n")[0] if known else f"gdown failed, {error!r}"
    return textwrap.shorten(_plain(re.sub(r"<[^>]*>|https?://\S+", " ", text)), 160, placeholder=" ...")


def _web_page(head: bytes, certain: bool = False) -> str | None:
    """The reason where a file's first bytes are those of a web page."""
    if not certain and not PAGE.match(head):
        return None
    found = TITLE.search(head)
    title = _plain(html.unescape(found[1].decode(errors="replace"))) if found else ""
    return "sent a web page in place of the file" + (f" ({textwrap.shorten(title, 80)})" if title else "")


def _plain(text: str) -> str:
    return "".join(filter(str.isprintable, " ".join(text.split())))


def _status(code: int) -> str:
    return f"HTTP {code} {phrases.get(code, '')}".strip()


def _reason(error: Exception) -> str:
    """A few words in place of the library's message, which would show the whole address."""
    if isinstance(error, requests.HTTPError) and error.response is not None:
        return _status(error.response.status_code)
    if isinstance(error, requests.ConnectTimeout):
        return f"no connection within {CONNECT_SECONDS:g} s"
    causes: list[BaseException] = [error]
    while inner := causes[-1].__cause__ or causes[-1].__context__:
        causes.append(inner)
    if any(isinstance(cause, TimeoutError) for cause in causes):
        return f"stalled, nothing came for {READ_SECONDS:g} s"
    if isinstance(error, requests.ConnectionError):
        said = [cause.strerror for cause in causes if isinstance(cause, OSError) and cause.strerror]
        return f"no connection ({said[0]})" if said else "no connection"
    if isinstance(error, HTTPError | requests.exceptions.ChunkedEncodingError) and not isinstance(error, ValueError):
        return "the transfer was cut off"
    return f"cannot be asked ({type(error).__name__})"
