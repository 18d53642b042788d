"""python -m pipeline_steps.tracking sync [FOLDER ...]: send results that the store lacks, as after a failure of it.

python -m pipeline_steps.tracking ui: open MLflow on this machine's runs, on a free port.
"""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from pipeline_steps.job.errors import UserError
from pipeline_steps.job.progress import configure_logging, logger
from pipeline_steps.reporting.links import server_page
from pipeline_steps.tracking import store
from pipeline_steps.tracking.server import HOST, listen, serve
from pipeline_steps.tracking.settings import is_server, shown, tracking_uri
from pipeline_steps.tracking.view import ALL_ARMS, questions_of, view_link

_RESULTS = [Path("data/cards"), Path("results")]
app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def sync(
    folders: Annotated[list[Path], typer.Argument(help="folders below which results lie")] = _RESULTS,
) -> None:
    """Send every finished result that the store lacks, complete links, and end the runs whose processes are gone."""
    from pipeline_steps.tracking.sync import send_missing  # imports torch, which `ui` does without

    with store.failing_with("not everything could be sent", "run the same command again"):
        logger.info("sent %d runs to %s", send_missing(folders), shown(tracking_uri()))


@app.command()
def ui() -> None:
    """Serve MLflow's pages on the first free port from 5000 on, at 127.0.0.1; print the address of a server.

    Prints a link for every question of a study, to its trainings by test error. Of comparisons that ran several times
    the pages show the one whose results lie here.
    """
    uri = tracking_uri()
    with store.failing_with("MLflow does not open it", "see what it says, or name another in MLFLOW_TRACKING_URI"):
        client = store.open_client()
        if not is_server(uri):  # a server's pages belong to everybody
            store.show_what_lies_here(client, _RESULTS[1])
        experiments = client.search_experiments()
    if is_server(uri):
        _print_links(server_page(uri), experiments)
        return
    with listen() as listening:  # before anything is printed: nobody else can have this port
        _print_links(f"http://{HOST}:{listening.getsockname()[1]}", experiments)
        serve(uri, listening)


def _print_links(address: str, experiments: list[Any]) -> None:
    print(f"MLflow: {address}")
    for experiment in experiments:
        for question in questions_of(experiment.tags):
            name = " ".join([experiment.name, *([question] if question != ALL_ARMS else [])])
            print(f"{name}: {address}/{view_link(experiment.experiment_id, question)}")
    sys.stdout.flush()


if __name__ == "__main__":
    configure_logging()
    try:
        app()
    except UserError as error:
        sys.exit(f"error: {error}")
