"""Settings of tracking, from the environment.

HEADPOSE_TRACKING=off switches it off. MLFLOW_TRACKING_URI names the store, by default a database beside the results.
"""

import logging
import os
import re
from pathlib import Path

DEFAULT_URI = "sqlite:///mlflow.db"
TIMEOUT = 10
"""Seconds after which a store that gives no answer counts as out of reach."""


def tracking_is_on() -> bool:
    """Whether jobs are tracked."""
    return os.environ.get("HEADPOSE_TRACKING") != "off"


def tracking_uri() -> str:
    """Address of the store."""
    return os.environ.get("MLFLOW_TRACKING_URI") or DEFAULT_URI


def is_server(uri: str) -> bool:
    """Whether a store is behind a server, not in a file or database that is written to directly."""
    return uri.startswith(("http://", "https://"))


def sqlite_file(uri: str) -> Path | None:
    """The file of a SQLite store, relative where its address is; None for any other store."""
    kind, _, path = uri.partition(":///")
    path = path.partition("?")[0]
    return Path(path) if kind.partition("+")[0] == "sqlite" and path not in ("", ":memory:") else None


def shown(uri: str) -> str:
    """An address without its password."""
    return re.sub(r"://([^/@:]*):[^/]*@", r"://\1:***@", uri)


def prepare_mlflow() -> None:
    """Set what MLflow reads from the environment when it is imported; call this before."""
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    os.environ["DO_NOT_TRACK"] = "true"
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")  # else four lines on the machine's load in every job
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", str(TIMEOUT))
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    os.environ.setdefault("PGCONNECT_TIMEOUT", str(TIMEOUT))
    # a failure is reported once, by us, not per attempt, with tracebacks, or for every sample of the machine's load
    for name in ("urllib3.connectionpool", "mlflow.store.db.utils", "mlflow.system_metrics"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
