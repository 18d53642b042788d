"""Requests to MLflow's store: experiments, runs by tag, and the contents of a run."""

import json
import sqlite3
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tenacity import retry, stop_after_attempt, wait_random_exponential

from pipeline_steps.job.errors import UserError
from pipeline_steps.job.recipe import RECIPE, JobInput, Recipe, read_recipe
from pipeline_steps.job.seal import SEAL
from pipeline_steps.params.leaves import leaves
from pipeline_steps.tracking.places import new_location, settle
from pipeline_steps.tracking.reach import require_store
from pipeline_steps.tracking.settings import is_server, prepare_mlflow, shown, sqlite_file, tracking_uri
from pipeline_steps.tracking.view import HEADLINE, NOTE, SHOWN, VIEW, question_of, study_note, view_tag


def open_client() -> Any:
    """MLflow's client of the store, which finds its files; UserError where it cannot be reached."""
    uri = tracking_uri()
    require_store(uri)
    prepare_mlflow()
    from mlflow.tracking import MlflowClient

    with one_at_a_time():
        client = MlflowClient(uri)
        settle(uri)
    return client


def one_at_a_time() -> AbstractContextManager[Any]:
    """Keeps jobs that start at once from all creating a database's tables, or an experiment; servers need no help."""
    from filelock import FileLock

    uri = tracking_uri()
    if is_server(uri):
        return nullcontext()
    database = sqlite_file(uri)
    folder = database.parent if database else Path()
    folder.mkdir(parents=True, exist_ok=True)
    return FileLock(folder / ".mlflow.lock")


def first_line(error: Exception) -> str:
    """The first line of an error's message, or its type."""
    return (str(error).splitlines() or [type(error).__name__])[0]


@contextmanager
def failing_with(what: str, fix: str) -> Iterator[None]:
    """Turns errors of the store within the block into a UserError; what: has failed; fix: what the user can do."""
    prepare_mlflow()
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (MlflowException, SQLAlchemyError, sqlite3.Error, OSError) as error:
        raise UserError(f"{shown(tracking_uri())}: {what} ({first_line(error)}); {fix}") from error


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


def experiment_name(recipe: Recipe) -> str:
    """Name of the experiment of the job's study; data sets belong to no study."""
    return f"headpose-{recipe.job.get('study', 'data')}"


def experiment_of(client: Any, recipe: Recipe) -> str:
    """Id of the experiment of the job's study, which is created where it is missing."""
    name = experiment_name(recipe)
    known = client.get_experiment_by_name(name)
    if known is None:
        kind = {"mlflow.experimentKind": "custom_model_development"}  # so that the UI shows runs, not prompts
        try:
            created = str(client.create_experiment(name, new_location(tracking_uri()), kind))
        except Exception:
            known = client.get_experiment_by_name(name)  # a job on another machine may have been faster
            if known is None:
                raise
        else:
            settle(tracking_uri())
            return created
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
    """Tags that name the runs of the jobs behind a job's named inputs, as far as the store has them."""
    named = {role: of for role, of in recipe.inputs.items() if isinstance(of, JobInput) and "/" not in role}
    return {f"input.{role}": run for role, of in named.items() if (run := _run_of(client, experiment, of))}


def inputs_by_folder(client: Any, experiment: str, recipe: Recipe) -> dict[str, dict[str, str | None]]:
    """By folder, the recipes of the many results that a job reads, and their runs as far as the store has them."""
    folders = {role: of for role, of in recipe.inputs.items() if isinstance(of, JobInput) and "/" in role}
    return {
        folder: {"recipe": of.fingerprint, "run": _run_of(client, experiment, of)} for folder, of in folders.items()
    }


def trainings_of(client: Any, experiment: str, recipe: Recipe, arms: set[str]) -> list[str]:
    """Ids of the runs of the trainings that a comparison of these arms reads, as far as the store has them.

    Of trainings that ran again it is the latest run, of equal ones by several names each name's.
    """
    found = {}
    for of in recipe.inputs.values():
        if isinstance(of, JobInput):
            for run in reversed(tagged(client, experiment, {"stage": "finetune", "recipe": of.fingerprint})):
                name = run.data.tags.get("arm"), run.data.tags.get("seed")
                if run.info.status == "FINISHED" and name[0] in arms:
                    found[name] = str(run.info.run_id)
    return list(found.values())


