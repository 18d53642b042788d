"""The table of a comparison: errors of all arms, and how much lower each is than its baseline's."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline_steps.evaluation.reading import Evaluated, read_evaluation
from pipeline_steps.evaluation.statistics import resampled_means, simultaneous_interval
from pipeline_steps.job.errors import UserError
from pipeline_steps.params.arms import baseline_of, parts_of
from pipeline_steps.params.sections import Comparison
from pipeline_steps.pose.geometry import ANGLES

SHOWN = [*ANGLES, "mae", "geodesic", "maev"]
COLUMNS = [*SHOWN, "mae_aligned", "geodesic_aligned"]


def compared_error(metrics: Sequence[dict[str, object]], wanted: str) -> str:
    """The error that arms are compared by on one data set: the wanted one, or mae where the labels do not allow it."""
    return wanted if all(wanted in m for m in metrics) else "mae"


def error_array(evaluations: dict[str, list[Evaluated]], error: str) -> tuple[np.ndarray, np.ndarray]:
    """Errors in degrees (arms, seeds, images) on one data set, and each image's subject (images,).

    evaluations: by arm. UserError where arms differ in seeds or images.
    """
    of_arm = {arm: sorted(of, key=lambda e: int(e.metrics["seed"])) for arm, of in evaluations.items()}
    first, *others = of_arm
    table, seeds = of_arm[first][0].table, [e.metrics["seed"] for e in of_arm[first]]
    for arm in others:
        if (own := [e.metrics["seed"] for e in of_arm[arm]]) != seeds:
            raise UserError(f"{arm} has seeds {own}, {first} has {seeds}; arms are compared seed by seed: run the same")
    for evaluation in (e for of in of_arm.values() for e in of):
        if not evaluation.table["subject"].equals(table["subject"]):
            dataset = evaluation.metrics["dataset"]
            raise UserError(f"{dataset}: {evaluation.arm} was tested on other images than {first}; run evaluate again")
    errors = [[e.errors(error) for e in of] for of in of_arm.values()]
    return np.array(errors), table["subject"].to_numpy()


def _means(evaluations: list[Evaluated]) -> pd.DataFrame:
    """Mean and, with _std, standard deviation over seeds of every error, by arm; missing where labels do not say."""
    rows = []
    for metrics in (e.metrics for e in evaluations):
        aligned = {f"{name}_aligned": value for name, value in metrics.get("aligned", {}).items()}
        rows.append(metrics | aligned)
    over_seeds = pd.DataFrame(rows).reindex(columns=["arm", *COLUMNS]).groupby("arm")
    table = over_seeds.mean().join(over_seeds.std(ddof=1).add_suffix("_std"))
    return table[[column for name in COLUMNS for column in (name, f"{name}_std")]]


def compare_on(evaluations: list[Evaluated], params: Comparison) -> pd.DataFrame:
    """`compare_arms` on one data set."""
    metrics = [e.metrics for e in evaluations]
    error = compared_error(metrics, params.error)
    arms = sorted({e.arm for e in evaluations})
    held_against = [baseline_of(arm, params.baseline, arms) for arm in arms]
    errors, subjects = error_array({arm: [e for e in evaluations if e.arm == arm] for arm in arms}, error)

    table = pd.DataFrame({"dataset": metrics[0]["dataset"], "arm": arms, "variation": [parts_of(a)[1] for a in arms]})
    table["baseline"], table["part"] = held_against, evaluations[0].part
    table[["seeds", "subjects", "images"]] = errors.shape[1], len(set(subjects)), len(subjects)
    table = table.join(_means(evaluations), on="arm")
    table[["error", "confidence"]] = error, params.confidence
    table[["reduction", "low", "high"]] = np.nan
    table["verdict"] = "baseline"

    others = np.flatnonzero(table["arm"] != table["baseline"])
    theirs = [arms.index(held_against[i]) for i in others]
    if len(others):
        means, resampled = errors.mean((1, 2))[None], resampled_means(errors, subjects, params.bootstrap)
        point, samples = (100 * (1 - m[:, others] / m[:, theirs]) for m in (means, resampled))
        low, high = simultaneous_interval(point[0], samples, params.confidence)
        table.loc[others, ["reduction", "low", "high"]] = np.stack([point[0], low, high], 1)
        table.loc[others, "verdict"] = np.where(low > 0, "better", np.where(high < 0, "worse", "within noise"))
    table["of_baseline"] = table.set_index("arm")[error].loc[held_against].to_numpy()
    table["other"] = table["arm"] != table["baseline"]
    ordered = table.sort_values(["of_baseline", "baseline", "other", error, "arm"])
    return ordered.drop(columns=["of_baseline", "other"])


def compare_arms(folders: list[Path], params: Comparison) -> pd.DataFrame:
    """One row per data set and arm: each baseline, the best first, then what is held against it by rising error.

    Errors in degrees: mean and standard deviation over seeds; _aligned: after `align`. reduction: relative reduction of
    `error` against `baseline` in percent; low and high: its interval, which holds for all arms of the data set together
    with `confidence`. part: of the split, whose images were predicted.
    """
    evaluations = [read_evaluation(folder) for folder in folders]
    datasets = sorted({str(e.metrics["dataset"]) for e in evaluations})
    of_each = [compare_on([e for e in evaluations if e.metrics["dataset"] == d], params) for d in datasets]
    return pd.concat(of_each, ignore_index=True)


def _intervals(table: pd.DataFrame) -> str:
    """What the intervals are, and what they are not."""
    compared = table[table["arm"] != table["baseline"]]
    if compared.empty:
        return ""
    number, seeds = int(compared.groupby("dataset").size().max()), int(table["seeds"].iloc[0])
    errors = " or ".join(dict.fromkeys(compared["error"]))
    each = " of the same variation" if compared.groupby("dataset")["baseline"].nunique().max() > 1 else ""
    together = f"for all {number} compared arms of a data set together" if number > 1 else "for the one compared arm"
    short = (
        "With one seed they do not say what another training would have given."
        if seeds == 1
        else f"{seeds} seeds tell little of how much trainings vary: the intervals are too short rather than too long."
        if seeds < 8
        else ""
    )
    return (
        f" Error reduction: of the {errors}, against the baseline{each}. The intervals are those of a paired bootstrap "
        f"over subjects, their images and seeds, and hold {together} with {table['confidence'].iloc[0]:.0%} confidence."
        f" {short}"
    )


def mean_and_spread(mean: float, spread: float, digits: int = 2) -> str:
    """Both in one cell; empty where there is no mean, the mean alone where there is no spread."""
    if np.isnan(mean):
        return ""
    return f"{mean:.{digits}f}" + ("" if np.isnan(spread) else f" ± {spread:.{digits}f}")


def as_markdown(table: pd.DataFrame) -> str:
    """The table for people, and below it what the numbers are."""
    shown = table[["dataset", "arm", "seeds"]].copy()
    for name in COLUMNS:
        cells = zip(table[name], table[f"{name}_std"], strict=True)
        shown[name.replace("_", " ")] = [mean_and_spread(*cell) for cell in cells]
    shown[f"error reduction ({table['confidence'].iloc[0]:.0%} interval)"] = [
        "" if np.isnan(point) else f"{point:+.1f}% ({low:+.1f} to {high:+.1f})"
        for point, low, high in table[["reduction", "low", "high"]].to_numpy(float)
    ]
    shown["verdict"] = table["verdict"]
    of_each = table.drop_duplicates("dataset")[["dataset", "images", "subjects"]].itertuples(index=False)
    where = ", ".join(f"{dataset}: {images:,} images of {subjects:,} subjects" for dataset, images, subjects in of_each)
    part = table["part"].iloc[0]
    chosen_on = (
        " Parameters were chosen by these images: no error here is a test error." if part == "validation" else ""
    )
    return (
        f"{shown.to_markdown(index=False, disable_numparse=True)}\n\n"
        f"Errors in degrees on the {part} images ({where}), mean ± standard deviation over seeds; aligned: after one "
        f"constant rotation, estimated on these images, is removed.{chosen_on}{_intervals(table)}\n"
    )
