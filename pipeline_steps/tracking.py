"""Mirrors training runs to MLflow; the files beside a result stay the truth. The only module that imports mlflow.

Configured by the environment: HEADPOSE_TRACKING=off switches it off, MLFLOW_TRACKING_URI names the store.
"""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pipeline_steps.progress import logger
from pipeline_steps.recipe import Recipe

DEFAULT_URI = "sqlite:///mlflow.db"


def _flatten(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        name = f"{prefix}{key}"
        flat |= _flatten(value, f"{name}.") if isinstance(value, dict) else {name: value}
    return flat


class TrackedRun:
    """One run in the store, or none where tracking is off or the store is out of reach."""

    def __init__(self, client: Any = None, run_id: str | None = None, logged_epochs: int = 0) -> None:
        self.client = client
        self.run_id = run_id
        self.logged_epochs = logged_epochs

    def log_metrics(self, metrics: dict[str, float], step: int = 0) -> None:
        """Log metrics at one step in one request; the first failure ends the mirroring, never the training."""
        if self.client is None:
            return
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        try:
            entities = [Metric(name, value, now, step) for name, value in metrics.items()]
            self.client.log_batch(self.run_id, metrics=entities)
        except Exception as error:
            logger.warning("MLflow is out of reach (%s): this run goes on untracked", str(error).splitlines()[0])
            self.client = None

    def log_epoch(self, epoch: int, metrics: dict[str, float]) -> None:
        """Log an epoch's metrics, unless this run has them from before an interruption."""
        if epoch > self.logged_epochs:
            self.log_metrics(metrics, epoch)
            self.logged_epochs = epoch


def _start(recipe: Recipe, checkpoints: Path | None) -> TrackedRun:
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    os.environ["DO_NOT_TRACK"] = "true"
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
    from filelock import FileLock
    from mlflow.tracking import MlflowClient

    name = f"headpose-{recipe.job['study']}"
    with FileLock(".mlflow.lock"):  # jobs that start at once must not all lay out an empty database
        client = MlflowClient(os.environ.get("MLFLOW_TRACKING_URI", DEFAULT_URI))
        experiment = client.get_experiment_by_name(name)
        artifacts = Path("mlartifacts").absolute().as_uri()
        experiment_id = experiment.experiment_id if experiment else client.create_experiment(name, artifacts)
    kept = checkpoints / "mlflow_run_id" if checkpoints else None
    if kept and kept.exists():
        run = client.get_run(kept.read_text())
        client.update_run(run.info.run_id, "RUNNING")
        epochs = [m.step for m in client.get_metric_history(run.info.run_id, "train_loss")]
        return TrackedRun(client, run.info.run_id, max(epochs, default=0))
    tags = {"stage": recipe.step, "recipe": recipe.key} | {k: str(v) for k, v in recipe.job.items()}
    parts = [recipe.step, *(str(v) for k, v in recipe.job.items() if k not in ("study", "seed"))]
    title = "/".join([*parts, f"seed{recipe.job.get('seed', 0)}"])
    run = client.create_run(experiment_id, tags=tags, run_name=title)
    for key, value in _flatten(recipe.params).items():
        client.log_param(run.info.run_id, key, value)
    if kept:
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_text(run.info.run_id)
    return TrackedRun(client, run.info.run_id)


@contextmanager
def track_run(recipe: Recipe, checkpoints: Path | None) -> Iterator[TrackedRun]:
    """A run that ends FINISHED, FAILED, or KILLED with the block; a resumed job goes on in its run.

    checkpoints: where the run's id is kept while the job is unfinished.
    """
    run = TrackedRun()
    if os.environ.get("HEADPOSE_TRACKING") != "off":
        try:
            run = _start(recipe, checkpoints)
        except Exception as error:
            logger.warning("MLflow is out of reach (%s): this run goes untracked", str(error).splitlines()[0])
    status = "FAILED"
    try:
        yield run
        status = "FINISHED"
    except (KeyboardInterrupt, SystemExit):
        status = "KILLED"
        raise
    finally:
        if run.client is not None:
            run.client.set_terminated(run.run_id, status)
