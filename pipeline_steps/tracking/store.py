"""Requests to MLflow's store, named by MLFLOW_TRACKING_URI: experiments, runs by tag, and what is sent to a run."""

import json
import logging
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tenacity import retry, stop_after_attempt, wait_random_exponential

from pipeline_steps.job.recipe import Recipe

DEFAULT_URI = "sqlite:///mlflow.db"


def configure() -> str:
    """Settle MLflow's environment, which it reads when it is imported; returns the store's URI."""
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    os.environ["DO_NOT_TRACK"] = "true"
    logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)  # a retry is no news, failure is told once
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")  # else four lines on the machine's load in every job
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
    return os.environ.setdefault("MLFLOW_TRACKING_URI", DEFAULT_URI)


def open_client() -> Any:
    """MLflow's client of the store."""
    uri = configure()
    from mlflow.tracking import MlflowClient

    return MlflowClient(uri)


def is_server(uri: str) -> bool:
    """Whether a store is behind a server, not in a file or database that is written to directly."""
    return uri.startswith(("http://", "https://"))


def experiment_of(client: Any, recipe: Recipe) -> str:
    """Id of the experiment of the job's study, made where there is none."""
    name = f"headpose-{recipe.job.get('study', 'data')}"  # data sets belong to no study
    known = client.get_experiment_by_name(name)
    if known is None:
        artifacts = None if is_server(os.environ["MLFLOW_TRACKING_URI"]) else Path("mlartifacts").absolute().as_uri()
        kind = {"mlflow.experimentKind": "custom_model_development"}  # so that the UI shows runs, not prompts
        try:
            return str(client.create_experiment(name, artifacts, kind))
        except Exception:
            known = client.get_experiment_by_name(name)  # a job on another machine may have been faster
            if known is None:
                raise
    return str(known.experiment_id)


def identity(recipe: Recipe) -> dict[str, str]:
    """The tags that tell a job's run from all others."""
    return {"stage": recipe.step, "recipe": recipe.key} | {name: str(value) for name, value in recipe.job.items()}


def tagged(client: Any, experiment: str, tags: Mapping[str, str]) -> list[Any]:
    """Runs that carry all the tags, the latest first."""
    wanted = " and ".join(f"tags.`{name}` = '{value}'" for name, value in tags.items())
    return list(client.search_runs([experiment], wanted, order_by=["attributes.start_time DESC"]))


def links(client: Any, experiment: str, recipe: Recipe) -> dict[str, str]:
    """Tags that name the runs behind a job's inputs, as far as the store has them."""
    found = {}
    for role, key in recipe.inputs.items():
        if len(key) == 16 and (behind := tagged(client, experiment, {"recipe": key})):
            found[f"input.{role}"] = behind[0].info.run_id
    return found


def send_metrics(client: Any, run_id: str, metrics: Mapping[str, float], step: int = 0) -> None:
    """Send metrics of one step in one request."""
    from mlflow.entities import Metric

    now = int(time.time() * 1000)
    client.log_batch(run_id, metrics=[Metric(name, value, now, step) for name, value in metrics.items()])


def send_params(client: Any, run_id: str, params: Mapping[str, Any]) -> None:
    """Send parameters, nested ones under dotted names."""
    from mlflow.entities import Param

    for some in _hundreds([Param(name, str(value)) for name, value in _flatten(params).items()]):
        client.log_batch(run_id, params=some)


def send_tags(client: Any, run_id: str, tags: Mapping[str, str]) -> None:
    """Send tags; those that the run has get the new value."""
    from mlflow.entities import RunTag

    for some in _hundreds([RunTag(name, value) for name, value in tags.items()]):
        client.log_batch(run_id, tags=some)


@retry(stop=stop_after_attempt(4), wait=wait_random_exponential(0.2), reraise=True)
def send_inputs(client: Any, run_id: str, digests: Mapping[str, str]) -> None:
    """Send the data sets that a run reads: a recipe's key by role.

    Of jobs that bring the same data set to a database at once, MLflow lets one pass and refuses the others.
    """
    from mlflow.entities import Dataset, DatasetInput

    sets = [Dataset(role, key, "recipe", json.dumps({"recipe": key})) for role, key in digests.items()]
    client.log_inputs(run_id, [DatasetInput(dataset) for dataset in sets])


def _flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        name = f"{prefix}{key}"
        flat |= _flatten(value, f"{name}.") if isinstance(value, dict) else {name: value}
    return flat


def _hundreds(items: list[Any]) -> list[list[Any]]:
    """MLflow refuses more than 100 parameters or tags at once."""
    return [items[start : start + 100] for start in range(0, len(items), 100)]
