"""The images on which the best arm of a data set and its baseline have their largest errors."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from pipeline_steps.evaluation.metrics import LABEL, PREDICTED
from pipeline_steps.evaluation.reading import Evaluated
from pipeline_steps.evaluation.table import by_baseline
from pipeline_steps.images.crop_file import CropFile
from pipeline_steps.images.drawing import shown_rotation
from pipeline_steps.pose.averaging import mean_rotation
from pipeline_steps.pose.geometry import ANGLES, matrix_to_euler


def best_arm(table: pd.DataFrame, dataset: str) -> "pd.Series[str]":
    """The row of `compare_arms` with the lowest error on a data set, against the first baseline."""
    of_dataset = next(iter(by_baseline(table[table["dataset"] == dataset]).values()))
    best: pd.Series[str] = of_dataset.sort_values(["geodesic", "mae", "arm"]).iloc[0]
    return best


class Faces(NamedTuple):
    """Crops (N, S, S, 3), uint8, with label and prediction (N, 3, 3) and error in degrees (N,), by source id."""

    source_ids: list[str]
    images: np.ndarray
    label: np.ndarray
    predicted: np.ndarray
    error_deg: np.ndarray


def first_of_best(table: pd.DataFrame, dataset: str, evaluations: list[Evaluated]) -> Evaluated:
    """The evaluation of a data set's best arm with its lowest seed."""
    best = best_arm(table, dataset)["arm"]
    of_best = [e for e in evaluations if e.metrics["dataset"] == dataset and e.arm == best]
    return min(of_best, key=lambda e: int(e.metrics["seed"]))


def best_and_worst(evaluation: Evaluated, crops: Path) -> Faces:
    """The eight smallest and the eight largest errors of one evaluation, in rising order; crops: crops.h5."""
    errors = evaluation.shown_error()
    order = errors.argsort(kind="stable").to_numpy()
    places = np.concatenate([order[:8], order[8:][-8:]])
    shown = evaluation.table.iloc[places]
    with CropFile(crops) as file:
        rows = [file.source_ids.index(source_id) for source_id in shown.index]
        images = file.read(np.array(rows))
    label, predicted = (shown[c].to_numpy(float).reshape(-1, 3, 3) for c in (LABEL, PREDICTED))
    known = [shown_rotation(r, e) for r, e in zip(label, shown[ANGLES].to_numpy(float), strict=True)]
    return Faces(list(shown.index), images, np.array(known), predicted, errors.to_numpy()[places])


def worst(evaluations: list[Evaluated], number: int = 20) -> pd.DataFrame:
    """The images with one arm's largest errors, from its evaluations on one data set with every seed or of every fold.

    source_id, subject; yaw, pitch, roll of the label and, with pred_, of the mean prediction over the seeds that were
    tested on the image, in degrees, missing where the label lacks them; error_deg: mean over these seeds of the
    geodesic error, or of the MAE of the known angles.
    """
    errors = pd.concat([e.shown_error() for e in evaluations]).groupby(level=0, sort=False).mean()
    chosen = errors.sort_values(ascending=False, kind="stable").head(number)
    tested = pd.concat([e.table for e in evaluations]).loc[chosen.index]
    shown = tested[~tested.index.duplicated()]
    table = shown.rename_axis("source_id").reset_index()[["source_id", "subject", *ANGLES]]
    of_image = [tested.loc[[name], PREDICTED].to_numpy(float).reshape(-1, 3, 3) for name in chosen.index]
    means = np.stack([mean_rotation(rotations) for rotations in of_image])
    table[[f"pred_{angle}" for angle in ANGLES]] = matrix_to_euler(means)
    return table.assign(error_deg=chosen.to_numpy()).round(2)


def worst_of_all(table: pd.DataFrame, evaluations: list[Evaluated]) -> pd.DataFrame:
    """`worst` of the best arm and of its first baseline on every data set, with the columns dataset and arm first."""
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
