"""A web server for tests, which serves a local folder and misbehaves as a test requests."""

import hashlib
import re
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Self

LAST_MODIFIED = "Wed, 01 Jan 2025 00:00:00 GMT"


@dataclass(frozen=True)
class Fault:
    """How a response differs from a correct one; faults can be combined."""

    status: int | None = None  # this status without the file
    page: str | None = None  # a web page instead of the file, with status 200 by default
    content_type: str = "application/octet-stream"
    content: bytes | None = None  # instead of the file's, with a matching ETag
    cut: int | None = None  # bytes of the body before the connection closes
    stall: int | None = None  # bytes of the body before the server stalls; -1: stalls before the headers
    length: int = 0  # added to the correct Content-Length
    chunked: bool = False  # chunked encoding, without Content-Length
    no_length: bool = False  # no Content-Length; the body ends with the connection
    ignore_range: bool = False
    ignore_if_range: bool = False
    piece: int | None = None  # most bytes sent for a Range
    shift: int = 0  # bytes by which a piece begins later than requested
    validators: tuple[str, ...] = ("ETag", "Last-Modified")  # the headers that are sent
    etag: str | None = None
    headers: dict[str, str] = field(default_factory=dict)  # added, or replacing the correct ones
    redirect: str | None = None  # the address in the Location header


@dataclass(frozen=True)
class Request:
    """A request: the path with its query, and the headers."""

    path: str
    headers: dict[str, str]


class Server:
    """Serves a folder's files on 127.0.0.1 with Range, If-Range and ETag, as a context manager."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.requests: list[Request] = []
        self._faults: dict[str, list[tuple[Fault, int | None]]] = {}
        self._closing = threading.Event()
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer._answer(self)

            def log_message(self, format: str, *args: object) -> None:
                pass  # tests read `requests`

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.set()  # lets stalled answers end
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def url(self, path: str) -> str:
        """The address of a file, given relative to the folder."""
        return f"http://127.0.0.1:{self._server.server_port}/{path}"

    def misbehave(self, path: str, fault: Fault, times: int | None = None) -> None:
        """Apply a fault to the next `times` requests for a path, or to all; faults for one path queue up."""
        with self._lock:
            self._faults.setdefault(path, []).append((fault, times))

    def behave(self, path: str) -> None:
        """Answer all further requests for a path correctly."""
        with self._lock:
            self._faults.pop(path, None)

    def asked(self, path: str) -> list[str | None]:
        """The Range header of every request for a path, in order."""
        return [request.headers.get("Range") for request in self.requests if _name(request.path) == path]

    def _next_fault(self, path: str) -> Fault:
        with self._lock:
            queue = self._faults.get(path, [])
            if not queue:
                return Fault()
            fault, times = queue[0]
            if times is not None:
                queue[0] = (fault, times - 1)
                if times <= 1:
                    queue.pop(0)
            return fault

    def _answer(self, handler: BaseHTTPRequestHandler) -> None:
        self.requests.append(Request(handler.path, dict(handler.headers.items())))
        path = _name(handler.path)
        fault = self._next_fault(path)
        file = self.folder / path
        if fault.stall == -1:
            self._closing.wait(30)
        elif fault.redirect is not None:
            _send(handler, 302, {"Location": fault.redirect, "Content-Length": "0"})
        elif fault.page is not None:
            body = fault.page.encode()
            headers = {"Content-Type": "text/html; charset=utf-8", "Content-Length": str(len(body))} | fault.headers
            _send(handler, fault.status or 200, headers)
            handler.wfile.write(body)
        elif fault.status is not None:
            _send(handler, fault.status, {"Content-Length": "0"} | fault.headers)
        elif not file.is_file() or not file.resolve().is_relative_to(self.folder.resolve()):
            _send(handler, 404, {"Content-Length": "0"})
        else:
            self._send_file(handler, fault, file.read_bytes() if fault.content is None else fault.content)

    def _send_file(self, handler: BaseHTTPRequestHandler, fault: Fault, content: bytes) -> None:
        etag = fault.etag or f'"{hashlib.sha256(content).hexdigest()[:16]}"'
        validators = {"ETag": etag, "Last-Modified": LAST_MODIFIED}
        headers = {k: v for k, v in validators.items() if k in fault.validators}
        headers |= {"Content-Type": fault.content_type, "Accept-Ranges": "bytes"}
        status, body = 200, content
        asked = re.fullmatch(r"bytes=(\d+)-", handler.headers.get("Range", ""))
        expected = handler.headers.get("If-Range")
        same = expected is None or fault.ignore_if_range or expected in headers.values()
        if asked and same and not fault.ignore_range:
            begin = int(asked[1]) + fault.shift
            if begin >= len(content):
                _send(handler, 416, {"Content-Range": f"bytes */{len(content)}", "Content-Length": "0"})
                return
            status, body = 206, content[begin:][: fault.piece]
            headers["Content-Range"] = f"bytes {begin}-{begin + len(body) - 1}/{len(content)}"
        if fault.chunked:
            headers["Transfer-Encoding"] = "chunked"
            handler.protocol_version = "HTTP/1.1"
            handler.close_connection = True
        elif not fault.no_length:
            headers["Content-Length"] = str(len(body) + fault.length)
        _send(handler, status, headers | fault.headers)
        self._send_body(handler, fault, body)

    def _send_body(self, handler: BaseHTTPRequestHandler, fault: Fault, body: bytes) -> None:
        ends = [end for end in (fault.cut, fault.stall) if end is not None]
        sent = body[: min(ends)] if ends else body
        try:
            if fault.chunked:
                handler.wfile.write(f"{len(sent):x}\r\n".encode() + sent + b"\r\n")
                handler.wfile.write(b"" if ends else b"0\r\n\r\n")
            else:
                handler.wfile.write(sent)
            handler.wfile.flush()
            if fault.stall is not None:
                self._closing.wait(30)
        except ConnectionError:
            pass  # the client has gone, as it may


def _name(path: str) -> str:
    return path.partition("?")[0].lstrip("/")


def _send(handler: BaseHTTPRequestHandler, status: int, headers: dict[str, str]) -> None:
    handler.send_response(status)
    for name, value in headers.items():
        handler.send_header(name, value)
    handler.end_headers()
