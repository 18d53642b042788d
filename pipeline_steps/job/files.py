"""Files that appear under their name only once they are complete."""

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pipeline_steps.job.errors import UserError


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """A temporary path to write to, which is renamed to `path` once the block ends without an error.

    The content reaches the disk before the name does, so that a power failure cannot leave a file without its content.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        put_in_place(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def put_in_place(complete: Path, path: Path) -> None:
    """Rename a complete file to `path`, once its content is on the disk."""
    with complete.open("rb") as file:
        os.fsync(file.fileno())
    complete.replace(path)


def write_text(path: Path, text: str) -> None:
    """Write text as UTF-8, whatever the locale."""
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, content: Any) -> None:
    """Write readable JSON with sorted keys; NaN and infinity raise ValueError."""
    write_text(path, json.dumps(content, indent=2, sort_keys=True, allow_nan=False) + "\n")


def write_table(page: Path, command: str, table: str) -> None:
    """Replace the table in a page between `<!-- table: COMMAND -->` and `<!-- end of table -->`.

    command: the command that prints the table. Raises UserError where the page lacks these two lines.
    """
    start, end = f"<!-- table: {command} -->\n", "<!-- end of table -->"
    before, found, rest = page.read_text("utf-8").partition(start)
    _, ended, after = rest.partition(end)
    if not (found and ended):
        raise UserError(f"{page}: no place for the table; add the lines {start.strip()} and {end}")
    write_text(page, before + start + table + end + after)


def sha256(path: Path) -> str:
    """Hexadecimal SHA-256 of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
