"""Errors of one and the same pose for every image, which a model has to beat to be of use."""

from typing import Any

import numpy as np
import pandas as pd

from pipeline_steps.evaluation.metrics import LABEL, prediction_table, summarise, with_groups
from pipeline_steps.evaluation.reading import Evaluated
from pipeline_steps.evaluation.table import CONSTANTS, ERRORS, VERDICT_OF_CONSTANTS
from pipeline_steps.images.crop_file import CropFile
from pipeline_steps.pose.averaging import mean_rotation
from pipeline_steps.pose.geometry import ANGLES
from pipeline_steps.splits.split_file import Split


def constant_poses(crops: CropFile, split: Split) -> dict[str, np.ndarray]:
    """Rotations (3, 3) by the names CONSTANTS: facing the camera, and the mean of the labels that can be trained on.

    crops, split: of the training data set. All its labelled training images count, whatever an arm's label budget.
    """
    trained_on = np.isin(crops.source_ids, split.train) & np.isfinite(crops.rotation).all((1, 2))
    return dict(zip(CONSTANTS, (np.eye(3), mean_rotation(crops.rotation[trained_on].astype(float))), strict=True))


def _predicted(evaluation: Evaluated, pose: np.ndarray) -> pd.DataFrame:
    """The evaluation's images as if each had been predicted this pose (3, 3)."""
    table = evaluation.table
    euler, rotation = table[ANGLES].to_numpy(float), table[LABEL].to_numpy(float).reshape(-1, 3, 3)
    poses = np.tile(pose, (len(table), 1, 1))
    return prediction_table(list(table.index), list(table["subject"]), rotation, euler, poses)


def constant_metrics(evaluations: list[Evaluated], poses: list[dict[str, np.ndarray]]) -> dict[str, dict[str, Any]]:
    """`summarise` of the images of evaluations if each had been predicted one pose, by its name, in degrees.

    poses: from `constant_poses`, for each of the evaluations.
    """
    tables = {name: [_predicted(e, of[name]) for e, of in zip(evaluations, poses, strict=True)] for name in poses[0]}
    return {name: summarise(pd.concat(of, ignore_index=True), evaluations[0].params) for name, of in tables.items()}


def _each_image_once(evaluations: list[Evaluated]) -> list[Evaluated]:
    """Those of one model's evaluations that together hold every image once: one of each fold or, without folds, one."""
    arm = evaluations[0].arm
    by_images = {tuple(e.table.index): e for e in reversed(evaluations) if e.arm == arm}
    return sorted(by_images.values(), key=lambda e: int(e.metrics["seed"]))


def with_constants(
    table: pd.DataFrame, evaluations: list[Evaluated], poses: list[dict[str, np.ndarray]]
) -> pd.DataFrame:
    """The table of `compare_arms` with a row for each constant pose after the arms of every data set.

    They are no arms: they have errors, but no seeds and no effect against a baseline. poses: from `constant_poses`, by
    fold of the training data set.
    """
    blocks = []
    for dataset, of_dataset in table.groupby("dataset", sort=False):
        tested = _each_image_once([e for e in evaluations if e.metrics["dataset"] == dataset])
        of_tested = [poses[int(e.metrics["seed"]) % len(poses)] for e in tested]
        about = of_dataset.iloc[0][["dataset", "part", "subjects", "images", "error", "confidence"]].to_dict()
        names = {"variation": "", "baseline": "", "seeds": 0, "folds": 0, "verdict": VERDICT_OF_CONSTANTS}
        rows = []
        for name, metrics in constant_metrics(tested, of_tested).items():
            errors = with_groups(metrics)
            rows.append(about | names | {"arm": name} | {error: errors.get(error, np.nan) for error in ERRORS})
        blocks += [of_dataset, pd.DataFrame(rows).reindex(columns=table.columns)]
    return pd.concat(blocks, ignore_index=True)
