"""Where archives lie on this machine, and what identifies their content.

A recipe contains an archive's identity, never its path: moving it changes nothing, other content changes everything.
"""

import hashlib
import json
import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from pipeline_steps.acquisition.catalogue import Record, checksum_file
from pipeline_steps.acquisition.unpack import is_clutter
from pipeline_steps.job.errors import UserError
from pipeline_steps.job.files import sha256, write_json
from pipeline_steps.job.recipe import ArchiveInput
from workflow.layout import ARCHIVES, RECIPES

REMEMBERED = Path(RECIPES, "checksums.json")


def locate(given: Path | None, record: Record | None) -> Path | None:
    """Where a data set's archive lies or will be downloaded to; None where nobody says.

    given: the path in params.yaml, from here. Otherwise the official archive of `record`. Either is looked for in
    $HEADPOSE_REAL_DATA first, and in data/archives last.
    """
    if given:
        name = here = given.expanduser()
    elif record is not None and record.file is not None:
        name, here = Path(record.file), ARCHIVES / record.file
    else:
        return None
    folder = os.environ.get("HEADPOSE_REAL_DATA")
    places = [*([Path(folder, name)] if folder else []), here, ARCHIVES / name]
    return next((place for place in places if place.exists()), here)


def places() -> str:
    """Where archives are looked for, in words."""
    folder = os.environ.get("HEADPOSE_REAL_DATA")
    if folder:
        return f"{folder} (HEADPOSE_REAL_DATA) or {ARCHIVES}"
    return f"{ARCHIVES} (and in no folder of yours, because HEADPOSE_REAL_DATA is not set)"


def identity(key: str, archive: Path, official: Record | None) -> ArchiveInput | None:
    """What identifies the archive's content in recipes; None where it is not there and nothing is known of it.

    key: the archive's name in params.yaml. official: the catalogue's row, for an archive that params.yaml does not
    name; it has to be the very file described there. Where no checksum was ever published, a download is identified by
    its edition, page and version, and the checksum of the first download is remembered beside it. Raises UserError
    where another file has the official name.
    """
    if official is None:
        return ArchiveInput(sha256=checksum(archive)) if archive.exists() else None
    if official.sha256:
        if archive.exists() and (found := checksum(archive)) != official.sha256:
            raise UserError(
                f"{archive}: SHA-256 {found[:16]}... instead of {official.sha256[:16]}...: it is cut off, or not the "
                f"official archive; delete it to download it again, or name it by {key} to use it as it is"
            )
        return ArchiveInput(sha256=official.sha256)
    note = checksum_file(archive)
    if archive.exists() and not (note.exists() and checksum(archive) == note.read_text().strip()):
        return ArchiveInput(sha256=checksum(archive))  # put there by hand
    return ArchiveInput(edition=f"{official.page} {official.version}") if official.urls else None


def checksum(path: Path) -> str:
    """SHA-256 of a file; of a folder, that of the names and contents of all files below it that are no clutter.

    Content is read again only where a size or modification time differs from those of the last reading.
    """
    below = sorted(f for f in path.rglob("*") if f.is_file()) if path.is_dir() else []
    files = [f for f in below if not is_clutter(f.relative_to(path).as_posix())] if path.is_dir() else [path]
    states = [(str(f.relative_to(path)), s.st_size, s.st_mtime_ns) for f in files for s in (f.stat(),)]
    key = hashlib.sha256(json.dumps([str(path.absolute()), states]).encode()).hexdigest()
    known: dict[str, str] = {}
    with suppress(OSError, ValueError):  # where nothing readable is remembered, content is read again
        known = json.loads(REMEMBERED.read_text())
    if key not in known:
        with ThreadPoolExecutor() as pool:
            contents = list(pool.map(sha256, files))
        names = [name for name, *_ in states]
        listing = json.dumps(list(zip(names, contents, strict=True)))
        found = hashlib.sha256(listing.encode()).hexdigest() if path.is_dir() else contents[0]
        known = dict(list(known.items())[-100:]) | {key: found}
        with suppress(OSError):  # in a folder that may only be read, it is read again the next time
            write_json(REMEMBERED, known)
    return known[key]
