"""A job as a run in MLflow, from its start to its end; the files beside a result stay the truth.

Configured by the environment: HEADPOSE_TRACKING=off switches it off, MLFLOW_TRACKING_URI names the store.
"""

import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

from pipeline_steps.job.main_process import is_main_process
from pipeline_steps.job.progress import logger
from pipeline_steps.job.provenance import provenance
from pipeline_steps.job.recipe import Recipe
from pipeline_steps.tracking import store
from pipeline_steps.tracking.outcomes import Outcome

_AFTERWARDS = "its files are kept; send them later: python -m pipeline_steps.tracking sync"


def first_line(error: Exception) -> str:
    """What an error says first, or its name."""
    return (str(error).splitlines() or [type(error).__name__])[0]


class TrackedRun:
    """One run in the store, or none where tracking is off or the store is out of reach."""

    def __init__(self, client: Any = None, run_id: str = "", logged_epochs: int = 0) -> None:
        self.client = client
        self.run_id = run_id
        self.logged_epochs = logged_epochs

    def log_metrics(self, metrics: dict[str, float], step: int = 0) -> None:
        """Log metrics at one step in one request; the first failure ends the mirroring, never the training."""
        if self.client is None:
            return
        try:
            store.send_metrics(self.client, self.run_id, metrics, step)
        except Exception as error:
            logger.warning(
                "MLflow is out of reach (%s): this run goes on untracked; %s", first_line(error), _AFTERWARDS
            )
            self.client = None

    def log_epoch(self, epoch: int, metrics: dict[str, float]) -> None:
        """Log an epoch's metrics, unless this run has them from before an interruption."""
        if epoch > self.logged_epochs:
            self.log_metrics(metrics, epoch)
            self.logged_epochs = epoch

    def finish(self, recipe: Recipe, output: Path) -> None:
        """Send the epochs that the run lacks and the outcome in the folder `output`, then end the run; or raise."""
        if (output / "history.csv").exists():
            import pandas as pd

            for row in pd.read_csv(output / "history.csv").to_dict("records"):
                epoch = int(row.pop("epoch"))
                if epoch > self.logged_epochs:
                    metrics = {str(name): float(value) for name, value in row.items()}
                    store.send_metrics(self.client, self.run_id, metrics, epoch)
        Outcome(self.client, self.run_id, recipe, output).send()
        self.client.set_terminated(self.run_id, "FINISHED")


def bury_dead(client: Any, experiment: str) -> None:
    """End runs of this machine that are still called running although their process is gone."""
    import psutil

    for run in client.search_runs([experiment], "attributes.status = 'RUNNING'"):
        tags = run.data.tags
        if tags.get("host") == platform.node() and not psutil.pid_exists(int(tags.get("pid", 0))):
            client.set_terminated(run.info.run_id, "KILLED")


def open_run(recipe: Recipe, by_process: bool) -> TrackedRun:
    """A new run, or the unfinished one of the same recipe and job, which goes on.

    by_process: whether this process does the job, and the run is dead when the process is.
    """
    from filelock import FileLock

    client, identity = store.open_client(), store.identity(recipe)
    # jobs that start at once must not all lay out an empty database
    with nullcontext() if store.is_server(os.environ["MLFLOW_TRACKING_URI"]) else FileLock(".mlflow.lock"):
        experiment = store.experiment_of(client, recipe)
        bury_dead(client, experiment)
    unfinished = [run for run in store.tagged(client, experiment, identity) if run.info.status != "FINISHED"]
    if unfinished:
        run_id = unfinished[0].info.run_id
        epochs = max((m.step for m in client.get_metric_history(run_id, "train_loss")), default=0)
    else:
        run_id, epochs = client.create_run(experiment, tags=identity, run_name=_title(recipe)).info.run_id, 0
    process = {"host": platform.node(), "pid": str(os.getpid())} if by_process else {}
    # the process comes before the status: others end a running run whose process is gone
    store.send_tags(client, run_id, _code() | store.links(client, experiment, recipe) | process)
    client.update_run(run_id, "RUNNING")
    store.send_params(client, run_id, recipe.params)
    if digests := {role: key for role, key in recipe.inputs.items() if role in ("crops", "split")}:
        store.send_inputs(client, run_id, digests)
    return TrackedRun(client, run_id, epochs)


def _title(recipe: Recipe) -> str:
    job = {name: str(value) for name, value in recipe.job.items()}
    parts = [recipe.step, *(value for name, value in job.items() if name not in ("study", "seed"))]
    return "/".join([*parts, *([f"seed{job['seed']}"] if "seed" in job else [])])


def _code() -> dict[str, str]:
    """Provenance, the commit also under the name by which MLflow's pages show it."""
    known = provenance()
    commit = {"mlflow.source.git.commit": known["git_commit"]} if "git_commit" in known else {}
    return known | commit


@contextmanager
def _system_metrics(run: TrackedRun) -> Iterator[None]:
    """Load of processors and memory, sampled while the job runs."""
    from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

    new_monitor: Any = SystemMetricsMonitor
    monitor = new_monitor(run.run_id, resume_logging=True, tracking_uri=os.environ["MLFLOW_TRACKING_URI"])
    monitor.start()
    try:
        yield
    finally:
        monitor.finish()


@contextmanager
def track_run(recipe: Recipe, output: Path) -> Iterator[TrackedRun]:
    """A run that ends FINISHED, FAILED, or KILLED with the block; a resumed job goes on in its run.

    output: folder of the job's results, mirrored once the block has ended well. Whatever MLflow does, the block runs.
    """
    if os.environ.get("HEADPOSE_TRACKING") == "off" or not is_main_process():
        yield TrackedRun()
        return
    try:
        run, monitor = open_run(recipe, by_process=True), None
        monitor = _system_metrics(run)
        monitor.__enter__()
    except Exception as error:
        logger.warning("MLflow is out of reach (%s): the job goes on; %s", first_line(error), _AFTERWARDS)
        yield TrackedRun()
        return
    status = "FAILED"
    try:
        yield run
        status = "FINISHED"
    except (KeyboardInterrupt, SystemExit):
        status = "KILLED"
        raise
    finally:
        with suppress(Exception):
            monitor.__exit__(None, None, None)
        _close(run, recipe, output, status)


def _close(run: TrackedRun, recipe: Recipe, output: Path, status: str) -> None:
    if run.client is None:
        return
    try:
        if status == "FINISHED":
            run.finish(recipe, output)
        else:
            run.client.set_terminated(run.run_id, status)
    except Exception as error:
        logger.warning("MLflow does not take the results (%s); %s", first_line(error), _AFTERWARDS)
        with suppress(Exception):
            run.client.set_terminated(run.run_id, "FAILED")
