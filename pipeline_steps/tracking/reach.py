"""Whether runs can be sent to the store at all, found out in seconds and without importing MLflow.

MLflow itself tries for 100 seconds to reach a database, and says so in dozens of lines.
"""

import os
import sqlite3
import sys
from contextlib import closing
from importlib.metadata import entry_points

from pipeline_steps.job.errors import UserError, brief
from pipeline_steps.tracking.settings import TIMEOUT, is_server, shown, sqlite_file, tracking_is_on, tracking_uri

SYNC = "python -m pipeline_steps.tracking sync"
_DATABASES = ("postgresql", "mysql", "mssql")
_CORRECT = "correct MLFLOW_TRACKING_URI, or tracking.uri in params.yaml; HEADPOSE_TRACKING=off does without"


class OutOfReachError(UserError):
    """The store does not answer now, but may do so later."""


def require_store(uri: str) -> None:
    """Raise OutOfReachError where the store does not answer, UserError where no store can have this address."""
    scheme = uri.partition(":")[0].partition("+")[0] if ":" in uri else ""
    try:
        if is_server(uri):
            _require_server(uri)
        elif scheme == "sqlite":
            _require_file(uri)
        elif scheme in _DATABASES:
            _require_database(uri)
        elif not _is_left_to_mlflow(scheme):
            raise UserError(
                "neither a server (http://HOST:PORT) nor a database (sqlite:///mlflow.db, postgresql://...)"
            )
    except OutOfReachError as error:
        fix = "start it again, or name another in MLFLOW_TRACKING_URI"
        raise OutOfReachError(f"{shown(uri)}: {error}; {fix}") from error
    except UserError as error:
        raise UserError(f"{shown(uri)}: {error}; {_CORRECT}") from error


def warn_before_start() -> None:
    """Say in one line that the store is out of reach, before a study starts; UserError where its address is wrong."""
    if not tracking_is_on():
        return
    try:
        require_store(tracking_uri())
    except OutOfReachError as error:
        print(f"warning: {error}; the study goes on untracked, send its results later: {SYNC}", file=sys.stderr)


def _require_server(uri: str) -> None:
    import requests

    timeout = float(os.environ.get("MLFLOW_HTTP_REQUEST_TIMEOUT", TIMEOUT))
    page = f"{uri.rstrip('/')}/api/2.0/mlflow/experiments/search"
    try:
        answer = requests.get(page, {"max_results": 1}, timeout=timeout)
    except requests.exceptions.SSLError:
        return  # MLflow has settings for certificates
    except requests.Timeout as error:
        raise OutOfReachError(f"no answer within {timeout:g} seconds") from error
    except requests.ConnectionError as error:
        raise OutOfReachError("no server answers") from error
    except (requests.RequestException, ValueError) as error:
        raise UserError(f"no address of a server ({brief(error)})") from error
    if answer.status_code == requests.codes.not_found:
        raise UserError("what answers there is no MLflow server")
    if answer.status_code >= 500:
        raise OutOfReachError(f"the server fails with status {answer.status_code}")


def _require_file(uri: str) -> None:
    file = sqlite_file(uri)
    if file is None:
        raise UserError("names no file; three slashes come before a relative path, as in sqlite:///mlflow.db")
    if file.exists():
        if not file.is_file():
            raise UserError("is no file")
        try:
            with closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=rw", TIMEOUT, uri=True)) as connection:
                connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        except sqlite3.OperationalError as error:  # such as a lock that another process holds
            raise OutOfReachError(f"the database cannot be opened ({error})") from error
        except sqlite3.DatabaseError as error:
            raise UserError(f"is no SQLite database that can be read ({error})") from error
    folder = next(folder for folder in file.absolute().parents if folder.exists())
    for place in (file, folder):
        if place.exists() and not os.access(place, os.W_OK):
            raise UserError(f"{place} cannot be written")


def _require_database(uri: str) -> None:
    from sqlalchemy import create_engine, make_url
    from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError
    from sqlalchemy.pool import NullPool

    try:
        url = make_url(uri)
        name = url.get_backend_name()
        limit = {"connect_timeout": TIMEOUT} if name in ("postgresql", "mysql") else {}
        create_engine(url, poolclass=NullPool, connect_args=limit).connect().close()
    except ImportError as error:
        needed = " (pip install psycopg2-binary)" if error.name == "psycopg2" else ""
        raise UserError(f"Python has no package {error.name}, which reaches this database{needed}") from error
    except DBAPIError as error:
        raise OutOfReachError(f"the database does not answer ({brief(str(error.orig).splitlines()[0])})") from error
    except (ArgumentError, SQLAlchemyError, ValueError) as error:
        raise UserError(f"no address of a database ({brief(error)})") from error


def _is_left_to_mlflow(scheme: str) -> bool:
    """Whether MLflow or one of its plugins may know more about such an address than is checked here."""
    if scheme in ("", "file"):
        return os.environ.get("MLFLOW_ALLOW_FILE_STORE", "").lower() in ("true", "1")
    return scheme.startswith(("databricks", "uc")) or bool(entry_points(group="mlflow.tracking_store", name=scheme))
