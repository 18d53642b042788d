"""MLflow's pages for the runs in a database, in this one process.

MLflow's own command starts four servers, and with them ten processes for jobs that this pipeline has none of.
"""

import os
import socket
import warnings

from pipeline_steps.job.errors import UserError
from pipeline_steps.tracking.places import FOLDER

HOST = "127.0.0.1"
PORTS = range(5000, 5100)


def listen() -> socket.socket:
    """A socket that listens at the first free port; UserError where none is free."""
    for port in PORTS:
        try:
            return socket.create_server((HOST, port))
        except OSError:
            continue
    raise UserError(f"ports {PORTS[0]} to {PORTS[-1]} of {HOST} are all in use; end what uses one of them")


def serve(uri: str, listening: socket.socket) -> None:
    """Answer on a socket that listens, until the process is interrupted; uri: of a database."""
    import uvicorn
    from mlflow.server import constants

    # as `mlflow server` hands its options to the application
    os.environ |= {
        constants.BACKEND_STORE_URI_ENV_VAR: uri,
        constants.REGISTRY_STORE_URI_ENV_VAR: uri,
        constants.ARTIFACT_ROOT_ENV_VAR: "mlflow-artifacts:/",
        constants.ARTIFACTS_DESTINATION_ENV_VAR: FOLDER,
        constants.SERVE_ARTIFACTS_ENV_VAR: "true",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    }
    warnings.simplefilter("ignore")  # those of MLflow's own code
    config = uvicorn.Config("mlflow.server.fastapi_app:app", log_level="warning")
    uvicorn.Server(config).run([listening])
