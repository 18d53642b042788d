"""The table of a comparison: errors of all arms, and how much lower each is than that of every baseline."""

from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from pipeline_steps.evaluation.metrics import with_groups
from pipeline_steps.evaluation.reading import Evaluated
from pipeline_steps.evaluation.statistics import mean_errors, reductions, simultaneous_interval
from pipeline_steps.job.errors import UserError
from pipeline_steps.params.arms import baseline_of, stem_and_variation
from pipeline_steps.params.sections import Comparison
from pipeline_steps.pose.geometry import ANGLES

PLAIN = [*ANGLES, "mae", "geodesic", "maev"]
ERRORS = [*PLAIN, "mae_wrapped", "mae_aligned", "geodesic_aligned", "mae_person_aligned", "mae_mean_of_people"]
"""Errors in a table; those after the first have no column in tables of earlier versions."""
EFFECT = ["reduction", "low", "high"]
CONSTANTS = ("always frontal", "always the mean pose")
"""What stands in the place of an arm's name for the errors of one pose for every image (`evaluation.constants`)."""
VERDICT_OF_CONSTANTS = "constant"
BETTER, WITHIN_NOISE, WORSE = "better", "within noise", "worse"
TOO_FEW_SEEDS, TOO_FEW_PEOPLE = "too few seeds", "too few people"
"""In the place of a verdict where too little was run or tested for one, so that there is no interval either."""
VERDICTS = (BETTER, WITHIN_NOISE, WORSE, TOO_FEW_SEEDS, TOO_FEW_PEOPLE)
PASSES = "backbone_passes"
"""Column: images that passed through the backbone in all trainings of an arm, mean over its seeds."""
LEAST_TRAININGS = 3
"""Seeds or folds per arm, below which there is no verdict: two hardly show how much trainings vary."""


class Errors(NamedTuple):
    """Errors of all arms on one data set in degrees, (arms, trainings, images), NaN where an image was not tested.

    subjects: (images,), whom they show. folds: number of folds of a cross-validation over people, each of which was
    tested by one training, or 0 where every training tested every image.
    """

    degrees: np.ndarray
    subjects: np.ndarray
    folds: int

    @property
    def withheld(self) -> str:
        """What stands in the place of verdicts, or nothing where they can be given."""
        if self.degrees.shape[1] < LEAST_TRAININGS:
            return TOO_FEW_SEEDS
        return TOO_FEW_PEOPLE if len(set(self.subjects)) == 1 else ""


def compared_error(metrics: Sequence[dict[str, object]], wanted: str) -> str:
    """The error that is compared on one data set: the wanted one, or mae where the labels do not allow it."""
    return wanted if all(wanted in m for m in metrics) else "mae"


def error_array(evaluations: dict[str, list[Evaluated]], error: str) -> Errors:
    """Errors of arms on one data set; evaluations: by arm.

    UserError where arms differ in seeds, or in the images that equal seeds were tested on, or where images are tested
    neither by all seeds nor by one each.
    """
    of_arm = {arm: sorted(of, key=lambda e: int(e.metrics["seed"])) for arm, of in evaluations.items()}
    first, *others = of_arm
    dataset, seeds = of_arm[first][0].metrics["dataset"], [e.metrics["seed"] for e in of_arm[first]]
    for arm in others:
        if (own := [e.metrics["seed"] for e in of_arm[arm]]) != seeds:
            raise UserError(f"{arm} has seeds {own}, {first} has {seeds}; arms are compared seed by seed: run the same")
        for one, other in zip(of_arm[first], of_arm[arm], strict=True):
            if not other.table["subject"].equals(one.table["subject"]):
                raise UserError(f"{dataset}: {arm} was tested on other images than {first}; run evaluate again")
    every = pd.concat([e.table["subject"] for e in of_arm[first]])
    subjects = every[~every.index.duplicated()].sort_index()
    tested = np.array([subjects.index.isin(e.table.index) for e in of_arm[first]])
    rows = [[pd.Series(e.errors(error), e.table.index).reindex(subjects.index) for e in of] for of in of_arm.values()]
    return Errors(np.array(rows, float), subjects.to_numpy(), _folds(tested, subjects.to_numpy(), str(dataset)))


def _folds(tested: np.ndarray, subjects: np.ndarray, dataset: str) -> int:
    """`Errors.folds`; tested: which training tested which image, bool (trainings, images)."""
    if tested.all():
        return 0
    times = tested.sum(0)
    if (times != 1).any():
        raise UserError(
            f"{dataset}: each image was tested by {times.min()} to {times.max()} of {len(tested)} seeds; it must be "
            "all, or one where the split has folds: as many seeds as folds"
        )
    folds = Counter(person for of_training in tested for person in set(subjects[of_training]))
    if twice := sorted(person for person, count in folds.items() if count > 1):
        raise UserError(
            f"{dataset}: images of {twice[0]} are in several folds; each person must be in one: split again"
        )
    return len(tested)


