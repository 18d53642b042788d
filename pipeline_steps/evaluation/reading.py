"""What finished jobs left behind, as the comparison reads it."""

import json
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from pipeline_steps.evaluation.metrics import LABEL, PREDICTED, image_errors
from pipeline_steps.job.errors import UserError
from pipeline_steps.job.recipe import Recipe, read_recipe
from pipeline_steps.pose.geometry import ANGLES


class Evaluated(NamedTuple):
    """One evaluation: metrics.json, predictions.parquet by source id, and the part of the split that was predicted."""

    metrics: dict[str, Any]
    table: pd.DataFrame
    part: str

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
        """Of a fine-tuning: geodesic error in degrees on the validation people, at the epoch that was kept."""
        return float(self.history.set_index("epoch")["val_geodesic_deg"][self.run["chosen_epoch"]])


_EVALUATION, _TRAINING = ("metrics.json", "predictions.parquet"), ("run.json", "history.csv")


def files_read(evaluations: list[Path], trainings: list[Path]) -> list[Path]:
    """All files that are read of the jobs in these folders."""
    found = [folder / name for folder in evaluations for name in _EVALUATION]
    return [*found, *(folder / name for folder in trainings for name in _TRAINING)]


@cache
def read_evaluation(folder: Path) -> Evaluated:
    """Read one evaluation; UserError where it is not whole."""
    described, predicted = (folder / name for name in _EVALUATION)
    try:
        metrics = json.loads(described.read_text())
        table = pd.read_parquet(predicted).set_index("source_id").sort_index()
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"{folder}: not a whole evaluation ({error}); delete it and run snakemake again") from error
    return Evaluated(metrics, table, str(read_recipe(folder / "recipe.json").params["evaluate"]["part"]))


@cache
def read_training(folder: Path) -> Trained:
    """Read one pre-training or fine-tuning; UserError where it is not whole."""
    described, epochs = (folder / name for name in _TRAINING)
    try:
        run, history = json.loads(described.read_text()), pd.read_csv(epochs)
    except (OSError, ValueError) as error:
        raise UserError(f"{folder}: not a whole training ({error}); delete it and run snakemake again") from error
    return Trained(run, history, read_recipe(folder / "recipe.json"))
