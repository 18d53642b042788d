"""Where archives lie on this machine, and what identifies their content.

A recipe holds an archive's identity, never its place: a moved archive changes nothing, another content everything.
"""

import hashlib
import json
import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from pipeline_steps.acquisition.catalogue import Record, remembered
from pipeline_steps.job.errors import UserError
from pipeline_steps.job.files import sha256, write_json

DOWNLOADS = Path("data/archives")
REMEMBERED = Path(".recipes/digests.json")


def locate(given: Path | None, record: Record | None) -> Path | None:
    """Where a data set's archive lies or will be downloaded to; None where nobody says.

    given: the path in params.yaml. Otherwise the official archive of `record`. Either is looked for in
    $HEADPOSE_REAL_DATA first.
    """
    if given:
        name = here = given.expanduser()
    elif record is not None and record.file is not None:
        name, here = Path(record.file), DOWNLOADS / record.file
    else:
        return None
    folder = os.environ.get("HEADPOSE_REAL_DATA")
    return there if folder and (there := Path(folder, name)).exists() else here


def identity(key: str, archive: Path, official: Record | None) -> str | None:
    """What stands for the archive's content in recipes; None where it is not there and nothing is known of it.

    key: the archive's name in params.yaml. official: the row of an archive that is not given there; it has to be the
    very file described. Where no checksum was ever published, a download is identified by its page and version, and
    what was first downloaded is remembered beside it. Raises UserError where the official name holds another file.
    """
    if official is None:
        return digest(archive) if archive.exists() else None
    if official.sha256:
        if archive.exists() and (found := digest(archive)) != official.sha256:
            raise UserError(
                f"{archive}: SHA-256 {found[:16]}... instead of {official.sha256[:16]}...: it is cut off, or not the "
                f"official archive; delete it to download it again, or name it by {key} to use it as it is"
            )
        return official.sha256
    note = remembered(archive)
    if archive.exists() and not (note.exists() and digest(archive) == note.read_text().strip()):
        return digest(archive)  # put there by hand
    return f"{official.page} {official.version}" if official.urls else None


def digest(path: Path) -> str:
    """SHA-256 of a file; of a folder, that of the names and contents of all files below it.

    Content is read again only where a size or modification time differs from those of the last reading.
    """
    files = sorted(f for f in path.rglob("*") if f.is_file()) if path.is_dir() else [path]
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
        write_json(REMEMBERED, known)
    return known[key]
