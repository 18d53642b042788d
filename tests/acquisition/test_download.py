"""Downloads from a server that fails in every way that servers fail."""

import errno
import hashlib
import inspect
import logging
import os
import random
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline_steps.acquisition import download as module
from pipeline_steps.acquisition import unfinished, web
from pipeline_steps.acquisition.download import download
from pipeline_steps.job.errors import UserError
from tests.conftest import small_disk
from tests.servers import Fault, Server

CONTENT = random.Random(0).randbytes(300_000)
OTHER = random.Random(1).randbytes(300_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()
CUT = 150_000
NAME = "heads.zip"
DRIVE = "https://drive.google.com/uc?id=A"


@pytest.fixture(autouse=True)
def _impatient(monkeypatch):
    monkeypatch.setattr(module, "BACK_OFF_SECONDS", 0.0)
    monkeypatch.setattr(web, "CONNECT_SECONDS", 2.0)
    monkeypatch.setattr(web, "READ_SECONDS", 5.0)
    monkeypatch.setattr(module, "ATTEMPTS", 3)
    monkeypatch.setenv("NO_PROXY", "*")


@pytest.fixture
def hasty(monkeypatch):
    """A short timeout, so that a silent server soon counts as stalled."""
    monkeypatch.setattr(web, "READ_SECONDS", 0.3)


@pytest.fixture
def server(tmp_path):
    folder = tmp_path / "served"
    folder.mkdir()
    for name in (NAME, "mirror.zip"):
        (folder / name).write_bytes(CONTENT)
    with Server(folder) as running:
        yield running


@pytest.fixture
def destination(tmp_path):
    return tmp_path / "raw" / NAME


def fails(urls, destination, **wanted) -> str:
    """The message of a download that must fail with one line and without creating the destination."""
    with pytest.raises(UserError) as failure:
        download(urls, destination, **wanted)
    message = str(failure.value)
    assert message.startswith(f"{destination.name}: not downloaded (")
    assert message.endswith(f"; download it by hand and put it at {destination}")
    assert "\n" not in message
    assert not destination.exists()
    return message


def left_over(destination: Path) -> list[str]:
    return sorted(path.name for path in destination.parent.iterdir())


def assert_complete(destination: Path, content: bytes = CONTENT) -> None:
    assert destination.read_bytes() == content
    assert left_over(destination) == [NAME]


def test_fetches_a_file_and_returns_its_checksum(server, destination):
    assert download([server.url(NAME)], destination) == SHA256
    assert_complete(destination)
    assert server.asked(NAME) == [None]
    assert server.requests[0].headers["Accept-Encoding"] == "identity"


def test_accepts_a_file_of_the_right_size_and_checksum(server, destination):
    assert download([server.url(NAME)], destination, SHA256.upper(), len(CONTENT)) == SHA256
    assert_complete(destination)


def test_an_empty_file_is_a_file(server, destination):
    server.misbehave(NAME, Fault(content=b""))
    assert download([server.url(NAME)], destination) == hashlib.sha256(b"").hexdigest()
    assert_complete(destination, b"")


@pytest.mark.parametrize("fault", [Fault(chunked=True), Fault(no_length=True)], ids=["chunked", "no length"])
def test_accepts_a_file_of_unknown_length(server, destination, fault):
    server.misbehave(NAME, fault)
    download([server.url(NAME)], destination, SHA256, len(CONTENT))
    assert_complete(destination)


def test_does_not_decode_an_archive_that_the_server_declares_encoded(server, destination):
    server.misbehave(NAME, Fault(headers={"Content-Encoding": "x-gzip"}))
    download([server.url(NAME)], destination)
    assert_complete(destination)


def test_follows_redirects(server, destination):
    server.misbehave(NAME, Fault(redirect=server.url("mirror.zip")))
    download([server.url(NAME)], destination)
    assert_complete(destination)


def test_replaces_an_old_file_only_by_a_complete_one(server, destination):
    destination.parent.mkdir()
    destination.write_bytes(b"old")
    server.misbehave(NAME, Fault(cut=50_000), times=3)
    with pytest.raises(UserError, match="cut off"):
        download([server.url(NAME)], destination)
    assert destination.read_bytes() == b"old"
    download([server.url(NAME)], destination)
    assert_complete(destination)


# resuming


@pytest.mark.parametrize("validators", [("ETag", "Last-Modified"), ("ETag",), ("Last-Modified",)])
def test_resumes_after_a_cut_and_requests_only_the_rest(server, destination, validators):
    server.misbehave(NAME, Fault(cut=CUT, validators=validators), times=1)
    server.misbehave(NAME, Fault(validators=validators))
    assert download([server.url(NAME)], destination) == SHA256
    assert_complete(destination)
    assert server.asked(NAME) == [None, f"bytes={CUT}-"]
    assert "If-Range" in server.requests[1].headers


def test_resumes_after_a_cut_in_chunks(server, destination):
    server.misbehave(NAME, Fault(cut=2 * unfinished.CHUNK, chunked=True), times=1)
    download([server.url(NAME)], destination)
    assert_complete(destination)
    first, second = server.asked(NAME)
    assert first is None
    assert second == f"bytes={2 * unfinished.CHUNK}-"


def test_resumes_in_a_later_call(server, destination):
    server.misbehave(NAME, Fault(cut=50_000), times=3)
    fails([server.url(NAME)], destination)
    assert (destination.parent / f"{NAME}.part").read_bytes() == CONTENT[:150_000]
    assert download([server.url(NAME)], destination) == SHA256
    assert_complete(destination)
    assert server.asked(NAME) == [None, "bytes=50000-", "bytes=100000-", "bytes=150000-"]


@pytest.mark.parametrize("ignore_if_range", [False, True])
def test_does_not_join_two_versions(server, destination, ignore_if_range):
    server.misbehave(NAME, Fault(cut=50_000), times=3)
    fails([server.url(NAME)], destination)
    server.misbehave(NAME, Fault(content=OTHER, ignore_if_range=ignore_if_range))
    download([server.url(NAME)], destination)
    assert_complete(destination, OTHER)


def test_does_not_join_files_of_two_mirrors(server, destination):
    server.misbehave(NAME, Fault(cut=50_000))
    server.misbehave("mirror.zip", Fault(content=OTHER, etag='"same"'))
    download([server.url(NAME), server.url("mirror.zip")], destination)
    assert_complete(destination, OTHER)
    assert server.asked("mirror.zip") == [None]


def test_resumes_at_another_mirror_if_the_checksum_is_known(server, destination):
    server.misbehave(NAME, Fault(cut=50_000))
    download([server.url(NAME), server.url("mirror.zip")], destination, SHA256)
    assert_complete(destination)
    assert server.asked("mirror.zip") == ["bytes=150000-"]


def test_starts_over_if_a_file_from_two_mirrors_has_the_wrong_checksum(server, destination):
    server.misbehave(NAME, Fault(content=OTHER, cut=50_000))
    download([server.url(NAME), server.url("mirror.zip")], destination, SHA256)
    assert_complete(destination)
    assert server.asked("mirror.zip") == ["bytes=150000-", None]


@pytest.mark.parametrize("fault", [Fault(validators=()), Fault(validators=("ETag",), etag='W/"weak"')])
def test_starts_over_if_nothing_identifies_the_version(server, destination, fault):
    server.misbehave(NAME, Fault(cut=CUT, validators=fault.validators, etag=fault.etag), times=1)
    server.misbehave(NAME, fault)
    download([server.url(NAME)], destination)
    assert_complete(destination)
    assert server.asked(NAME) == [None, None]


@pytest.mark.parametrize("fault", [Fault(ignore_range=True), Fault(shift=10), Fault(status=416), Fault(status=206)])
def test_starts_over_if_the_server_does_not_resume(server, destination, fault):
    server.misbehave(NAME, Fault(cut=CUT), times=1)
    server.misbehave(NAME, fault, times=1)
    assert download([server.url(NAME)], destination) == SHA256
    assert_complete(destination)


@pytest.mark.parametrize("size", [None, len(CONTENT)])
@pytest.mark.parametrize("excess", [0, 1000])
def test_starts_over_if_the_unfinished_file_is_too_long(server, destination, size, excess):
    server.misbehave(NAME, Fault(cut=10), times=3)
    fails([server.url(NAME)], destination)
    (destination.parent / f"{NAME}.part").write_bytes(OTHER + bytes(excess))
    assert download([server.url(NAME)], destination, size=size) == SHA256
    assert_complete(destination)


def test_starts_over_if_the_recorded_version_is_corrupt(server, destination):
    destination.parent.mkdir()
    (destination.parent / f"{NAME}.part").write_bytes(OTHER[:10])
    (destination.parent / f"{NAME}.part.version").write_bytes(b"\xff\x00")
    assert download([server.url(NAME)], destination) == SHA256
    assert_complete(destination)


def test_resumes_piece_by_piece(server, destination):
    server.misbehave(NAME, Fault(cut=CUT), times=1)
    server.misbehave(NAME, Fault(piece=100_000))
    assert download([server.url(NAME)], destination) == SHA256
    assert_complete(destination)
    assert server.asked(NAME) == [None, "bytes=150000-", "bytes=250000-"]


# retries and mirrors


@pytest.mark.parametrize("fault", [Fault(status=500), Fault(status=503), Fault(status=429), Fault(stall=0)])
def test_retries_transient_errors(server, hasty, destination, fault):
    server.misbehave(NAME, fault, times=2)
    download([server.url(NAME)], destination)
    assert_complete(destination)
    assert len(server.requests) == 3


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (Fault(status=403), "HTTP 403 Forbidden"),
        (Fault(status=404), "HTTP 404 Not Found"),
        (Fault(status=204), "HTTP 204 No Content"),
        (Fault(page="<html><title>Sign in"), "sent a web page instead of the file (Sign in)"),
        (Fault(content=OTHER), f"wrong checksum: SHA-256 is {hashlib.sha256(OTHER).hexdigest()}"),
        (Fault(redirect="ftp://127.0.0.1/heads.zip?key=secret"), "request failed (InvalidSchema)"),
    ],
)
def test_tries_the_next_mirror_at_once_after_a_permanent_error(server, destination, caplog, fault, reason):
    caplog.set_level(logging.INFO, "headpose")
    server.misbehave(NAME, fault)
    download([server.url(NAME), server.url("mirror.zip")], destination, SHA256)
    assert_complete(destination)
    assert [request.path for request in server.requests] == [f"/{NAME}", "/mirror.zip"]
    assert f"{NAME}  127.0.0.1: {reason}; giving up on this mirror" in caplog.messages
    server.misbehave("mirror.zip", fault)
    destination.unlink()
    assert f"(127.0.0.1: {reason}; 127.0.0.1: {reason})" in fails(
        [server.url(NAME), server.url("mirror.zip")], destination, sha256=SHA256
    )


