"""The tables of a comparison as people read them: sheets, which are data frames of text, and the notes below them.

Markdown and HTML pages show these sheets; what a cell says is decided here alone.
"""

import math
from typing import Any

import pandas as pd

from pipeline_steps.evaluation.design import SplitSizes
from pipeline_steps.evaluation.table import (
    CONSTANTS,
    ERRORS,
    LEAST_TRAININGS,
    PASSES,
    TOO_FEW_PEOPLE,
    TOO_FEW_SEEDS,
    arms_of,
    by_baseline,
    constants_of,
    no_better_than_constants,
)
from pipeline_steps.pose.geometry import ANGLES

PASSED = "images through the backbone"
"""Head of the column of what an arm cost in training."""
PROBED = (
    "Error of a linear probe of the frozen backbone (mean absolute error of yaw, pitch and roll in degrees, each "
    "validation subject predicted from the others), mean ± standard deviation over seeds."
)
COUNTED = (
    "Images that passed through the backbone in training, every view counted, and minutes of all epochs; means over "
    "seeds. An arm that shares a pre-training with others is charged all of it."
)
INTERPOLATED = (
    "Labelled images; share: the arm's of the baseline's. Between budgets the error is taken as a straight line over "
    "the logarithm of the labels; none: no measured budget reaches the error, and nothing is extrapolated; ≤ and ≥: "
    "the smallest budget already reaches it. In brackets the interval of each share by itself, not of all together, "
    "with the confidence of the table of errors; where it has one end, or none, the measured budgets set no other; no "
    "interval: too few seeds or people, so that the share describes these curves alone."
)
LARGEST = "baseline at its largest budget"
QUESTIONS = {
    LARGEST: "How many labels an arm needs for the baseline's error with its largest budget",
    "arm at a budget": "How many labels the baseline needs for an arm's error",
}
"""Both questions of `label_curves.labels_saved`, in words."""


def markdown(sheet: pd.DataFrame) -> str:
    """A sheet as a Markdown table."""
    return str(sheet.to_markdown(index=False, disable_numparse=True))


def mean_and_std(mean: float, std: float) -> str:
    """Mean and standard deviation in one cell; empty where there is no mean, the mean alone where there is no std."""
    if math.isnan(mean):
        return ""
    return f"{mean:.2f}" + ("" if math.isnan(std) else f" ± {std:.2f}")


def reduction(row: Any) -> str:
    """Error reduction with its interval, if it has one, in percent; row: of `compare_arms`. Empty for a baseline."""
    if math.isnan(row["reduction"]):
        return ""
    interval = "no interval" if math.isnan(row["low"]) else f"{row['low']:+.1f} to {row['high']:+.1f}"
    return f"{row['reduction']:+.1f}% ({interval})"


def number(value: float, form: str = ",.0f", missing: str = "") -> str:
    """A number, or the text for a missing one."""
    return missing if math.isnan(value) else f"{value:{form}}"


def people(count: float) -> str:
    """A number of subjects, in words."""
    return f"{count:,.0f} {'person' if count == 1 else 'people'}"


def trainings(row: Any) -> str:
    """How many trainings were tested, such as 3 seeds or 5 folds; row: of `compare_arms`. Empty for constant poses."""
    count, kind = int(row["seeds"]), "fold" if _in_folds(row) else "seed"
    return f"{count} {kind}{'s' * (count > 1)}" if count else ""


def _in_folds(row: Any) -> bool:
    """Whether each image was tested by one fold; the tables of earlier versions do not say, and were not."""
    return bool(row.get("folds", 0) > 0)


def over(table: pd.DataFrame) -> str:
    """What standard deviations of `compare_arms` are over: seeds, folds, or either by data set."""
    arms = arms_of(table).drop_duplicates("dataset").to_dict("records")
    kinds = {row["dataset"]: "folds" if _in_folds(row) else "seeds" for row in arms}
    if len(set(kinds.values())) == 1:
        return next(iter(kinds.values()))
    return " or ".join(f"{kind} ({', '.join(d for d in kinds if kinds[d] == kind)})" for kind in ("seeds", "folds"))


