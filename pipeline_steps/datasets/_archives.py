"""Official archives: unpack what is wanted of them, and nothing outside the folder."""

import shutil
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import IO

from pipeline_steps.errors import UserError

UNPACKED = "unpacked"


def unpack(archive: Path, raw: Path, wanted: Callable[[str], bool]) -> None:
    """Put the wanted files of a zip or tar archive under raw/unpacked; link a folder there as it is.

    wanted: decides by a member's path inside the archive, with forward slashes. Raises UserError where the archive is
    neither, is cut off or corrupt, or holds nothing that is wanted.
    """
    target = raw / UNPACKED
    if archive.is_dir():
        target.symlink_to(archive.absolute(), target_is_directory=True)
        return
    target.mkdir()
    try:
        if zipfile.is_zipfile(archive):
            count = _unzip(archive, target, wanted)
        elif tarfile.is_tarfile(archive):
            count = _untar(archive, target, wanted)
        else:
            raise UserError(f"{archive}: neither a zip nor a tar archive; download it again, or give its folder")
    except (OSError, EOFError, tarfile.TarError, zipfile.BadZipFile, zlib.error, ValueError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # the disk's trouble, not the archive's
        raise UserError(f"{archive}: the archive is cut off or corrupt ({error}); download it again") from error
    if not count:
        raise UserError(f"{archive}: holds none of the files of this data set; check that it is the right archive")


def _unzip(archive: Path, target: Path, wanted: Callable[[str], bool]) -> int:
    count = 0
    with zipfile.ZipFile(archive) as file:
        for member in file.infolist():
            if not member.is_dir() and wanted(member.filename):
                with file.open(member) as content:
                    _write(content, member.filename, target)
                count += 1
    return count


def _untar(archive: Path, target: Path, wanted: Callable[[str], bool]) -> int:
    count = 0
    with tarfile.open(archive) as file:
        for member in file:
            if member.isfile() and wanted(member.name):
                content = file.extractfile(member)
                assert content is not None  # regular files have content
                _write(content, member.name, target)
                count += 1
    return count


def _write(content: IO[bytes], name: str, target: Path) -> None:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts:
        raise ValueError(f"{name} would lie outside the folder")
    destination = target / path
    destination.parent.mkdir(parents=True, exist_ok=True)
    with destination.open("wb") as copy:
        shutil.copyfileobj(content, copy)
