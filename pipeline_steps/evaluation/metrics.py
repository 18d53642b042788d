"""Errors of predicted head poses, as the field reports them, all in degrees.

What a label does not say has no error: where only yaw and pitch are known (Pointing'04), `mae` is the mean of the two,
and geodesic error and MAEV are missing.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from scipy.spatial.transform import Rotation

from pipeline_steps.params.sections import Evaluation
from pipeline_steps.pose.geometry import ANGLES, euler_errors_deg, geodesic_distance_deg, matrix_to_euler

LABEL = [f"r{i}{j}" for i in range(3) for j in range(3)]
PREDICTED = [f"p{i}{j}" for i in range(3) for j in range(3)]


def prediction_table(
    source_ids: Sequence[str],
    subjects: Sequence[str],
    rotation: np.ndarray,
    euler_deg: np.ndarray,
    predicted: np.ndarray,
) -> pd.DataFrame:
    """One row per image: ids, label and predicted angles in degrees, both matrices (N, 3, 3), MAE, geodesic error."""
    table = pd.DataFrame({"source_id": list(source_ids), "subject": list(subjects)})
    table[ANGLES] = euler_deg
    table[[f"pred_{a}" for a in ANGLES]] = matrix_to_euler(predicted)
    table[LABEL] = rotation.reshape(-1, 9)
    table[PREDICTED] = predicted.reshape(-1, 9)
    errors = image_errors(euler_deg, rotation.astype(float), predicted.astype(float))
    table[["mae_deg", "geodesic_deg"]] = errors[["mae", "geodesic"]]
    return table


def image_errors(euler_deg: np.ndarray, rotation: np.ndarray, predicted: np.ndarray) -> pd.DataFrame:
    """Per image: absolute error of yaw, pitch, roll (`euler_errors_deg`) and their mean, geodesic and vector error.

    euler_deg: (N, 3) yaw, pitch, roll in degrees; rotation, predicted: (N, 3, 3). NaN in, NaN out; `mae` is the mean of
    the known angles. maev: mean angle between the heads' three axes (Cao et al., WACV 2021, arXiv 2010.03231).
    """
    errors = pd.DataFrame(euler_errors_deg(predicted, euler_deg), columns=ANGLES)
    errors["mae"] = errors[ANGLES].mean(axis=1)
    errors["geodesic"] = geodesic_distance_deg(rotation, predicted)
    cosines = np.clip((rotation * predicted).sum(-2), -1, 1)
    errors["maev"] = np.degrees(np.arccos(cosines)).mean(-1)
    return errors


def align(rotation: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Predictions after the one constant rotation of the head frame that brings them closest to the labels.

    Data sets fix the head's own axes differently, so the constant acts on the right (arXiv 2401.05807).
    """
    offset = Rotation.from_matrix(np.swapaxes(predicted, -1, -2) @ rotation).mean().as_matrix()
    return predicted @ offset


def _interval(errors: pd.DataFrame, subjects: pd.Series, resamples: int) -> dict[str, float]:
    """95% percentile intervals; whole subjects are resampled, since frames of one recording are near-copies."""
    names = [name for name in ("mae", "geodesic", "maev") if errors[name].notna().all()]
    sums = errors[names].groupby(subjects.to_numpy()).sum().to_numpy()
    counts = errors["mae"].groupby(subjects.to_numpy()).size().to_numpy()
    rng = np.random.default_rng(0)
    drawn = rng.multinomial(len(counts), np.full(len(counts), 1 / len(counts)), size=resamples)
    means = (drawn @ sums) / (drawn @ counts)[:, None]
    low, high = np.percentile(means, [2.5, 97.5], axis=0)
    return {f"{n}_low": float(v) for n, v in zip(names, low, strict=True)} | {
        f"{n}_high": float(v) for n, v in zip(names, high, strict=True)
    }


def _by_yaw(yaw_deg: np.ndarray, errors: pd.DataFrame, yaw_bins: Sequence[float]) -> list[dict[str, Any]]:
    """Mean errors by the label's yaw (N,), of every bin that has an image: `yaw_bins`, and what lies beyond them.

    A bin holds its lower edge, and the last of yaw_bins its upper one, too.
    """
    edges = [*(edge for edge in (-180.0, -90.0) if edge < yaw_bins[0]), *yaw_bins]
    edges += [edge for edge in (90.0, 180.0) if edge > yaw_bins[-1]]
    places = np.searchsorted(edges, yaw_deg, side="right") - 1
    places[(yaw_deg == yaw_bins[-1]) | (yaw_deg == edges[-1])] -= 1
    bins = []
    for place, (low, high) in enumerate(pairwise(edges)):
        if (inside := places == place).any():
            means = errors.loc[inside, ["mae", "geodesic"]].mean().dropna()
            bins.append({"low": low, "high": high, "n": int(inside.sum()), **means.to_dict()})
    return bins


def summarise(table: pd.DataFrame, params: Evaluation) -> dict[str, Any]:
    """Mean errors with intervals over the table of `prediction_table`, as they are and after `align`.

    An error that the labels do not allow for is left out.
    """
    euler = table[ANGLES].to_numpy(float)
    rotation = table[LABEL].to_numpy(float).reshape(-1, 3, 3)
    predicted = table[PREDICTED].to_numpy(float).reshape(-1, 3, 3)
    errors = image_errors(euler, rotation, predicted)
    full = bool(errors["geodesic"].notna().all())

    def means(of: pd.DataFrame) -> dict[str, float]:
        shares = {f"within_{limit:g}": float((of["geodesic"] < limit).mean()) for limit in params.within if full}
        return {str(name): float(value) for name, value in of.mean().dropna().items()} | shares

    aligned = {"aligned": means(image_errors(euler, rotation, align(rotation, predicted)))} if full else {}
    return {
        "n": len(table),
        **means(errors),
        **_interval(errors, table["subject"], params.bootstrap),
        **aligned,
        "by_yaw": _by_yaw(euler[:, 0], errors, params.yaw_bins),
    }