def uses(split: SplitSizes) -> str:
    """What the images of a data set are used for, such as 4,892 of 8 people to train on."""
    verbs = ((split.train, "to train on"), (split.validation, "to validate"), (split.test, "to test"))
    used = [f"{part.images:,} of {people(part.subjects)} {verb}" for part, verb in verbs if part.images]
    if split.folds:
        used[-1] += f" in {split.folds} folds"
    return ", ".join(used) + part_of_official(split.test.images, split.official_test)


def part_of_official(images: int, official: int | None) -> str:
    """What stands behind the number of test images where the official test set has more."""
    return f", of {official:,} in the official test set (development part)" if official and official > images else ""


def error_name(column: str) -> str:
    """Head of the column of an error, such as mae aligned."""
    return column.replace("_", " ")


def effects(table: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The arms for each baseline, all in the order of the first; by what heads say of it: '' if it is the only one."""
    blocks = by_baseline(table)
    if len(blocks) == 1:
        return {"": next(iter(blocks.values()))}
    places = ["dataset", "arm"]
    order = pd.MultiIndex.from_frame(next(iter(blocks.values()))[places])
    return {f" against {name}": of.set_index(places).loc[order].reset_index() for name, of in blocks.items()}


def shown_rows(table: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """`effects` with the rows of constant poses after the arms of every data set."""
    constants = constants_of(table)
    if constants.empty:
        return effects(table)
    datasets = list(dict.fromkeys(table["dataset"]))

    def followed(arms: pd.DataFrame) -> pd.DataFrame:
        blocks: list[pd.DataFrame] = [of[of["dataset"] == name] for name in datasets for of in (arms, constants)]
        return pd.concat(blocks)

    return {against: followed(rows) for against, rows in effects(table).items()}


def arms(table: pd.DataFrame) -> pd.DataFrame:
    """One row per data set and arm: all errors, and the effect against every baseline; then constant poses.

    table: from `compare_arms`, with or without the rows of `constants.with_constants`.
    """
    first, *_ = shown_rows(table).values()
    sheet = first[["dataset", "arm"]].copy()
    records = first.to_dict("records")
    if any(map(_in_folds, records)):
        sheet["trainings"] = [trainings(row) for row in records]
    else:
        sheet["seeds"] = [str(seeds or "") for seeds in first["seeds"]]
    if PASSES in first:
        sheet[PASSED] = [number(passes) for passes in first[PASSES]]
    for name in [error for error in ERRORS if error in first]:
        cells = zip(first[name], first[f"{name}_std"], strict=True)
        sheet[error_name(name)] = [mean_and_std(*cell) for cell in cells]
    for against, rows in shown_rows(table).items():
        confidence = f"{rows['confidence'].iloc[0]:.0%}"
        sheet[f"error reduction{against} ({confidence} interval)"] = [reduction(row) for row in rows.to_dict("records")]
        sheet[f"verdict{against}"] = rows["verdict"].to_numpy()
    return sheet


def _together(compared: list[pd.DataFrame]) -> str:
    """For which arms intervals hold together; compared: arms by baseline."""
    count = max(int(of.groupby("dataset").size().max()) for of in compared)
    if count == 1:
        return "for the one compared arm"
    each = " and one baseline" if len(compared) > 1 else ""
    return f"for all {count} compared arms of a data set{each} together"


def _intervals(table: pd.DataFrame) -> str:
    """What the intervals are, and what they are not."""
    blocks = by_baseline(table).values()
    compared = [of for of in (block[block["arm"] != block["baseline"]] for block in blocks) if len(of)]
    if not compared:
        return ""
    errors = " or ".join(dict.fromkeys(error for of in compared for error in of["error"]))
    same = max(of.groupby("dataset")["baseline"].nunique().max() for of in compared) > 1
    verdicts = {verdict for of in compared for verdict in of["verdict"]}
    sentences = [
        f" Error reduction: of the {errors}, against {'the' if len(blocks) == 1 else 'each'} baseline"
        f"{' of the same variation' if same else ''}."
    ]
    if verdicts - {TOO_FEW_SEEDS, TOO_FEW_PEOPLE}:
        sentences.append(
            f"The intervals are paired, allow for how few {_counted(table)} there are, and hold "
            f"{_together(compared)} with {table['confidence'].iloc[0]:.0%} confidence."
        )
    if TOO_FEW_SEEDS in verdicts:
        sentences.append(
            f"Too few seeds: fewer than {LEAST_TRAININGS} trainings of an arm do not show how much trainings vary, so "
            "that there is neither an interval nor a verdict."
        )
    if TOO_FEW_PEOPLE in verdicts:
        sentences.append("Too few people: one person does not show how much people vary.")
    return " ".join(sentences)


def _counted(table: pd.DataFrame) -> str:
    """Of what there are few, as the intervals allow for."""
    return {"seeds": "people and seeds", "folds": "folds"}.get(over(table), "people and seeds, or folds,")


def arms_note(table: pd.DataFrame) -> str:
    """What the numbers of `arms` are."""
    of_each = table.drop_duplicates("dataset")[["dataset", "images", "subjects"]].itertuples(index=False)
    where = ", ".join(f"{dataset}: {images:,} images of {subjects:,} subjects" for dataset, images, subjects in of_each)
    part = table["part"].iloc[0]
    chosen_on = (
        " Parameters were chosen by these images: no error here is a test error." if part == "validation" else ""
    )
    return (
        f"Errors in degrees on the {part} images ({where}), mean ± standard deviation over {over(table)}; aligned: "
        "after one constant rotation, estimated on these images, is removed."
        f"{chosen_on}{_intervals(table)}{_beside_constants(table)}"
    )


def _beside_constants(table: pd.DataFrame) -> str:
    """What the rows of constant poses are, and which arms do not beat them; empty for a table without them."""
    if constants_of(table).empty:
        return ""
    frontal, mean = CONSTANTS
    sentences = [
        f"{frontal.capitalize()} and {mean}, that of all labelled training images, are what one answer to every image "
        "errs by."
    ]
    for dataset, of_dataset in table.groupby("dataset", sort=False):
        if beaten := no_better_than_constants(of_dataset):
            sentences.append(f"On {dataset}, no better than the lower of the two: {', '.join(beaten)}.")
    return "".join(f" {sentence}" for sentence in sentences)


def as_markdown(table: pd.DataFrame) -> str:
    """The table of `compare_arms` for people, and below it what the numbers are."""
    return f"{markdown(arms(table))}\n\n{arms_note(table)}\n"


def main_errors(table: pd.DataFrame) -> pd.DataFrame:
    """Two errors of every arm, and its effect against every baseline in one column; then constant poses.

    table: from `compare_arms`, with or without the rows of `constants.with_constants`.
    """
    first, *_ = shown_rows(table).values()
    sheet = first[["dataset", "arm"]].copy()
    if PASSES in first:
        sheet[PASSED] = [number(passes) for passes in first[PASSES]]
    for name in ("mae", "geodesic"):
        sheet[name] = [mean_and_std(*cell) for cell in zip(first[name], first[f"{name}_std"], strict=True)]
    for against, rows in shown_rows(table).items():
        head = f"error reduction{against} ({rows['confidence'].iloc[0]:.0%} interval), verdict"
        records = rows.to_dict("records")
        sheet[head] = [", ".join(filter(None, (reduction(row), row["verdict"]))) for row in records]
    return sheet


def probes(table: pd.DataFrame) -> pd.DataFrame:
    """One row per pretext task, the best last epoch first; table: from `costs.probes`, with at least one row."""
    rows = []
    for pretext, of_task in table.groupby("pretext"):
        by_epoch = of_task.groupby("epoch")["probe_mae_deg"].agg(["mean", "std"])
        best, last = int(by_epoch["mean"].argmin()), len(by_epoch) - 1
        cells = [mean_and_std(*of_epoch) for of_epoch in by_epoch.to_numpy()]
        row = {"pretext": pretext, "untrained": cells[0], "last epoch": cells[last], "lowest": cells[best]}
        row |= {"in epoch": f"{best} of {last}", "images seen": number(of_task["images"].max())}
        rows.append(row | {"order": by_epoch["mean"].iloc[last]})
    return pd.DataFrame(rows).sort_values("order").drop(columns="order")


def costs(table: pd.DataFrame) -> pd.DataFrame:
    """One row per arm; table: from `costs.costs`."""
    sheet = table[["arm", "start"]].copy()
    for stage, name in (("pretrain", "pre-training"), ("finetune", "fine-tuning")):
        sheet[f"{name}: images"] = [number(n, missing="not here") for n in table[f"{stage}_passes"]]
        sheet[f"{name}: minutes"] = [number(n, ".1f", "not here") for n in table[f"{stage}_minutes"]]
    return sheet.assign(device=table["device"])


def label_curves(table: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Arms by budgets, a sheet per data set and curve, by title; table: from `label_curves.label_curve`."""
    sheets = {}
    for (dataset, curve), of_curve in table.groupby(["dataset", "curve"], sort=False):
        rows = {}
        for arm, of_arm in of_curve.groupby("arm", sort=False):
            names = [
                f"{images:,.0f} images of {people(subjects)}"
                for images, subjects in zip(of_arm["labelled_images"], of_arm["labelled_subjects"], strict=True)
            ]
            cells = [mean_and_std(*cell) for cell in zip(of_arm["mean"], of_arm["std"], strict=True)]
            rows[arm] = dict(zip(names, cells, strict=True))
        error = f"{of_curve['error'].iloc[0]} in degrees, mean ± standard deviation over seeds or folds"
        title = f"{dataset}, {curve} ({error})"
        sheets[title] = pd.DataFrame.from_dict(rows, orient="index").fillna("").rename_axis("arm").reset_index()
    return sheets


def labels_saved(table: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """A sheet per question, by the question in words; table: from `label_curves.labels_saved`."""
    sheets = {}
    for question, words in QUESTIONS.items():
        rows = table[table["question"] == question]
        sheet = rows[["dataset", "curve", "arm"]].copy()
        if rows["variation"].ne("").any():
            sheet["budget"] = rows["variation"]
        sheet["error"] = [f"{error:.2f}" for error in rows["error_deg"]]
        names = ("arm needs", "baseline has") if question == LARGEST else ("arm has", "baseline needs")
        for column, name in zip(("labels", "baseline_labels"), names, strict=True):
            sheet[name] = [number(n, missing="none") for n in rows[column]]
        sheet["share"] = [share(row) for row in rows.to_dict("records")]
        sheets[words] = sheet
    return sheets


def share(row: Any) -> str:
    """A share of labels with its interval, such as 66% (41% to 97%); row: of `label_curves.labels_saved`."""
    low, high = (row.get(name, math.nan) for name in ("share_low", "share_high"))
    if math.isnan(low):
        interval = "" if math.isnan(row["share"]) else "(no interval)"
    elif math.isinf(high):
        interval = f"(at least {low:.0%})" if low > 0 else "(anything)"
    else:
        interval = f"({low:.0%} to {high:.0%})" if low > 0 else f"(at most {high:.0%})"
    sign = {"at most": "≤ ", "at least": "≥ "}.get(row["bound"], "")
    point = "" if math.isnan(row["share"]) else f"{sign}{row['share']:.0%}"
    return " ".join(filter(None, (point, interval)))


def worst(table: pd.DataFrame, count: int = 5) -> dict[tuple[str, str], pd.DataFrame]:
    """The worst few images, a sheet per data set and arm: label → mean prediction in degrees, by (data set, arm).

    table: from `worst.worst_of_all`.
    """
    sheets = {}
    for (dataset, arm), of_arm in table.groupby(["dataset", "arm"], sort=False):
        few = of_arm.head(count)
        sheet = few[["source_id", "subject"]].astype(str)
        for angle in ANGLES:
            pairs = zip(few[angle], few[f"pred_{angle}"], strict=True)
            sheet[angle] = [f"{number(label, '+.0f', 'unknown')} → {predicted:+.0f}" for label, predicted in pairs]
        sheet["error"] = [f"{error:.1f}" for error in few["error_deg"]]
        sheets[str(dataset), str(arm)] = sheet
    return sheets