def show(client: Any, run: Any) -> None:
    """Let a study's pages show what this run of a comparison found, in the place of earlier ones of the same question.

    run: has its headline and its view.
    """
    experiment, view = run.info.experiment_id, read_json(client, run.info.run_id, VIEW)
    client.set_tag(run.info.run_id, SHOWN, str(time.time()))
    if view is not None:
        client.set_experiment_tag(experiment, view_tag(question_of(run)), json.dumps(view))
    # last, out of what all comparisons have sent, so that questions answered at once leave no one out
    client.set_experiment_tag(experiment, NOTE, study_note(experiment, comparisons(client, experiment)))


def show_what_lies_here(client: Any, results: Path) -> None:
    """Show the comparisons whose results lie in STUDY/SIZE/compare, though others may have run since."""
    for recipe in _comparisons_here(results):
        experiment = client.get_experiment_by_name(experiment_name(recipe))
        if experiment is None:
            continue
        known = tagged(client, experiment.experiment_id, identity(recipe))
        sent = [run for run in known if HEADLINE in run.data.tags]
        shown = [run.info.run_id for run in comparisons(client, experiment.experiment_id).values()]
        if sent and not any(run.info.run_id in shown for run in sent):
            show(client, sent[0])


def _comparisons_here(results: Path) -> Iterator[Recipe]:
    for seal in sorted(results.glob(f"*/*/compare/**/{SEAL}")):
        with suppress(UserError):  # what is damaged is computed again by snakemake; the pages open all the same
            yield read_recipe(seal.with_name(RECIPE))


def _run_of(client: Any, experiment: str, of: JobInput) -> str | None:
    behind = tagged(client, experiment, {"recipe": of.fingerprint})
    return str(behind[0].info.run_id) if behind else None


def read_json(client: Any, run_id: str, name: str) -> Any:
    """Content of a run's JSON file; None where it has none."""
    if name not in [file.path for file in client.list_artifacts(run_id)]:
        return None
    with TemporaryDirectory() as folder:
        return json.loads(Path(client.download_artifacts(run_id, name, folder)).read_text())


def comparisons(client: Any, experiment: str) -> dict[str | None, Any]:
    """The run of every question's comparison that is shown, by question; the one that was shown last comes first."""
    sent = [run for run in tagged(client, experiment, {"stage": "compare"}) if HEADLINE in run.data.tags]
    shown: dict[str | None, Any] = {}
    for run in sorted(sent, key=_shown_at, reverse=True):
        shown.setdefault(question_of(run), run)
    return shown


def _shown_at(run: Any) -> float:
    """Seconds since 1970; of a run from before there was the tag, its start."""
    return float(run.data.tags.get(SHOWN, run.info.start_time / 1000))


def send_metrics(client: Any, run_id: str, metrics: Mapping[str, float], step: int = 0) -> None:
    """Send metrics of one step, in one request unless there are very many."""
    from mlflow.entities import Metric

    now = int(time.time() * 1000)
    for some in _batches([Metric(name, value, now, step) for name, value in metrics.items()], 1000):
        client.log_batch(run_id, metrics=some)


def send_params(client: Any, run_id: str, params: Mapping[str, Any]) -> None:
    """Send parameters, nested ones under dotted names."""
    from mlflow.entities import Param

    for some in _batches([Param(name, str(value)) for name, value in leaves(params).items()]):
        client.log_batch(run_id, params=some)


def send_tags(client: Any, run_id: str, tags: Mapping[str, str]) -> None:
    """Send tags; they replace those of the same name."""
    from mlflow.entities import RunTag

    for some in _batches([RunTag(name, value) for name, value in tags.items()]):
        client.log_batch(run_id, tags=some)


@retry(stop=stop_after_attempt(4), wait=wait_random_exponential(0.2), reraise=True)
def send_inputs(client: Any, run_id: str, fingerprints: Mapping[str, str]) -> None:
    """Send the data sets that a run reads: the fingerprint of a recipe by role.

    If several jobs add the same data set to a database at once, MLflow accepts one and refuses the others.
    """
    from mlflow.entities import Dataset, DatasetInput

    sets = [Dataset(role, of, "recipe", json.dumps({"recipe": of})) for role, of in fingerprints.items()]
    client.log_inputs(run_id, [DatasetInput(dataset) for dataset in sets])


def _batches(items: list[Any], size: int = 100) -> list[list[Any]]:
    """MLflow refuses more than 100 parameters or tags at once, or 1000 metrics."""
    return [items[start : start + size] for start in range(0, len(items), size)]
