"""Unpack the wanted files of official archives, and nothing outside the target folder."""

import shutil
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Generator
from contextlib import closing
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO

from pipeline_steps.acquisition.unfinished import PAGE
from pipeline_steps.job.errors import UserError

LARGEST_MEMBER = 256 << 20
"""Bytes; the largest file of any data set read here is below 10 MB."""
LARGEST_RATIO = 200
"""Unpacked bytes per byte of archive: images hardly compress, an archive bomb grows a thousandfold."""

_CLUTTER = {"__MACOSX", "@eaDir", "Thumbs.db", "desktop.ini"}
"""Names of what macOS, network storage and Windows add to folders and archives, besides names that start with a dot."""

Members = Generator[tuple[str, int, Callable[[], IO[bytes]]], None, None]
"""For every regular file: its path inside the archive, its unpacked size in bytes, and a function that opens it."""


def is_clutter(name: str) -> bool:
    """Whether a path, below an archive or a folder of data, is one that no person put there.

    It is where a part of it is hidden, as `._photo.jpg` and `.DS_Store` are, or belongs to the file system.
    """
    parts = PurePosixPath(name).parts
    return any(part in _CLUTTER or (part.startswith(".") and part != "..") for part in parts)


def unpack(archive: Path, target: Path, wanted: Callable[[str], bool]) -> None:
    """Unpack the wanted files of a zip or tar archive into the new folder `target`; a folder is linked there instead.

    wanted: whether to unpack a member, by its path inside the archive with forward slashes; clutter never is. Raises
    UserError where the archive is neither zip nor tar, is truncated or corrupt, unpacks to more than such an archive
    plausibly contains or the disk has room for, has a member outside the folder, or contains no wanted file.
    """
    if archive.is_dir():
        target.symlink_to(archive.absolute(), target_is_directory=True)
        return
    target.mkdir()
    try:
        if zipfile.is_zipfile(archive):
            members = _of_zip(archive)
        elif tarfile.is_tarfile(archive):
            members = _of_tar(archive)
        else:
            raise UserError(f"{archive}: {_what_it_is(archive)}, not a zip or tar archive; download it again")
        with closing(members):
            count = _write_all(archive, members, target, wanted)
    except (OSError, EOFError, tarfile.TarError, zipfile.BadZipFile, zlib.error, ValueError, RuntimeError) as e:
        if isinstance(e, OSError) and e.errno is not None:
            raise  # a fault of the disk, not of the archive
        raise UserError(f"{archive}: the archive is truncated or corrupt ({e}); download it again") from e
    if not count:
        raise UserError(f"{archive}: contains none of the files of this data set; check that it is the right archive")


def _of_zip(archive: Path) -> Members:
    with zipfile.ZipFile(archive) as file:
        for member in file.infolist():
            if not member.is_dir():
                yield member.filename, member.file_size, partial(file.open, member)


def _of_tar(archive: Path) -> Members:
    with tarfile.open(archive) as file:
        for member in file:
            if member.isfile():  # neither links nor devices
                yield member.name, member.size, partial(_content, file, member)


def _content(file: tarfile.TarFile, member: tarfile.TarInfo) -> IO[bytes]:
    content = file.extractfile(member)
    assert content is not None  # regular files have content
    return content


def _write_all(archive: Path, members: Members, target: Path, wanted: Callable[[str], bool]) -> int:
    limit = LARGEST_RATIO * archive.stat().st_size
    count = total = 0
    for name, size, content in members:
        total += size  # a tar has to be unpacked up to here, wanted or not
        if size > LARGEST_MEMBER or total > limit:
            raise UserError(
                f"{archive}: {name} would unpack to {max(size, total):,} bytes, more than such an archive plausibly "
                "contains (an archive bomb?); download it again from the official page"
            )
        if is_clutter(name) or not wanted(name):
            continue
        if size > shutil.disk_usage(target).free:
            raise UserError(f"{target}: the disk is full at {name} of {archive}; free some space and run again")
        with content() as source:
            _write(source, name, target)
        count += 1
    return count


def _write(content: IO[bytes], name: str, target: Path) -> None:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts:
        raise ValueError(f"{name} would be outside the folder")
    destination = target / path
    destination.parent.mkdir(parents=True, exist_ok=True)
    with destination.open("wb") as copy:
        shutil.copyfileobj(content, copy)


def _what_it_is(path: Path) -> str:
    with path.open("rb") as file:
        start = file.read(256)
    if not start.strip():
        return "an empty file"
    return "a web page" if PAGE.match(start) else "something else"
