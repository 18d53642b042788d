"""python -m pipeline_steps.tracking sync [FOLDER ...]: send results that the store lacks, as after a failure of it.

python -m pipeline_steps.tracking ui: open MLflow on this machine's runs, on a free port.
"""

import os
import socket
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from pipeline_steps.job.errors import UserError
from pipeline_steps.job.progress import configure_logging, logger
from pipeline_steps.job.recipe import RECIPE, Recipe, read_recipe
from pipeline_steps.job.seal import SEAL
from pipeline_steps.tracking import store
from pipeline_steps.tracking.outcomes import TRACKED, evaluation_errors
from pipeline_steps.tracking.runs import end_dead_runs, open_run
from pipeline_steps.tracking.settings import is_server, tracking_uri
from pipeline_steps.tracking.view import VIEW_TAG, view_link

_RESULTS = [Path("data/cards"), Path("results")]
app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


def _catch_up(client: Any, experiment: str, run: Any, recipe: Recipe, output: Path) -> None:
    """Link a finished run to inputs whose runs were sent to the store after it."""
    links = {n: v for n, v in store.links(client, experiment, recipe).items() if n not in run.data.tags}
    if recipe.step == "evaluate" and "input.model" in links:
        store.send_metrics(client, links["input.model"], evaluation_errors(recipe, output))
    store.send_tags(client, run.info.run_id, links)  # last, so that everything before is repeated if it fails


def _sync(folders: list[Path]) -> int:
    """Number of runs sent."""
    found = [(path.parent, read_recipe(path.with_name(RECIPE))) for top in folders for path in sorted(top.rglob(SEAL))]
    client, sent, experiments = store.open_client(), 0, set()
    for step in TRACKED:  # in this order, so that a run finds those of its inputs
        for folder, recipe in found:
            if recipe.step != step:
                continue
            experiment = store.experiment_of(client, recipe)
            experiments.add(experiment)
            known = store.tagged(client, experiment, store.identity(recipe))
            finished = [run for run in known if run.info.status == "FINISHED"]
            if finished:
                _catch_up(client, experiment, finished[0], recipe, folder)
                continue
            open_run(recipe, by_process=False).finish(recipe, folder)
            sent += 1
    for experiment in experiments:
        end_dead_runs(client, experiment)
    return sent


@app.command()
def sync(
    folders: Annotated[list[Path], typer.Argument(help="folders below which results lie")] = _RESULTS,
) -> None:
    """Send every finished result that the store lacks, complete links, and end the runs whose processes are gone."""
    with store.failing_with("run the same command again"):
        logger.info("sent %d runs to %s", _sync(folders), tracking_uri())


@app.command()
def ui() -> None:
    """Serve MLflow's pages on the first free port from 5000 on, at 127.0.0.1; print the address of a server.

    Prints a link for every compared study, to its trainings by test error.
    """
    uri = tracking_uri()
    for port in range(5000, 5100):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)):
                break
    address = uri if is_server(uri) else f"http://127.0.0.1:{port}"
    print(f"MLflow: {address}")
    for experiment in store.open_client().search_experiments():
        if VIEW_TAG in experiment.tags:
            print(f"{experiment.name}: {address}/{view_link(experiment.experiment_id)}")
    sys.stdout.flush()
    if is_server(uri):
        return
    command = ["-m", "mlflow", "ui", "--backend-store-uri", uri, "--host", "127.0.0.1", "--port", str(port)]
    os.execv(sys.executable, [sys.executable, *command])


if __name__ == "__main__":
    configure_logging()
    try:
        app()
    except UserError as error:
        sys.exit(f"error: {error}")
