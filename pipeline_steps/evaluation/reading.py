"""What finished jobs left behind, as the comparison reads it."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from pipeline_steps.evaluation.metrics import LABEL, PREDICTED, image_errors
from pipeline_steps.images.crop_file import CropFile
from pipeline_steps.job.errors import UserError
from pipeline_steps.job.recipe import RECIPE, Recipe, read_recipe
from pipeline_steps.params.sections import Evaluation
from pipeline_steps.params.steps import EvaluateParams
from pipeline_steps.pose.geometry import ANGLES


class Evaluated(NamedTuple):
    """One evaluation: metrics.json, predictions.parquet by source id, and its parameters."""

    metrics: dict[str, Any]
    table: pd.DataFrame
    params: Evaluation

    @property
    def arm(self) -> str:
        """Full name, with the variation."""
        return str(self.metrics["arm"])

    def errors(self, name: str) -> np.ndarray:
        """One of `image_errors` in degrees, (N,), in the order of the table."""
        rotation, predicted = (self.table[c].to_numpy(float).reshape(-1, 3, 3) for c in (LABEL, PREDICTED))
        return image_errors(self.table[ANGLES].to_numpy(float), rotation, predicted)[name].to_numpy()

    def shown_error(self) -> "pd.Series[float]":
        """Per image, in degrees: geodesic error or, where some label is no full rotation, MAE of the known angles."""
        geodesic = self.table["geodesic_deg"]
        return geodesic if geodesic.notna().all() else self.table["mae_deg"]


class Trained(NamedTuple):
    """One pre-training or fine-tuning: run.json, history.csv, recipe.json."""

    run: dict[str, Any]
    history: pd.DataFrame
    recipe: Recipe

    @property
    def name(self) -> str:
        """The arm, or the pretext task."""
        return str(self.run["arm" if "arm" in self.run else "pretext"])

    @property
    def validation_error(self) -> float:
        """Geodesic error of a fine-tuning in degrees, on the validation subjects, at the epoch that was kept."""
        return float(self.history.set_index("epoch")["val_geodesic_deg"][self.run["chosen_epoch"]])


_EVALUATION, _TRAINING = ("metrics.json", "predictions.parquet"), ("run.json", "history.csv")


def files_read(evaluations: list[Path], trainings: list[Path]) -> list[Path]:
    """All files of the jobs in these folders that are read here."""
    found = [folder / name for folder in evaluations for name in _EVALUATION]
    return [*found, *(folder / name for folder in trainings for name in _TRAINING)]


def read_metrics(folder: Path) -> tuple[dict[str, Any], Evaluation]:
    """Metrics and parameters of one evaluation; UserError where it is incomplete."""
    try:
        metrics = json.loads((folder / "metrics.json").read_text())
    except (OSError, ValueError) as error:
        raise _incomplete(folder, "evaluation", error) from error
    return metrics, read_recipe(folder / RECIPE).params_as(EvaluateParams).evaluate


def read_evaluation(folder: Path) -> Evaluated:
    """Read one evaluation; UserError where it is incomplete."""
    metrics, params = read_metrics(folder)
    try:
        table = pd.read_parquet(folder / "predictions.parquet").set_index("source_id").sort_index()
    except (OSError, ValueError, KeyError) as error:
        raise _incomplete(folder, "evaluation", error) from error
    return Evaluated(metrics, table, params)


def read_training(folder: Path) -> Trained:
    """Read one pre-training or fine-tuning; UserError where it is incomplete."""
    described, epochs = (folder / name for name in _TRAINING)
    try:
        run, history = json.loads(described.read_text()), pd.read_csv(epochs)
    except (OSError, ValueError) as error:
        raise _incomplete(folder, "training", error) from error
    return Trained(run, history, read_recipe(folder / RECIPE))


def _incomplete(folder: Path, what: str, error: Exception) -> UserError:
    return UserError(f"{folder}: incomplete {what} ({error}); delete it and run snakemake again")


TEXT = ("variation", "baseline", "bound", "source_id", "subject")
"""Columns of a comparison's tables whose cells may look like numbers or be empty, and are text."""


def read_table(path: Path) -> pd.DataFrame:
    """Read one of a comparison's tables; UserError where it is missing or corrupt."""
    try:
        table = pd.read_csv(path, dtype=dict.fromkeys(TEXT, str), keep_default_na=False, na_values=[""])
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: not a readable table ({error}); delete it and run snakemake again") from error
    return table.fillna({column: "" for column in TEXT if column in table})


def kind_of_images(card: Mapping[str, Any]) -> str:
    """What a data set shows, such as photographs or rendered heads; card: its card.json.

    Just images where it has no row in the table of data sets.
    """
    return str((card["record"] or {}).get("shows", "images"))


def crops_by_dataset(paths: list[Path]) -> dict[str, Path]:
    """Crop files by the name of their data set."""
    found = {}
    for path in paths:
        with CropFile(path) as file:
            found[file.dataset] = path
    return found