def test_tries_the_next_mirror_after_a_stall(server, hasty, destination):
    server.misbehave(NAME, Fault(stall=0))
    download([server.url(NAME), server.url("mirror.zip")], destination)
    assert_complete(destination)
    assert len(server.asked(NAME)) == 3


def test_tries_the_next_mirror_if_nothing_listens(server, destination):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{unused.getsockname()[1]}/{NAME}?token=secret"
        assert "(127.0.0.1: no connection (Connection refused))" in fails([nobody], destination)
        download([nobody, server.url(NAME)], destination)
    assert_complete(destination)


@pytest.mark.parametrize("fault", [Fault(stall=0), Fault(stall=70_000), Fault(stall=-1)])
def test_a_stall_is_reported(server, hasty, destination, fault):
    server.misbehave(NAME, fault)
    assert "(127.0.0.1: stalled, no data for 0.3 s)" in fails([server.url(NAME)], destination)


def test_a_malformed_redirect_is_reported(server, destination):
    server.misbehave(NAME, Fault(redirect="http://[?key=k3y"))
    assert "(127.0.0.1: request failed (ValueError))" in fails([server.url(NAME)], destination)


def test_an_endless_redirect_is_reported(server, destination):
    server.misbehave(NAME, Fault(redirect=server.url(NAME)))
    assert "request failed (TooManyRedirects)" in fails([server.url(NAME)], destination)


