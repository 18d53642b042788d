"""Archives that are truncated, hostile or something else: one clear error, nothing outside the folder."""

import io
import subprocess
import tarfile
import zipfile
from pathlib import Path

import pytest

from pipeline_steps.acquisition import unpack as module
from pipeline_steps.acquisition.unpack import unpack
from pipeline_steps.job.errors import UserError
from tests.conftest import small_disk


def tar_of(path: Path, files: dict[str, bytes], links: dict[str, str] | None = None) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name, target in (links or {}).items():
            member = tarfile.TarInfo(name)
            member.type, member.linkname = tarfile.SYMTYPE, target
            archive.addfile(member)
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def zip_of(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def everything(name: str) -> bool:
    return True


@pytest.mark.parametrize("make", [tar_of, zip_of])
def test_wanted_files_are_unpacked(tmp_path, make):
    archive = make(tmp_path / "archive", {"set/a.jpg": b"one", "set/b.txt": b"two"})
    unpack(archive, tmp_path / "out", lambda name: name.endswith(".jpg"))
    assert {p.name: p.read_bytes() for p in (tmp_path / "out").rglob("*.*")} == {"a.jpg": b"one"}


@pytest.mark.parametrize("make", [tar_of, zip_of])
def test_what_file_systems_add_is_left_in_the_archive(tmp_path, make):
    clutter = ["__MACOSX/set/._a.jpg", "set/._a.jpg", "set/.DS_Store", "set/Thumbs.db", "set/@eaDir/a.jpg", ".x/a.jpg"]
    archive = make(tmp_path / "archive", dict.fromkeys([*clutter, "./set/a.jpg"], b"x"))
    unpack(archive, tmp_path / "out", everything)
    assert [p.relative_to(tmp_path / "out").as_posix() for p in (tmp_path / "out").rglob("*.*")] == ["set/a.jpg"]
    with pytest.raises(UserError, match="contains none of the files of this data set"):
        unpack(make(tmp_path / "other", {"__MACOSX/set/._a.jpg": b"x"}), tmp_path / "nothing", everything)


@pytest.mark.parametrize("make", [tar_of, zip_of])
@pytest.mark.parametrize("name", ["../evil.jpg", "set/../../evil.jpg", "/evil.jpg"])
def test_a_path_outside_the_folder_is_refused(tmp_path, make, name):
    archive = make(tmp_path / "archive", {name: b"x"})
    with pytest.raises(UserError, match="outside the folder"):
        unpack(archive, tmp_path / "out", everything)
    assert not list(tmp_path.rglob("evil.jpg"))


def test_links_in_a_tar_are_not_unpacked(tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    archive = tar_of(tmp_path / "a.tgz", {"set/a.jpg": b"x"}, {"link": str(outside), "set/passwd.jpg": "/etc/passwd"})
    unpack(archive, tmp_path / "out", everything)
    assert [p.name for p in (tmp_path / "out").rglob("*") if p.is_file() or p.is_symlink()] == ["a.jpg"]


@pytest.mark.parametrize("make", [tar_of, zip_of])
def test_an_archive_bomb_is_refused_before_it_is_written(tmp_path, make):
    archive = make(tmp_path / "bomb", {f"{n}.jpg": bytes(30_000_000) for n in range(2)})
    assert archive.stat().st_size < 200_000
    with pytest.raises(UserError, match=r"bomb: 0.jpg would unpack to 30,000,000 bytes"):
        unpack(archive, tmp_path / "out", everything)
    assert not list((tmp_path / "out").iterdir())


def test_a_huge_member_is_refused_even_if_it_hardly_compresses(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "LARGEST_MEMBER", 1000)
    archive = zip_of(tmp_path / "a.zip", {"a.jpg": bytes(range(256)) * 8})
    with pytest.raises(UserError, match=r"a.jpg would unpack to 2,048 bytes"):
        unpack(archive, tmp_path / "out", everything)


@pytest.mark.parametrize("make", [tar_of, zip_of])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
def test_a_truncated_archive_is_refused(tmp_path, make, share):
    files = {f"{n}.jpg": bytes((n * i * i) % 251 for i in range(3000)) for n in range(20)}
    archive = make(tmp_path / "archive", files)
    intact = archive.read_bytes()
    archive.write_bytes(intact[: int(len(intact) * share)])
    with pytest.raises(UserError, match=r"archive: (the archive is truncated or corrupt|something else, not a zip)"):
        unpack(archive, tmp_path / "out", everything)


def test_a_changed_byte_is_detected(tmp_path):
    archive = zip_of(tmp_path / "a.zip", {"a.jpg": bytes((i * i) % 251 for i in range(3000))})
    content = bytearray(archive.read_bytes())
    content[200] ^= 0xFF
    archive.write_bytes(content)
    with pytest.raises(UserError, match=r"a.zip: the archive is truncated or corrupt"):
        unpack(archive, tmp_path / "out", everything)


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"<!DOCTYPE html><title>Quota exceeded</title>", "a web page"),
        (b"", "an empty file"),
        (b"Rar!\x1a\x07", "something else"),
    ],
)
def test_the_error_says_what_a_file_is_that_is_not_an_archive(tmp_path, content, what):
    (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(UserError, match=rf"a.zip: {what}, not a zip or tar archive"):
        unpack(tmp_path / "a.zip", tmp_path / "out", everything)


def test_an_archive_of_another_data_set_is_refused(tmp_path):
    archive = zip_of(tmp_path / "a.zip", {"readme.txt": b"x"})
    with pytest.raises(UserError, match="contains none of the files of this data set"):
        unpack(archive, tmp_path / "out", lambda name: name.endswith(".jpg"))


def test_an_encrypted_archive_is_refused(tmp_path):
    archive = zip_of(tmp_path / "a.zip", {"a.jpg": b"x" * 100})
    content = bytearray(archive.read_bytes())
    for start in (content.find(b"PK\x03\x04") + 6, content.find(b"PK\x01\x02") + 8):
        content[start] |= 1  # the flag of an encrypted member
    archive.write_bytes(content)
    with pytest.raises(UserError, match=r"a.zip: .*encrypted"):
        unpack(archive, tmp_path / "out", everything)


def test_a_full_disk_is_named(tmp_path):
    archive = tar_of(tmp_path / "a.tgz", {f"{n}.jpg": bytes((n * i) % 253 for i in range(200_000)) for n in range(9)})
    full = pytest.raises(UserError, match=r"the disk is full at \d.jpg of .*a.tgz; free some space")
    with small_disk(tmp_path / "disk") as disk, full:
        unpack(archive, disk / "out", everything)


def test_a_folder_is_linked(tmp_path):
    (tmp_path / "set").mkdir()
    (tmp_path / "set/a.jpg").write_bytes(b"x")
    unpack(tmp_path / "set", tmp_path / "out", everything)
    assert (tmp_path / "out/a.jpg").read_bytes() == b"x"


def test_the_command_line_prints_one_line_and_leaves_nothing(tmp_path, acquire_aflw2000):
    archive = tmp_path / "AFLW2000-3D.zip"
    archive.write_bytes(b"<html>")
    done = acquire_aflw2000(archive, tmp_path / "raw")
    assert isinstance(done, subprocess.CompletedProcess)
    assert done.returncode == 1
    assert done.stderr.strip().splitlines()[-1] == (
        f"error: {archive}: a web page, not a zip or tar archive; download it again"
    )
    assert not list(tmp_path.glob("*raw*"))
