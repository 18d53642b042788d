"""Where a SQLite store keeps the files of its runs: in a folder beside the database, wherever both are moved.

MLflow writes absolute paths into the database, so that a moved store loses its files, and a copied one reads and writes
those of the original. Here they are relative where the address of the store is, as in `sqlite:///mlflow.db`: then they
hold wherever that address does. Where the address is absolute so are they, and they are corrected after a move.
"""

import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from pipeline_steps.job.progress import logger
from pipeline_steps.tracking.settings import is_server, sqlite_file

FOLDER = "mlartifacts"
_LOCATIONS = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
)
"""Tables and columns of MLflow's database that name places of files."""


def new_location(uri: str) -> str | None:
    """Where the files of a new experiment belong; None where a server decides."""
    database = sqlite_file(uri)
    if is_server(uri):
        return None
    return ((database.parent if database else Path()) / FOLDER).absolute().as_uri()


def settle(uri: str) -> None:
    """Let a SQLite store find its files beside it, and only there; other stores are left alone.

    A place is left as it is where its files lie at the old place alone, and no store beside them.
    """
    database = sqlite_file(uri)
    if database is None:
        return
    home = database.parent
    with closing(sqlite3.connect(database, timeout=60, isolation_level=None)) as connection:
        if not (elsewhere := _homes(connection) - {home}):
            return
        connection.execute("BEGIN IMMEDIATE")
        for old in sorted(elsewhere):
            moved = _move(connection, old, home, database.name)
            if old.absolute() != home.absolute():
                logger.info("MLflow's store was moved from %s: %d places of files are corrected", old, moved)
        connection.execute("COMMIT")


def _homes(connection: sqlite3.Connection) -> set[Path]:
    """Folders that hold the files of our experiments."""
    found = connection.execute("SELECT artifact_location FROM experiments WHERE name LIKE 'headpose-%'")
    paths = [path for (location,) in found if (path := _path(location))]
    return {path.parent for path in paths if path.name == FOLDER}


def _move(connection: sqlite3.Connection, old: Path, new: Path, database: str) -> int:
    """Correct all places below a folder; the number of them."""
    moved = 0
    for table, column in _LOCATIONS:
        for row, location in connection.execute(f"SELECT rowid, {column} FROM {table}").fetchall():
            here = _path(location)
            if here is None or not here.is_relative_to(old):
                continue
            there = new / here.relative_to(old)
            if here.exists() and not there.exists() and not (old / database).exists():
                continue
            connection.execute(f"UPDATE {table} SET {column} = ? WHERE rowid = ?", (_location(there), row))
            moved += 1
    return moved


def _path(location: str | None) -> Path | None:
    """The path that a location names; None where it is no path."""
    parts = urlsplit(location or "")
    return {"": Path(parts.path), "file": Path(url2pathname(parts.path))}.get(parts.scheme) if parts.path else None


def _location(path: Path) -> str:
    """A path as MLflow's database holds it; MLflow takes relative ones from the working directory."""
    return path.as_uri() if path.is_absolute() else path.as_posix()