def test_no_mirror_at_all(destination):
    assert "(no address is known)" in fails([], destination)


@pytest.mark.parametrize(
    "fault", [Fault(status=403), Fault(status=500), Fault(cut=9), Fault(stall=9), Fault(page="<html>")]
)
def test_secrets_in_an_address_are_never_shown(server, hasty, destination, caplog, fault):
    caplog.set_level(logging.DEBUG, "headpose")
    server.misbehave(NAME, fault)
    address = server.url(NAME).replace("//", "//user:k3y@") + "?token=k3y"
    assert "k3y" not in fails([address], destination)
    assert not any("k3y" in message for message in caplog.messages)
    assert not any(b"k3y" in path.read_bytes() for path in destination.parent.iterdir())


@pytest.mark.parametrize(
    "address", ["ftp://host/heads.zip?key=secret", "file:///etc/passwd", "heads.zip", "http:///a", "http://["]
)
def test_other_addresses_are_refused(server, destination, address):
    with pytest.raises(UserError, match=r"heads.zip: an address is not http or https") as failure:
        download([server.url(NAME), address], destination)
    assert "secret" not in str(failure.value)
    assert not server.requests


# wrong lengths and contents


def test_a_length_that_is_too_long(server, destination):
    server.misbehave(NAME, Fault(length=10))
    assert "(127.0.0.1: the transfer was cut off)" in fails([server.url(NAME)], destination)


