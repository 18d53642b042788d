"""The table of a comparison: errors of all arms, and how much lower each is than that of every baseline."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from pipeline_steps.evaluation.reading import Evaluated
from pipeline_steps.evaluation.statistics import resampled_means, simultaneous_interval
from pipeline_steps.job.errors import UserError
from pipeline_steps.params.arms import baseline_of, stem_and_variation
from pipeline_steps.params.sections import Comparison
from pipeline_steps.pose.geometry import ANGLES

PLAIN = [*ANGLES, "mae", "geodesic", "maev"]
ERRORS = [*PLAIN, "mae_aligned", "geodesic_aligned"]
EFFECT = ["reduction", "low", "high"]
CONSTANTS = ("always frontal", "always the mean pose")
"""What stands in the place of an arm's name for the errors of one pose for every image (`evaluation.constants`)."""
VERDICT_OF_CONSTANTS = "constant"


def compared_error(metrics: Sequence[dict[str, object]], wanted: str) -> str:
    """The error that is compared on one data set: the wanted one, or mae where the labels do not allow it."""
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
    """Mean and, with _std, standard deviation over seeds of every error, by arm; missing where labels lack angles."""
    rows = []
    for metrics in (e.metrics for e in evaluations):
        aligned = {f"{name}_aligned": value for name, value in metrics.get("aligned", {}).items()}
        rows.append(metrics | aligned)
    over_seeds = pd.DataFrame(rows).reindex(columns=["arm", *ERRORS]).groupby("arm")
    table = over_seeds.mean().join(over_seeds.std(ddof=1).add_suffix("_std"))
    return table[[column for name in ERRORS for column in (name, f"{name}_std")]]


def _compared_with(baseline: str, table: pd.DataFrame, resampled: np.ndarray, means: np.ndarray) -> pd.DataFrame:
    """The table's arms with their effect against one baseline.

    resampled: mean compared errors (resamples, arms) in degrees; means: (arms,), those of the data.
    """
    arms, error, confidence = table["arm"].tolist(), table["error"].iloc[0], table["confidence"].iloc[0]
    baselines = [baseline_of(arm, baseline, arms) for arm in arms]
    table = table.assign(baseline=baselines, verdict="baseline")
    others = np.flatnonzero(table["arm"] != table["baseline"])
    theirs = [arms.index(baselines[i]) for i in others]
    if len(others):
        point, samples = (100 * (1 - m[:, others] / m[:, theirs]) for m in (means[None], resampled))
        low, high = simultaneous_interval(point[0], samples, confidence)
        table.loc[others, EFFECT] = np.stack([point[0], low, high], 1)
        table.loc[others, "verdict"] = np.where(low > 0, "better", np.where(high < 0, "worse", "within noise"))
    table["of_baseline"] = table.set_index("arm")[error].loc[baselines].to_numpy()
    table["other"] = table["arm"] != table["baseline"]
    ordered = table.sort_values(["of_baseline", "baseline", "other", error, "arm"])
    return ordered.drop(columns=["of_baseline", "other"])


def _compare_on(evaluations: list[Evaluated], params: Comparison) -> pd.DataFrame:
    """`compare_arms` on one data set."""
    metrics = [e.metrics for e in evaluations]
    error = compared_error(metrics, params.error)
    arms = sorted({e.arm for e in evaluations})
    errors, subjects = error_array({arm: [e for e in evaluations if e.arm == arm] for arm in arms}, error)

    table = pd.DataFrame({"dataset": metrics[0]["dataset"], "arm": arms})
    table["variation"] = [stem_and_variation(arm)[1] for arm in arms]
    table["baseline"], table["part"] = "", evaluations[0].params.part
    table[["seeds", "subjects", "images"]] = errors.shape[1], len(set(subjects)), len(subjects)
    table = table.join(_means(evaluations), on="arm")
    table[["error", "confidence"]] = error, params.confidence
    table[EFFECT] = np.nan
    resampled, means = resampled_means(errors, subjects, params.bootstrap), errors.mean((1, 2))
    return pd.concat([_compared_with(baseline, table, resampled, means) for baseline in params.baselines])


def compare_arms(evaluations: list[Evaluated], params: Comparison) -> pd.DataFrame:
    """One row per data set, baseline and arm: each baseline, the best first, then what is compared with it.

    Errors in degrees: mean and standard deviation over seeds; _aligned: after `align`. reduction: relative reduction of
    `error` against `baseline` in percent; low and high: its interval, which holds for all arms of the data set with
    `confidence`, as if this baseline were the only one. part: of the split, whose images were predicted.
    """
    datasets = sorted({str(e.metrics["dataset"]) for e in evaluations})
    of_each = [_compare_on([e for e in evaluations if e.metrics["dataset"] == d], params) for d in datasets]
    return pd.concat(of_each, ignore_index=True)


def arms_of(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of a comparison's table without those of CONSTANTS."""
    return table[~table["arm"].isin(CONSTANTS)]


def constants_of(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of CONSTANTS, of which the tables of earlier versions have none."""
    return table[table["arm"].isin(CONSTANTS)]


def no_better_than_constants(of_dataset: pd.DataFrame) -> list[str]:
    """Arms whose mean compared error on a data set is not below that of the better constant; of_dataset: its rows."""
    arms, constants, error = arms_of(of_dataset), constants_of(of_dataset), of_dataset["error"].iloc[0]
    return list(dict.fromkeys(arms.loc[arms[error] >= constants[error].min(), "arm"]))


def by_baseline(table: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The rows of `compare_arms` for each baseline, by its name, the first baseline first; without CONSTANTS.

    The name is without a variation where the baseline is the arm of that name in every variation.
    """
    table = arms_of(table)
    blocks = [block for _, block in table.groupby(table.groupby(["dataset", "arm"]).cumcount())]
    stems = [sorted(set(block["baseline"])) for block in blocks]
    names = [found[0] if len(found) == 1 else stem_and_variation(found[0])[0] for found in stems]
    return dict(zip(names, blocks, strict=True))


def as_metrics(table: pd.DataFrame) -> dict[str, dict[str, dict[str, Any]]]:
    """The numbers of `compare_arms` by data set and arm, for DVC.

    The effect lies beside the errors or, with several baselines, below the name of each.
    """
    blocks, metrics = by_baseline(table), dict[str, dict[str, dict[str, Any]]]()
    for baseline, block in blocks.items():
        for row in block.to_dict("records"):
            of_arm = metrics.setdefault(row["dataset"], {}).setdefault(row["arm"], _known(row, PLAIN))
            if effect := _known(row, EFFECT):
                of_arm |= effect if len(blocks) == 1 else {f"against_{baseline}": effect}
    return metrics


def _known(row: dict[Any, Any], names: list[str]) -> dict[str, Any]:
    return {name: float(row[name]) for name in names if not np.isnan(row[name])}
