"""The contents of a finished job's run in MLflow, by step: metrics, files, figures, the model."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline_steps.job.recipe import Recipe
from pipeline_steps.params.steps import EvaluateParams
from pipeline_steps.tracking.compared import Compared, metric
from pipeline_steps.tracking.models import log_model, register_model
from pipeline_steps.tracking.store import inputs_by_folder, send_metrics, send_tags, show, trainings_of
from pipeline_steps.tracking.view import HEADLINE, NOTE, VIEW

INPUTS = "inputs.json"
"""File of a run that reads many results: which, and from which runs."""


@dataclass(frozen=True)
class Outcome:
    """A finished job's folder of results, and its run."""

    client: Any
    run_id: str
    recipe: Recipe
    folder: Path

    def send(self) -> None:
        """Send everything, or raise."""
        TRACKED[self.recipe.step](self)
        experiment = self.client.get_run(self.run_id).info.experiment_id
        if inputs := inputs_by_folder(self.client, experiment, self.recipe):
            self.client.log_dict(self.run_id, inputs, INPUTS)

    def read(self, name: str) -> dict[str, Any]:
        """Content of a JSON file."""
        return dict(json.loads((self.folder / name).read_text()))

    def log_metrics(self, metrics: dict[str, float]) -> None:
        """Send metrics to the run."""
        send_metrics(self.client, self.run_id, metrics)

    def log_files(self, *names: str) -> None:
        """Send files to the run."""
        for name in names:
            self.client.log_artifact(self.run_id, str(self.folder / name))


def evaluation_errors(recipe: Recipe, folder: Path) -> dict[str, float]:
    """An evaluation's errors in degrees, by their names in MLflow."""
    metrics, evaluate = json.loads((folder / "metrics.json").read_text()), recipe.params_as(EvaluateParams).evaluate
    return {metric(evaluate, recipe.job["dataset"], name): v for name, v in metrics.items() if isinstance(v, float)}


def _send_card(of: Outcome) -> None:
    card = of.read("card.json")
    of.log_metrics({name: float(card[name]) for name in ("images", "rejected", "subjects")})
    of.log_files("card.html", "card.json", "contact_sheet.jpg")


def _send_training(of: Outcome) -> None:
    of.log_files("history.csv")
    if (of.folder / "model.safetensors").exists():
        log_model(of.run_id, of.folder / "model.safetensors")


def _send_evaluation(of: Outcome) -> None:
    errors = evaluation_errors(of.recipe, of.folder)
    of.log_metrics(errors)
    model = of.client.get_run(of.run_id).data.tags.get("input.model")
    if model:  # so that fine-tuned runs can be compared by parameters and test errors at once
        send_metrics(of.client, model, errors)
    of.log_files("metrics.json")


def show_comparison(client: Any, run_id: str, recipe: Recipe, compared: Compared) -> None:
    """Let the study's pages show a comparison, whose run has its headline, and list its trainings."""
    run = client.get_run(run_id)
    trainings = trainings_of(client, run.info.experiment_id, recipe, compared.arms)
    client.log_dict(run_id, compared.view(trainings), VIEW)
    show(client, run)


def _send_comparison(of: Outcome) -> None:
    for name in ("table.md", "table.csv"):
        of.client.log_artifact(of.run_id, str(of.folder / name), "comparison")
    of.client.log_artifacts(of.run_id, str(of.folder / "figures"), "comparison")
    compared = Compared(of.folder)
    of.log_metrics(compared.metrics())
    send_tags(of.client, of.run_id, {HEADLINE: compared.headline(), NOTE: compared.note()})
    show_comparison(of.client, of.run_id, of.recipe, compared)


def _send_export(of: Outcome) -> None:
    of.log_metrics({name: v for name, v in of.read("export.json").items() if isinstance(v, float)})
    of.log_files("README.md")
    register_model(of.client, of.run_id, of.recipe, of.folder)


TRACKED: dict[str, Callable[[Outcome], None]] = {
    "describe_dataset": _send_card,
    "pretrain": _send_training,
    "finetune": _send_training,
    "evaluate": _send_evaluation,
    "compare": _send_comparison,
    "export_model": _send_export,
}
"""How to send the outcome of every tracked step; each step after those whose results it reads."""