def mean_over_images(errors: pd.DataFrame, images: "pd.Series[Any]") -> pd.DataFrame:
    """Mean errors by arm, over all images that its seeds or folds were tested on.

    errors: mean errors of one seed or fold in a row, by arm. images: their number. A plain mean of folds, which differ
    in size, would not be the error over all people.
    """
    weights = images / images.groupby(level=0).transform("mean")
    return errors.mul(weights, axis=0).groupby(level=0).mean()


def _means(evaluations: list[Evaluated]) -> pd.DataFrame:
    """Mean over images and, with _std, standard deviation over seeds or folds of every error, by arm.

    Missing where labels lack angles.
    """
    rows = [with_groups(e.metrics) for e in evaluations]
    errors = pd.DataFrame(rows).reindex(columns=["arm", *ERRORS]).set_index("arm")
    images = pd.Series([len(e.table) for e in evaluations], index=errors.index)
    deviations = errors.groupby("arm").std(ddof=1).add_suffix("_std")
    people = pd.Series([e.table["subject"].nunique() for e in evaluations], index=errors.index)
    means = mean_over_images(errors, images)
    means["mae_mean_of_people"] = mean_over_images(errors[["mae_mean_of_people"]], people)
    table = means.join(deviations)
    return table[[column for name in ERRORS for column in (name, f"{name}_std")]]


def _effects(errors: Errors, arms: np.ndarray, baselines: np.ndarray, params: Comparison) -> dict[str, np.ndarray]:
    """EFFECT in percent and verdict of some arms against their baselines; arms, baselines: places in `errors`."""
    found = reductions(mean_errors(errors.degrees, errors.subjects), arms, baselines)
    if errors.withheld:
        low = high = np.full(len(arms), np.nan)
        verdicts = np.full(len(arms), errors.withheld)
    else:
        low, high = simultaneous_interval(found, params.confidence, params.bootstrap)
        verdicts = np.where(low > 0, BETTER, np.where(high < 0, WORSE, WITHIN_NOISE))
    return dict(zip([*EFFECT, "verdict"], (found.values, low, high, verdicts), strict=True))


def _compared_with(baseline: str, table: pd.DataFrame, errors: Errors, params: Comparison) -> pd.DataFrame:
    """The table's arms with their effect against one baseline; errors: of its arms, in its order."""
    arms, error = table["arm"].tolist(), table["error"].iloc[0]
    baselines = [baseline_of(arm, baseline, arms) for arm in arms]
    table = table.assign(baseline=baselines, verdict="baseline")
    others = np.flatnonzero(table["arm"] != table["baseline"])
    if len(others):
        theirs = np.array([arms.index(baselines[i]) for i in others])
        for column, of_others in _effects(errors, others, theirs, params).items():
            table.loc[others, column] = of_others
    table["of_baseline"] = table.set_index("arm")[error].loc[baselines].to_numpy()
    table["other"] = table["arm"] != table["baseline"]
    ordered = table.sort_values(["of_baseline", "baseline", "other", error, "arm"])
    return ordered.drop(columns=["of_baseline", "other"])


def _compare_on(evaluations: list[Evaluated], params: Comparison) -> pd.DataFrame:
    """`compare_arms` on one data set."""
    metrics = [e.metrics for e in evaluations]
    error = compared_error(metrics, params.error)
    arms = sorted({e.arm for e in evaluations})
    errors = error_array({arm: [e for e in evaluations if e.arm == arm] for arm in arms}, error)

    table = pd.DataFrame({"dataset": metrics[0]["dataset"], "arm": arms})
    table["variation"] = [stem_and_variation(arm)[1] for arm in arms]
    table["baseline"], table["part"] = "", evaluations[0].params.part
    table[["seeds", "folds"]] = errors.degrees.shape[1], errors.folds
    table[["subjects", "images"]] = len(set(errors.subjects)), len(errors.subjects)
    table = table.join(_means(evaluations), on="arm")
    table[["error", "confidence"]] = error, params.confidence
    table[EFFECT] = np.nan
    return pd.concat([_compared_with(baseline, table, errors, params) for baseline in params.baselines])


def compare_arms(evaluations: list[Evaluated], params: Comparison) -> pd.DataFrame:
    """One row per data set, baseline and arm: each baseline, the best first, then what is compared with it.

    Errors in degrees: mean over images and standard deviation over seeds, or over the folds of a cross-validation, in
    which people differ too; _aligned and so on: see `metrics.summarise`. seeds: trainings per arm; folds: as many, or 0
    where every one tested every image. reduction: relative reduction of `error` against `baseline` in percent; low and
    high: its interval, which holds for all arms of the data set with `confidence`, as if this baseline were the only
    one; none where `verdict` is TOO_FEW_SEEDS or TOO_FEW_PEOPLE. part: of the split, whose images were predicted.
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
