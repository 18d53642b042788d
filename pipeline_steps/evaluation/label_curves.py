"""Error against the number of labels, and how many labels an arm saves."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from pipeline_steps.evaluation.reading import Evaluated, Trained
from pipeline_steps.evaluation.table import compared_error
from pipeline_steps.params.arms import stem_and_variation

BUDGET = ["labelled_subjects", "labelled_images", "share"]


def _curves(points: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """The budgets that differ in subjects alone, and those that differ in images per subject alone, by a name."""
    for share, of_share in points.groupby("share"):
        if of_share["labelled_subjects"].nunique() > 1:
            yield f"people, {share:.0%} of each one's images", of_share
    for subjects, of_subjects in points.groupby("labelled_subjects"):
        if of_subjects["share"].nunique() > 1:
            yield f"images of {subjects:.0f} {'person' if subjects == 1 else 'people'}", of_subjects


def label_curve(evaluations: list[Evaluated], trainings: list[Trained], wanted: str) -> pd.DataFrame:
    """One row per data set, curve, arm and budget: mean, std, low and high over seeds of the error in degrees.

    arm: without its variation. curve: which budgets are compared, those with more subjects or with more images of the
    same subjects; a budget may be on both. labelled_subjects, labelled_images: mean over seeds; share: of each labelled
    subject's images. wanted: the error, mae where a data set's labels do not allow it.
    """
    trained = pd.DataFrame(
        [
            {
                "arm": t.name,
                "seed": t.run["seed"],
                "labelled_subjects": t.run["labelled_subjects"],
                "labelled_images": t.run["labelled_images"],
                "share": t.recipe.params["labels"]["fraction"],
            }
            for t in trainings
        ]
    )
    budgets = trained.groupby("arm")[BUDGET].mean()
    tables = []
    for dataset in sorted({str(e.metrics["dataset"]) for e in evaluations}):
        metrics = [e.metrics for e in evaluations if e.metrics["dataset"] == dataset]
        error = compared_error(metrics, wanted)
        over_seeds = pd.DataFrame(metrics).groupby("arm")[error].agg(mean="mean", std="std", low="min", high="max")
        points = budgets.join(over_seeds, how="inner").rename_axis("name").reset_index()
        points[["arm", "variation"]] = [stem_and_variation(name) for name in points["name"]]
        for arm, of_arm in points.groupby("arm"):
            for curve, of_curve in _curves(of_arm):
                place = {"dataset": dataset, "curve": curve, "arm": arm, "error": error}
                tables.append(of_curve.sort_values("labelled_images").assign(**place))
    columns = ["dataset", "curve", "arm", "variation", *BUDGET, "error", "mean", "std", "low", "high"]
    return pd.concat(tables, ignore_index=True)[columns] if tables else pd.DataFrame(columns=columns)


def labels_needed(curve: pd.DataFrame, error: float) -> tuple[float, bool]:
    """Fewest labelled images with which a curve comes down to an error, and whether already its first budget does.

    curve: labelled_images, rising, and mean. Between two budgets the error is a straight line over the logarithm of
    the labels. NaN where no budget reaches the error: nothing is extrapolated. Where the first one does, the answer is
    an upper bound. A curve that rises again later is not smoothed; its first crossing counts.
    """
    labels, errors = curve["labelled_images"].to_numpy(float), curve["mean"].to_numpy(float)
    reached = np.flatnonzero(errors <= error)
    if not len(reached):
        return np.nan, False
    first = reached[0]
    if first == 0:
        return float(labels[0]), True
    x, y = np.log(labels[first - 1 : first + 1]), errors[first - 1 : first + 1]
    return float(np.exp(x[0] + (y[0] - error) / (y[0] - y[1]) * (x[1] - x[0]))), False


def labels_saved(curves: pd.DataFrame, baseline: str) -> pd.DataFrame:
    """How many labels arm and baseline need for the same error, one row per question.

    curves: from `label_curve`. baseline: with or without a variation. question: "baseline at its largest budget" asks
    how many labels the arm needs for that error; else the row is a budget of the arm (variation) and asks how many the
    baseline needs for the arm's error there. error_deg: the error in question; labels, baseline_labels: labelled
    images, missing where no measured budget reaches it; share: labels / baseline_labels; bound: "at most" or "at
    least" where a first budget already reaches it, so that the share is no more than a bound.
    """
    rows: list[dict[str, Any]] = []
    stem, _ = stem_and_variation(baseline)
    for (dataset, name), of_curve in curves.groupby(["dataset", "curve"], sort=False):
        theirs = of_curve[of_curve["arm"] == stem]
        if theirs.empty:
            continue
        for arm, ours in of_curve[of_curve["arm"] != stem].groupby("arm"):
            place = {"dataset": dataset, "curve": name, "arm": arm}
            largest = theirs.iloc[-1]
            labels, bound = labels_needed(ours, largest["mean"])
            row = {"question": "baseline at its largest budget", "variation": "", "error_deg": largest["mean"]}
            found = {"labels": labels, "baseline_labels": largest["labelled_images"], "bound": "at most" * bound}
            rows.append(place | row | found)
            for budget in ours.to_dict("records"):
                labels, bound = labels_needed(theirs, budget["mean"])
                row = {"question": "arm at a budget", "variation": budget["variation"], "error_deg": budget["mean"]}
                found = {"labels": budget["labelled_images"], "baseline_labels": labels, "bound": "at least" * bound}
                rows.append(place | row | found)
    columns = ["dataset", "curve", "arm", "question", "variation", "error_deg", "labels", "baseline_labels", "bound"]
    table = pd.DataFrame(rows, columns=columns)
    table.insert(8, "share", table["labels"] / table["baseline_labels"])
    return table.round({"error_deg": 3, "labels": 1, "baseline_labels": 1, "share": 3})