@pytest.mark.parametrize(
    ("wanted", "reason"),
    [({"size": len(CONTENT)}, "offers 299990 bytes instead of 300000"), ({"sha256": SHA256}, "wrong checksum")],
)
def test_a_length_that_is_too_short(server, destination, wanted, reason):
    server.misbehave(NAME, Fault(length=-10))
    assert reason in fails([server.url(NAME)], destination, **wanted)
    assert left_over(destination) == []


def test_a_file_of_another_size(server, destination):
    message = fails([server.url(NAME)], destination, size=1)
    assert "(127.0.0.1: offers 300000 bytes instead of 1)" in message
    assert left_over(destination) == []


@pytest.mark.parametrize(
    ("size", "reason"), [(1000, "sent 65536 bytes instead of 1000"), (400_000, "sent 300000 bytes instead of 400000")]
)
def test_another_size_without_a_declared_length(server, destination, size, reason):
    server.misbehave(NAME, Fault(chunked=True, ignore_range=True))
    assert reason in fails([server.url(NAME)], destination, size=size)


def test_a_wrong_checksum_leaves_nothing(server, destination):
    assert "wrong checksum" in fails([server.url(NAME)], destination, sha256="0" * 64)
    assert left_over(destination) == []
    assert len(server.requests) == 1


def test_a_piece_that_was_not_requested(server, destination):
    server.misbehave(NAME, Fault(status=206, headers={"Content-Range": "bytes 5-9/10"}))
    assert "sent another piece than the one requested" in fails([server.url(NAME)], destination)


# web pages


