"""Downloads over HTTP by requests, resumed where the last attempt ended if the server still has the same version."""

import itertools
import re
from collections.abc import Iterable
from http.client import responses as phrases
from pathlib import Path
from urllib.parse import urlsplit

import requests
from urllib3.exceptions import HTTPError

from pipeline_steps.acquisition.unfinished import CHUNK, MirrorError, Progress, TransientError, UnfinishedFile, web_page

CONNECT_SECONDS = 20.0
READ_SECONDS = 60.0
ARCHIVES = {".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar"}


def fetch(url: str, file: UnfinishedFile) -> str:
    """Download the file, or the rest of it, in one attempt; return its hexadecimal SHA-256. Raises MirrorError."""
    offset, validator = file.received(url)
    headers = {"Accept-Encoding": "identity"}  # lengths and ranges must be those of the file itself
    if offset:
        headers |= {"Range": f"bytes={offset}-"} | ({"If-Range": validator} if validator else {})
    try:
        with requests.get(url, headers=headers, stream=True, timeout=(CONNECT_SECONDS, READ_SECONDS)) as response:
            _receive(response, url, file, offset, validator)
    except (requests.exceptions.SSLError, ValueError) as error:  # ValueError: malformed addresses and redirects
        raise MirrorError(reason(error)) from error
    except (requests.ConnectionError, requests.Timeout, HTTPError) as error:
        raise TransientError(reason(error)) from error
    except requests.RequestException as error:
        raise MirrorError(reason(error)) from error
    return file.finish(file.part, resumed=offset > 0)


def _receive(response: requests.Response, url: str, file: UnfinishedFile, offset: int, validator: str) -> None:
    """Append what the server sends to the .part, after checking that it is the right piece of the right file."""
    status = response.status_code
    if status == 416 and offset:
        file.discard()
    if status not in {200, 206}:
        transient = status in {408, 416, 429} or status >= 500
        raise (TransientError if transient else MirrorError)(_status(status))
    # not decoded: some servers declare a .tar.gz to be an encoded .tar, and requests would decompress it
    chunks = response.raw.stream(CHUNK, decode_content=False)
    head = next(chunks, b"")
    archive = {Path(urlsplit(url).path).suffix.lower(), file.destination.suffix.lower()} & ARCHIVES
    claimed = bool(archive) and response.headers.get("Content-Type", "").lower().startswith("text/html")
    if page := web_page(head, claimed) if claimed or status == 200 else None:
        raise MirrorError(page)
    total = _length(response) if status == 200 else _continued(response, file, offset, validator)
    if total is not None and file.size not in {None, total}:
        raise MirrorError(f"offers {total} bytes instead of {file.size}")
    if status == 200:
        offset = 0
        file.begin(url, _validator(response))
    _write(itertools.chain([head], chunks), file, offset, file.size if total is None else total)


def _write(chunks: Iterable[bytes], file: UnfinishedFile, done: int, total: int | None) -> None:
    progress = Progress(file.destination.name)
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
            file.discard()
        raise TransientError(f"sent {done} bytes instead of {total}")
    progress(done, done, last=True)


def _length(response: requests.Response) -> int | None:
    length = response.headers.get("Content-Length", "")
    return int(length) if length.isdecimal() and "Transfer-Encoding" not in response.headers else None


def _validator(response: requests.Response) -> str:
    """What identifies the file's version on the server; weak ETags are not allowed in If-Range."""
    etag = response.headers.get("ETag", "")
    return etag if etag.startswith('"') else response.headers.get("Last-Modified", "")


def _continued(response: requests.Response, file: UnfinishedFile, offset: int, validator: str) -> int:
    """Size in bytes of the complete file, from a response that must continue the .part in the same version."""
    found = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+|\*)", response.headers.get("Content-Range", ""))
    changed = validator and _validator(response) not in {"", validator}  # some servers ignore If-Range
    if not offset or not found or int(found[1]) != offset or changed:
        file.discard()
        raise TransientError("sent another piece than the one requested")
    return int(found[2]) + 1 if found[3] == "*" else int(found[3])


def reason(error: Exception) -> str:
    """A few words instead of the library's message, which would show the address with its secrets."""
    if isinstance(error, requests.HTTPError) and error.response is not None:
        return _status(error.response.status_code)
    if isinstance(error, requests.ConnectTimeout):
        return f"no connection within {CONNECT_SECONDS:g} s"
    causes: list[BaseException] = [error]
    while inner := causes[-1].__cause__ or causes[-1].__context__:
        causes.append(inner)
    if any(isinstance(cause, TimeoutError) for cause in causes):
        return f"stalled, no data for {READ_SECONDS:g} s"
    if isinstance(error, requests.ConnectionError):
        known = [cause.strerror for cause in causes if isinstance(cause, OSError) and cause.strerror]
        return f"no connection ({known[0]})" if known else "no connection"
    if isinstance(error, HTTPError | requests.exceptions.ChunkedEncodingError) and not isinstance(error, ValueError):
        return "the transfer was cut off"
    return f"request failed ({type(error).__name__})"


def _status(code: int) -> str:
    return f"HTTP {code} {phrases.get(code, '')}".strip()
