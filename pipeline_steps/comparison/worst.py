"""Where the best arm of a data set and its baseline fail."""

import numpy as np
import pandas as pd

from pipeline_steps.comparison.reading import Evaluated
from pipeline_steps.pose.geometry import ANGLES, matrix_to_euler
from pipeline_steps.pose.metrics import PREDICTED


def mean_rotation(rotations: np.ndarray) -> np.ndarray:
    """The rotations (N, 3, 3) closest, by their elements, to the mean of (K, N, 3, 3) over the first axis."""
    left, _, right = np.linalg.svd(rotations.mean(0))
    left[..., -1] *= np.linalg.det(left @ right)[..., None]
    result: np.ndarray = left @ right
    return result


def best_arm(table: pd.DataFrame, dataset: str) -> "pd.Series[str]":
    """The row of `compare_arms` with the lowest error on a data set."""
    of_dataset = table[table["dataset"] == dataset]
    best: pd.Series[str] = of_dataset.sort_values(["geodesic", "mae", "arm"]).iloc[0]
    return best


def worst(evaluations: list[Evaluated], number: int = 20) -> pd.DataFrame:
    """The images on which one arm errs most, from its evaluations on one data set with every seed.

    source_id, subject; yaw, pitch, roll of the label and, with pred_, of the mean prediction over seeds, in degrees,
    missing where the label does not say; error_deg: mean over seeds of the geodesic error, or of the MAE of the known
    angles.
    """
    errors = np.mean([e.shown_error().to_numpy() for e in evaluations], axis=0)
    chosen = np.argsort(-errors, kind="stable")[:number]
    shown = evaluations[0].table.iloc[chosen]
    predicted = np.stack([e.table[PREDICTED].to_numpy(float)[chosen].reshape(-1, 3, 3) for e in evaluations])
    table = shown.reset_index()[["source_id", "subject", *ANGLES]]
    table[[f"pred_{angle}" for angle in ANGLES]] = matrix_to_euler(mean_rotation(predicted))
    return table.assign(error_deg=errors[chosen]).round(2)


def worst_of_all(table: pd.DataFrame, evaluations: list[Evaluated]) -> pd.DataFrame:
    """`worst` of the best arm and of its baseline on every data set, below `dataset` and `arm`."""
    tables = []
    for dataset in table["dataset"].unique():
        best = best_arm(table, dataset)
        for arm in dict.fromkeys([best["arm"], best["baseline"]]):
            of_arm = [e for e in evaluations if e.metrics["dataset"] == dataset and e.arm == arm]
            found = worst(of_arm)
            found.insert(0, "arm", arm)
            found.insert(0, "dataset", dataset)
            tables.append(found)
    return pd.concat(tables, ignore_index=True)