@pytest.mark.parametrize(
    ("page", "title"),
    [
        ("<!DOCTYPE html>\n<head><title>Quota\n exceeded &amp; \x1b[31mmore</title>", " (Quota exceeded & [31mmore)"),
        ("\ufeff \n<HTML><body>no title", ""),
        ("<title>" + "long " * 100, " (long long"),
        ("", ""),
    ],
)
def test_a_web_page_instead_of_the_file(server, destination, page, title):
    server.misbehave(NAME, Fault(page=page))
    assert f"127.0.0.1: sent a web page instead of the file{title}" in fails([server.url(NAME)], destination)
    assert left_over(destination) == []


def test_a_web_page_declared_as_an_archive(server, destination):
    server.misbehave(NAME, Fault(page="<html><title>Login</title>", headers={"Content-Type": "application/zip"}))
    assert "sent a web page instead of the file (Login)" in fails([server.url(NAME)], destination)


def test_a_web_page_does_not_discard_the_unfinished_bytes(server, destination):
    server.misbehave(NAME, Fault(cut=CUT), times=1)
    server.misbehave(NAME, Fault(page="<html>"), times=1)
    fails([server.url(NAME)], destination)
    download([server.url(NAME)], destination)
    assert server.asked(NAME)[2:] == [f"bytes={CUT}-"]


# the disk


def test_a_full_disk_names_the_destination_and_keeps_what_fits(server, tmp_path):
    with small_disk(tmp_path / "disk", kilobytes=128) as disk:
        with pytest.raises(OSError, match="No space left") as failure:
            download([server.url(NAME), server.url("mirror.zip")], disk / NAME)
        assert failure.value.errno == errno.ENOSPC
        assert failure.value.filename == str(disk / NAME)
        assert not (disk / NAME).exists()
        assert CONTENT.startswith((disk / f"{NAME}.part").read_bytes())
        assert server.asked("mirror.zip") == []


def test_progress_is_logged_line_by_line(server, destination, caplog, monkeypatch):
    monkeypatch.setattr(unfinished, "REPORT_SECONDS", 0.0)
    caplog.set_level(logging.INFO, "headpose")
    download([server.url(NAME)], destination)
    assert caplog.messages[0].startswith("heads.zip  0.0/0.3 MB  ")
    assert caplog.messages[-1].startswith("heads.zip  0.3/0.3 MB  ")
    assert caplog.messages[-1].endswith("left 00:00")


# Google Drive


@pytest.fixture
def drive(server, monkeypatch):
    """The arguments of the calls to gdown, which downloads from the local server instead of Google."""
    import gdown

    real, calls = gdown.download, []
    monkeypatch.setattr(random, "uniform", lambda low, high: 0.0)  # gdown's pause before it tries again

    def local(**arguments):
        inspect.signature(real).bind(**arguments)
        calls.append(arguments)
        return real(**arguments | {"url": server.url(NAME), "id": None})

    monkeypatch.setattr(gdown, "download", local)
    return calls


@pytest.mark.parametrize(
    ("address", "asked"),
    [
        ("https://drive.google.com/uc?export=download&id=ABC", {"id": "ABC", "url": None}),
        ("https://drive.usercontent.google.com/download?id=ABC&confirm=t", {"id": "ABC", "url": None}),
        ("https://docs.google.com/uc?id=ABC", {"id": "ABC", "url": None}),
        ("https://drive.google.com/file/d/ABC/view", {"id": None, "url": "https://drive.google.com/file/d/ABC/view"}),
    ],
)
def test_google_drive_is_handled_by_gdown(drive, destination, address, asked):
    assert download([address], destination, SHA256, len(CONTENT)) == SHA256
    assert_complete(destination)
    assert asked.items() <= drive[0].items()
    assert drive[0]["use_cookies"] is False
    assert drive[0]["timeout"] == (2.0, 5.0)


def test_gdown_is_imported_only_if_it_is_needed():
    code = "import sys, pipeline_steps.acquisition.download; sys.exit('gdown' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(("known", "asked"), [(True, [None, None, f"bytes={1 << 20}-"]), (False, [None, None])])
