"""A job as a run in MLflow, from its start to its end. Runs mirror the results; the files remain authoritative."""

import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from pipeline_steps.job.main_process import is_main_process
from pipeline_steps.job.progress import logger
from pipeline_steps.job.provenance import PATCH, code, patch_beside, provenance
from pipeline_steps.job.recipe import JobInput, Recipe
from pipeline_steps.job.seal import read_seal
from pipeline_steps.tracking import store
from pipeline_steps.tracking.outcomes import Outcome
from pipeline_steps.tracking.reach import SYNC
from pipeline_steps.tracking.settings import tracking_is_on
from pipeline_steps.tracking.store import first_line

_AFTERWARDS = f"its files are kept; send them later: {SYNC}"


class TrackedRun:
    """One run in the store, or none where tracking is off or the store cannot be reached."""

    def __init__(self, client: Any = None, run_id: str = "", logged_epochs: int = 0) -> None:
        self.client = client
        self.run_id = run_id
        self.logged_epochs = logged_epochs

    def log_metrics(self, metrics: dict[str, float], step: int = 0) -> None:
        """Log metrics at one step in one request; the first failure ends the tracking, never the training."""
        if self.client is None:
            return
        try:
            store.send_metrics(self.client, self.run_id, metrics, step)
        except Exception as error:
            logger.warning(
                "MLflow cannot be reached (%s): this run goes on untracked; %s", first_line(error), _AFTERWARDS
            )
            self.client = None

    def log_epoch(self, epoch: int, metrics: dict[str, float]) -> None:
        """Log an epoch's metrics, unless this run has logged them before an interruption."""
        if epoch > self.logged_epochs:
            self.log_metrics(metrics, epoch)
            self.logged_epochs = epoch

    def finish(self, recipe: Recipe, output: Path) -> None:
        """Send missing epochs and the outcome in the folder `output`, then end the run; or raise."""
        if (output / "history.csv").exists():
            import pandas as pd

            for row in pd.read_csv(output / "history.csv").to_dict("records"):
                epoch = int(row.pop("epoch"))
                if epoch > self.logged_epochs:
                    metrics = {str(name): float(value) for name, value in row.items()}
                    store.send_metrics(self.client, self.run_id, metrics, epoch)
        Outcome(self.client, self.run_id, recipe, output).send()
        self.client.set_terminated(self.run_id, "FINISHED")


def end_dead_runs(client: Any, experiment: str) -> None:
    """End runs of this machine that still count as running although their process is gone."""
    import psutil

    for run in client.search_runs([experiment], "attributes.status = 'RUNNING'"):
        tags = run.data.tags
        if tags.get("host") == platform.node() and not psutil.pid_exists(int(tags.get("pid", 0))):
            client.set_terminated(run.info.run_id, "KILLED")


def open_run(recipe: Recipe, finished: Path | None = None) -> TrackedRun:
    """A new run, or the unfinished one of the same recipe and job, which is continued.

    finished: folder of the job's results, where they are complete; else this process does the job, and the run is dead
    when the process is.
    """
    client, identity = store.open_client(), store.identity(recipe)
    with store.one_at_a_time():
        experiment = store.experiment_of(client, recipe)
        end_dead_runs(client, experiment)
    unfinished = [run for run in store.tagged(client, experiment, identity) if run.info.status != "FINISHED"]
    if unfinished:
        run_id = unfinished[0].info.run_id
        epochs = max((m.step for m in client.get_metric_history(run_id, "train_loss")), default=0)
    else:
        run_id, epochs = client.create_run(experiment, tags=identity, run_name=_title(recipe)).info.run_id, 0
    process = {} if finished else {"host": platform.node(), "pid": str(os.getpid())}
    # the process before the status: other jobs end running runs whose process is gone
    store.send_tags(client, run_id, _code(finished) | store.links(client, experiment, recipe) | process)
    client.update_run(run_id, "RUNNING")
    if patch := patch_beside(finished) if finished else code().patch:
        client.log_text(run_id, patch.decode(errors="replace"), PATCH)
    store.send_params(client, run_id, recipe.params)
    data = {role: of for role in ("crops", "split") if isinstance(of := recipe.inputs.get(role), JobInput)}
    if data:
        store.send_inputs(client, run_id, {role: of.fingerprint for role, of in data.items()})
    return TrackedRun(client, run_id, epochs)


def _title(recipe: Recipe) -> str:
    job = {name: str(value) for name, value in recipe.job.items()}
    parts = [recipe.step, *(value for name, value in job.items() if name not in ("study", "seed"))]
    return "/".join([*parts, *([f"seed{job['seed']}"] if "seed" in job else [])])


def _code(finished: Path | None) -> dict[str, str]:
    """Provenance of finished results or of this process; the commit also under the name that MLflow's pages expect."""
    known = read_seal(finished).code if finished else provenance()
    commit = {"mlflow.source.git.commit": known["git_commit"]} if "git_commit" in known else {}
    return known | commit


@contextmanager
def track_run(recipe: Recipe, output: Path) -> Iterator[TrackedRun]:
    """A run that ends FINISHED, FAILED, or KILLED with the block; a resumed job continues its run.

    output: folder of the job's results, which are sent once the block has succeeded. No failure of MLflow stops the
    block.
    """
    if not tracking_is_on() or not is_main_process():
        yield TrackedRun()
        return
    try:
        run, monitor = open_run(recipe), None
        monitor = store.system_metrics(run.run_id)
        monitor.__enter__()
    except Exception as error:
        logger.warning("MLflow cannot be reached (%s): the job goes on; %s", first_line(error), _AFTERWARDS)
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
        logger.warning("MLflow does not accept the results (%s); %s", first_line(error), _AFTERWARDS)
        with suppress(Exception):
            run.client.set_terminated(run.run_id, "FAILED")
