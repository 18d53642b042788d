"""Zip and tar archives whose bytes depend only on their members: not on the time, the user or the file system."""

import gzip
import io
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from pipeline_steps.job.files import atomic_write

Add = Callable[[str, bytes], None]
"""Appends a member: its path inside the archive, its content."""

_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time that the zip format can represent


@contextmanager
def zip_archive(path: Path) -> Iterator[Add]:
    """A new zip archive, which appears under its name once it is complete."""
    with atomic_write(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:

        def add(name: str, content: bytes) -> None:
            member = zipfile.ZipInfo(name, _EPOCH)
            member.compress_type = zipfile.ZIP_DEFLATED
            member.external_attr = 0o644 << 16
            archive.writestr(member, content, compresslevel=1)

        yield add


@contextmanager
def tar_archive(path: Path) -> Iterator[Add]:
    """A new gzipped tar archive, which appears under its name once it is complete.

    Folders are members too, as in the official archives.
    """
    with (
        atomic_write(path) as temporary,
        temporary.open("wb") as file,
        gzip.GzipFile("", "wb", compresslevel=1, fileobj=file, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as archive,
    ):
        folders: set[PurePosixPath] = set()

        def add(name: str, content: bytes) -> None:
            for folder in reversed(PurePosixPath(name).parents[:-1]):
                if folder not in folders:
                    folders.add(folder)
                    entry = tarfile.TarInfo(str(folder))
                    entry.type, entry.mode = tarfile.DIRTYPE, 0o755
                    archive.addfile(entry)
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))

        yield add
