"""Settings of tracking, from the environment.

HEADPOSE_TRACKING=off switches it off. MLFLOW_TRACKING_URI names the store, by default a database beside the results.
"""

import logging
import os

DEFAULT_URI = "sqlite:///mlflow.db"


def tracking_is_on() -> bool:
    """Whether jobs are tracked."""
    return os.environ.get("HEADPOSE_TRACKING") != "off"


def tracking_uri() -> str:
    """Address of the store."""
    return os.environ.get("MLFLOW_TRACKING_URI", DEFAULT_URI)


def is_server(uri: str) -> bool:
    """Whether a store is behind a server, not in a file or database that is written to directly."""
    return uri.startswith(("http://", "https://"))


def prepare_mlflow() -> None:
    """Set what MLflow reads from the environment when it is imported; call this before."""
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    os.environ["DO_NOT_TRACK"] = "true"
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")  # else four lines on the machine's load in every job
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
    logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)  # a failure is reported once, not per attempt
