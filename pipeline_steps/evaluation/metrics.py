"""Errors of predicted head poses, as the field reports them, all in degrees.

What a label does not say has no error: where only yaw and pitch are known (Pointing'04), `mae` is the mean of the two,
and geodesic error and MAEV are missing.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats
from scipy.spatial.transform import Rotation

from pipeline_steps.params.sections import Evaluation
from pipeline_steps.pose.geometry import (
    ANGLES,
    euler_errors_deg,
    geodesic_distance_deg,
    matrix_to_euler,
    wrapped_errors_deg,
)

LABEL = [f"r{i}{j}" for i in range(3) for j in range(3)]
PREDICTED = [f"p{i}{j}" for i in range(3) for j in range(3)]
GROUPS = ("aligned", "person_aligned", "mean_of_people")
"""What `summarise` says of the same errors in other ways, by its name."""


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
    the known angles, mae_wrapped the same by `wrapped_errors_deg`, as other repositories report it. maev: mean angle
    between the heads' three axes (Cao et al., WACV 2021, arXiv 2010.03231).
    """
    errors = pd.DataFrame(euler_errors_deg(predicted, euler_deg), columns=ANGLES)
    errors["mae"] = errors[ANGLES].mean(axis=1)
    errors["mae_wrapped"] = pd.DataFrame(wrapped_errors_deg(predicted, euler_deg)).mean(axis=1)
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


def align_people(rotation: np.ndarray, predicted: np.ndarray, people: np.ndarray) -> np.ndarray:
    """Predictions (N, 3, 3) after `align` of each person's images alone; people: (N,), who each image shows."""
    aligned = np.empty_like(predicted)
    for person in np.unique(people):
        of = people == person
        aligned[of] = align(rotation[of], predicted[of])
    return aligned


def _aligned_errors(
    euler_deg: np.ndarray, rotation: np.ndarray, predicted: np.ndarray, subjects: pd.Series
) -> dict[str, pd.DataFrame]:
    """`image_errors` after `align` and, where people have several images, after `align_people`, by their names."""
    errors = {"aligned": image_errors(euler_deg, rotation, align(rotation, predicted))}
    several = subjects.duplicated(keep=False).to_numpy()
    if several.any():
        label, people = rotation[several], subjects.to_numpy()[several]
        errors["person_aligned"] = image_errors(
            euler_deg[several], label, align_people(label, predicted[several], people)
        )
    return errors


def with_groups(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Metrics with the errors of GROUPS also beside the others, as in mae_person_aligned."""
    grouped = {f"{error}_{group}": v for group in GROUPS for error, v in metrics.get(group, {}).items()}
    return {**metrics, **grouped}


def _interval(errors: pd.DataFrame, subjects: pd.Series, resamples: int) -> dict[str, float]:
    """95% intervals of mean errors over other people, in degrees; nothing where all images are of one person.

    Whole people are drawn, since frames of one recording are near-copies, and one fewer than there are, so that means
    vary as those of new people would (Rao & Wu, JASA 83, 1988). Their standard deviation is multiplied by Student's
    quantile for as many people: between percentiles of the draws, the true mean of 7 people lay in 82% of all cases.
    """
    names = [name for name in ("mae", "geodesic", "maev") if errors[name].notna().all()]
    of_people = errors[names].groupby(subjects.to_numpy())
    sums, counts = of_people.sum().to_numpy(), of_people.size().to_numpy()
    people = len(counts)
    if people == 1:
        return {}
    drawn = np.random.default_rng(0).multinomial(people - 1, np.full(people, 1 / people), size=resamples)
    deviations = ((drawn @ sums) / (drawn @ counts)[:, None]).std(0, ddof=1)
    reach = dict(zip(names, stats.t.ppf(0.975, people - 1) * deviations, strict=True))
    low = {f"{name}_low": max(0.0, float(errors[name].mean() - reach[name])) for name in names}
    return low | {f"{name}_high": float(errors[name].mean() + reach[name]) for name in names}


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
    """Mean errors in degrees with intervals over the table of `prediction_table`, as they are and in other ways.

    aligned: after `align`. person_aligned: after `align_people`, over the people with at least two images. It flatters:
    the constants are fitted to the labels that they are tested on, and take out a model's own offset for a person along
    with that of the labels. It is reported because labels of some data sets are off by a constant for each person, as
    BIWI's are; what is left shows how well the turns of a head are followed. mean_of_people: means over people of their
    mean errors, so that nobody counts for more by having more images. An error that the labels do not allow for is left
    out.
    """
    euler = table[ANGLES].to_numpy(float)
    rotation = table[LABEL].to_numpy(float).reshape(-1, 3, 3)
    predicted = table[PREDICTED].to_numpy(float).reshape(-1, 3, 3)
    errors = image_errors(euler, rotation, predicted)
    full = bool(errors["geodesic"].notna().all())

    def means(of: pd.DataFrame) -> dict[str, float]:
        shares = {f"within_{limit:g}": float((of["geodesic"] < limit).mean()) for limit in params.within if full}
        return {str(name): float(value) for name, value in of.mean().dropna().items()} | shares

    aligned = _aligned_errors(euler, rotation, predicted, table["subject"]) if full else {}
    of_people = errors[["mae", "geodesic"]].groupby(table["subject"].to_numpy()).mean().mean().dropna()
    return {
        "n": len(table),
        **means(errors),
        **_interval(errors, table["subject"], params.bootstrap),
        **{name: means(of) for name, of in aligned.items()},
        "mean_of_people": {str(name): float(value) for name, value in of_people.items()},
        "by_yaw": _by_yaw(euler[:, 0], errors, params.yaw_bins),
    }
