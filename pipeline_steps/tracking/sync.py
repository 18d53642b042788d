"""Results that the store lacks, sent from their folders."""

from pathlib import Path
from typing import Any

from pipeline_steps.job.recipe import RECIPE, Recipe, read_recipe
from pipeline_steps.job.seal import SEAL
from pipeline_steps.tracking import store
from pipeline_steps.tracking.compared import Compared
from pipeline_steps.tracking.outcomes import INPUTS, TRACKED, evaluation_errors, show_comparison
from pipeline_steps.tracking.runs import end_dead_runs, open_run


def _catch_up(client: Any, experiment: str, run: Any, recipe: Recipe, output: Path) -> None:
    """Link a finished run to inputs whose runs were sent to the store after it."""
    links = {n: v for n, v in store.links(client, experiment, recipe).items() if n not in run.data.tags}
    if recipe.step == "evaluate" and "input.model" in links:
        store.send_metrics(client, links["input.model"], evaluation_errors(recipe, output))
    inputs = store.inputs_by_folder(client, experiment, recipe)
    if inputs and inputs != store.read_json(client, run.info.run_id, INPUTS):
        client.log_dict(run.info.run_id, inputs, INPUTS)
        if recipe.step == "compare":
            show_comparison(client, run.info.run_id, recipe, Compared(output))
    store.send_tags(client, run.info.run_id, links)  # last, so that everything before is repeated if it fails


def send_missing(folders: list[Path]) -> int:
    """Send every finished result below the folders that the store lacks, and complete links; number of runs sent."""
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
            open_run(recipe, folder).finish(recipe, folder)
            sent += 1
    for experiment in experiments:
        end_dead_runs(client, experiment)
    return sent
