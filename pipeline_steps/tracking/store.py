"""Requests to MLflow's store: experiments, runs by tag, and the contents of a run."""

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tenacity import retry, stop_after_attempt, wait_random_exponential

from pipeline_steps.job.errors import UserError
from pipeline_steps.job.recipe import JobInput, Recipe
from pipeline_steps.params.leaves import leaves
from pipeline_steps.tracking.settings import is_server, prepare_mlflow, tracking_uri


def open_client() -> Any:
    """MLflow's client of the store."""
    prepare_mlflow()
    from mlflow.tracking import MlflowClient

    return MlflowClient(tracking_uri())


def first_line(error: Exception) -> str:
    """The first line of an error's message, or its type."""
    return (str(error).splitlines() or [type(error).__name__])[0]


@contextmanager
def failing_with(fix: str) -> Iterator[None]:
    """Turns errors of the store within the block into a UserError; fix: what the user can do."""
    prepare_mlflow()
    from mlflow.exceptions import MlflowException

    try:
        yield
    except (MlflowException, OSError) as error:
        raise UserError(f"{tracking_uri()}: not everything could be sent ({first_line(error)}); {fix}") from error


@contextmanager
def system_metrics(run_id: str) -> Iterator[None]:
    """Logs the load of processors and memory to a run while the block runs."""
    from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

    new_monitor: Any = SystemMetricsMonitor
    monitor = new_monitor(run_id, resume_logging=True, tracking_uri=tracking_uri())
    monitor.start()
    try:
        yield
    finally:
        monitor.finish()


def experiment_of(client: Any, recipe: Recipe) -> str:
    """Id of the experiment of the job's study, which is created where it is missing."""
    name = f"headpose-{recipe.job.get('study', 'data')}"  # data sets belong to no study
    known = client.get_experiment_by_name(name)
    if known is None:
        artifacts = None if is_server(tracking_uri()) else Path("mlartifacts").absolute().as_uri()
        kind = {"mlflow.experimentKind": "custom_model_development"}  # so that the UI shows runs, not prompts
        try:
            return str(client.create_experiment(name, artifacts, kind))
        except Exception:
            known = client.get_experiment_by_name(name)  # a job on another machine may have been faster
            if known is None:
                raise
    return str(known.experiment_id)


def identity(recipe: Recipe) -> dict[str, str]:
    """The tags that distinguish a job's run from all others."""
    return {"stage": recipe.step, "recipe": recipe.fingerprint} | {
        name: str(value) for name, value in recipe.job.items()
    }


def tagged(client: Any, experiment: str, tags: Mapping[str, str]) -> list[Any]:
    """Runs with all of the tags, the latest first."""
    wanted = " and ".join(f"tags.`{name}` = '{value}'" for name, value in tags.items())
    return list(client.search_runs([experiment], wanted, order_by=["attributes.start_time DESC"]))


def links(client: Any, experiment: str, recipe: Recipe) -> dict[str, str]:
    """Tags that name the runs of the jobs behind a job's inputs, as far as the store has them."""
    found = {}
    for role, of in recipe.inputs.items():
        if isinstance(of, JobInput) and (behind := tagged(client, experiment, {"recipe": of.fingerprint})):
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

    for some in _hundreds([Param(name, str(value)) for name, value in leaves(params).items()]):
        client.log_batch(run_id, params=some)


def send_tags(client: Any, run_id: str, tags: Mapping[str, str]) -> None:
    """Send tags; they replace those of the same name."""
    from mlflow.entities import RunTag

    for some in _hundreds([RunTag(name, value) for name, value in tags.items()]):
        client.log_batch(run_id, tags=some)


@retry(stop=stop_after_attempt(4), wait=wait_random_exponential(0.2), reraise=True)
def send_inputs(client: Any, run_id: str, fingerprints: Mapping[str, str]) -> None:
    """Send the data sets that a run reads: the fingerprint of a recipe by role.

    If several jobs add the same data set to a database at once, MLflow accepts one and refuses the others.
    """
    from mlflow.entities import Dataset, DatasetInput

    sets = [Dataset(role, of, "recipe", json.dumps({"recipe": of})) for role, of in fingerprints.items()]
    client.log_inputs(run_id, [DatasetInput(dataset) for dataset in sets])


def _hundreds(items: list[Any]) -> list[list[Any]]:
    """MLflow refuses more than 100 parameters or tags at once."""
    return [items[start : start + 100] for start in range(0, len(items), 100)]
