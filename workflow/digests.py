"""Digests of large files from outside, remembered so that planning stays quick."""

import hashlib
import json
from pathlib import Path

from pipeline_steps.files import sha256, write_json

REMEMBERED = Path(".recipes/digests.json")


def digest(path: Path) -> str:
    """SHA-256 of a file; of a folder, that of the names and sizes of all files below it.

    A file is read again only where its size or modification time differ from those of the last reading.
    """
    if path.is_dir():
        names = sorted((str(f.relative_to(path)), f.stat().st_size) for f in path.rglob("*") if f.is_file())
        return hashlib.sha256(json.dumps(names).encode()).hexdigest()
    state = path.stat()
    key = f"{path.absolute()} {state.st_size} {state.st_mtime_ns}"
    known = json.loads(REMEMBERED.read_text()) if REMEMBERED.exists() else {}
    if key not in known:
        known = {k: v for k, v in known.items() if Path(k.rsplit(" ", 2)[0]).exists()} | {key: sha256(path)}
        write_json(REMEMBERED, known)
    return str(known[key])