def test_google_drive_resumes_if_the_checksum_is_known(drive, server, destination, monkeypatch, known, asked):
    large = 10 * CONTENT
    wanted = hashlib.sha256(large).hexdigest() if known else None
    (server.folder / NAME).write_bytes(large)
    monkeypatch.setattr(module, "ATTEMPTS", 1)
    server.misbehave(NAME, Fault(cut=(1 << 20) + 1000), times=1)  # gdown keeps pieces of 512 kB
    assert "(drive.google.com: the transfer was cut off)" in fails([DRIVE], destination, sha256=wanted)
    assert download([DRIVE], destination, wanted) == hashlib.sha256(large).hexdigest()
    assert_complete(destination, large)
    assert server.asked(NAME) == asked


def test_google_drive_starts_over_if_the_file_has_changed(drive, server, destination, monkeypatch):
    monkeypatch.setattr(module, "ATTEMPTS", 2)
    (server.folder / NAME).write_bytes(10 * CONTENT)
    server.misbehave(NAME, Fault(content=10 * OTHER, cut=1 << 20), times=2)  # gdown resumes once by itself
    wanted = hashlib.sha256(10 * CONTENT).hexdigest()
    fails([DRIVE], destination, sha256=wanted)
    assert download([DRIVE], destination, wanted) == wanted
    assert_complete(destination, 10 * CONTENT)
    assert server.asked(NAME)[-3:] == [None, f"bytes={2 << 20}-", None]  # gdown resumed, in vain


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (
            Fault(page="<html><title>Google Drive - Quota exceeded"),
            "sent a web page instead of the file (Google Drive",
        ),
        (Fault(content=OTHER), "wrong checksum"),
        (Fault(status=403), "HTTP 403 Forbidden"),
        (Fault(stall=CUT), "stalled, no data for 0.3 s"),
    ],
)
def test_google_drive_is_a_mirror_like_others(drive, server, hasty, destination, fault, reason):
    server.misbehave(NAME, fault)
    assert f"(drive.google.com: {reason}" in fails([DRIVE], destination, sha256=SHA256)
    download([DRIVE, server.url("mirror.zip")], destination, SHA256)
    assert_complete(destination)


def test_google_drive_sends_another_size(drive, destination):
    assert "(drive.google.com: sent 300000 bytes instead of 1)" in fails([DRIVE], destination, size=1)
    assert left_over(destination) == []


def test_the_message_of_google_is_reported(destination, monkeypatch):
    import gdown

    def refuse(**arguments):
        page = (
            '<p class="uc-error-subcaption">Too many users have viewed this file. <a href="/x?id=A">Try later</a>.</p>'
        )
        try:
            sys.modules["gdown.download"].get_url_from_gdrive_confirmation(page)
        except gdown.exceptions.FileURLRetrievalError:
            raise gdown.exceptions.FileURLRetrievalError("Failed:\n\n\thttps://drive.google.com/uc?id=A") from None

    monkeypatch.setattr(gdown, "download", refuse)
    message = fails([DRIVE], destination)
    assert "(drive.google.com: Too many users have viewed this file. Try later .)" in message


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (KeyError("Content-Type"), "gdown failed, KeyError('Content-Type')"),
        (AssertionError(), "gdown failed, Assertion"),
    ],
)
def test_an_unexpected_error_in_gdown_is_reported(destination, monkeypatch, error, reason):
    def fail(**arguments):
        raise error

    monkeypatch.setattr("gdown.download", fail)
    assert f"(drive.google.com: {reason}" in fails([DRIVE], destination)


def test_a_full_disk_under_gdown_names_the_destination(destination, monkeypatch):
    def fail(**arguments):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("gdown.download", fail)
    with pytest.raises(OSError, match="No space left") as failure:
        download([DRIVE], destination)
    assert failure.value.filename == str(destination)
