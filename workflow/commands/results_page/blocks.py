"""Tables of a comparison as Markdown, and its numbers within sentences."""

import math

import pandas as pd

from pipeline_steps.evaluation.table import mean_and_spread
from pipeline_steps.job.errors import UserError

OFF = ("0.0", "false", "null", "{}")
"""Values that mean that something is not done."""

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
    "the smallest budget already reaches it."
)


def markdown(table: pd.DataFrame) -> str:
    """A table of texts."""
    return str(table.to_markdown(index=False, disable_numparse=True))


def _number(value: float, form: str = ",.0f", nothing: str = "") -> str:
    return nothing if math.isnan(value) else f"{value:{form}}"


def _people(number: float) -> str:
    return f"{number:,.0f} {'person' if number == 1 else 'people'}"


def _known(facts: pd.DataFrame) -> str:
    """Keys and values in one line, without what is off and without the prefix that says where they stand."""
    told = facts[~facts["value"].isin(OFF)]
    return ", ".join(
        f"{key.removeprefix('training.')} {value}" for key, value in zip(told["key"], told["value"], strict=True)
    )


def _arms(facts: pd.DataFrame) -> pd.DataFrame:
    """One row per arm: start, auxiliary losses, labels, and what else differs between arms."""
    shared = facts[facts["name"] == ""]
    rows = []
    for arm, own in facts[facts["name"] != ""].groupby("name", sort=False):
        told = dict(zip(*(pd.concat([shared, own])[c] for c in ("key", "value")), strict=True))
        losses = {
            key.split(".")[1]: w for key, w in told.items() if key.startswith("auxiliary.") and key.endswith(".weight")
        }
        plain = ~own["key"].str.startswith("auxiliary") | (own["key"] == "auxiliary_on")
        rest = own[plain & ~own["key"].isin(["init", "labelled_subjects", "labelled_images"])]
        rows.append(
            {
                "arm": arm,
                "starts from": told["init"],
                "auxiliary losses": ", ".join(f"{weight} {task}" for task, weight in losses.items()),
                "labelled": f"{int(told['labelled_images']):,} images of {_people(int(told['labelled_subjects']))}",
                "also": _known(rest),
            }
        )
    return pd.DataFrame(rows)


def _row(table: pd.DataFrame, dataset: str, arm: str) -> pd.Series:
    """One arm's row; UserError where the comparison has none."""
    rows = table[(table["dataset"] == dataset) & (table["arm"] == arm)]
    if len(rows) != 1:
        raise UserError(f"{dataset}, {arm}: no such arm; the comparison has {', '.join(sorted(set(table['arm'])))}")
    return rows.iloc[0]


def mae(table: pd.DataFrame, dataset: str, arm: str) -> str:
    """Mean absolute error of yaw, pitch and roll in degrees, such as 5.55 ± 0.12; table: of `comparison.table`."""
    row = _row(table, dataset, arm)
    return mean_and_spread(row["mae"], row["mae_std"])


def reduction(table: pd.DataFrame, dataset: str, arm: str) -> str:
    """Error reduction against the baseline, such as +14.3% (+3.7 to +24.8), better; table: of `comparison.table`."""
    row = _row(table, dataset, arm)
    return f"{row['reduction']:+.1f}% ({row['low']:+.1f} to {row['high']:+.1f}), {row['verdict']}"


def errors(table: pd.DataFrame) -> str:
    """Two errors of every arm in degrees, and what it does against its baseline; table: of `comparison.table`."""
    compared = f"error reduction ({table['confidence'].iloc[0]:.0%} interval), verdict"
    rows = [
        {
            "dataset": row["dataset"],
            "arm": row["arm"],
            **{name: mean_and_spread(row[name], row[f"{name}_std"]) for name in ("mae", "geodesic")},
            compared: row["verdict"] if math.isnan(row["reduction"]) else reduction(table, row["dataset"], row["arm"]),
        }
        for _, row in table.iterrows()
    ]
    return markdown(pd.DataFrame(rows))


def labels_needed(table: pd.DataFrame, dataset: str, curve: str, arm: str) -> str:
    """An arm's labels for the baseline's error with all of its, such as 65% (1,598 of 2,445 images).

    table: of `comparison.labels.labels_saved`; curve: the beginning of its name.
    """
    ours = table[(table["dataset"] == dataset) & (table["arm"] == arm) & table["curve"].str.startswith(curve)]
    ours = ours[ours["question"] == "baseline at its largest budget"]
    if len(ours) != 1:
        raise UserError(f"{dataset}, {curve}, {arm}: no such curve; there are {', '.join(sorted(set(table['curve'])))}")
    row = ours.iloc[0]
    if math.isnan(row["share"]):
        return "none of its budgets reaches it"
    sign = {"at most": "at most ", "at least": "at least "}.get(row["bound"], "")
    return f"{sign}{row['share']:.0%} ({row['labels']:,.0f} of {row['baseline_labels']:,.0f} images)"


def design(facts: pd.DataFrame) -> str:
    """What was compared; facts: of `comparison.design`."""
    study = dict(zip(*(facts.loc[facts["of"] == "study", c] for c in ("key", "value")), strict=True))
    trained = facts[facts["of"] == "finetune"]
    before = facts[(facts["of"] == "pretrain") & ~facts["key"].str.startswith("task.")]
    lines = [f"- **Seeds** {study['seeds']}. **Trained on** {study['train_on']}"]
    if len(before):
        lines[0] += f", pre-trained on {study['pretrain_on']}"
    for dataset, of_set in facts[facts["of"] == "data"].groupby("name", sort=False):
        number = dict(zip(of_set["key"], of_set["value"].astype(int), strict=True))
        parts = [
            f"{number[f'{part}_images']:,} of {_people(number[f'{part}_subjects'])} {verb}"
            for part, verb in (("train", "to train on"), ("validation", "to validate"), ("test", "to test"))
            if number[f"{part}_images"]
        ]
        lines.append(f"- **{dataset}**, images: {', '.join(parts)}.")
    lines[0] += "."
    shared = trained[(trained["name"] == "") & ~trained["key"].isin(["labelled_images", "labelled_subjects"])]
    lines.append(f"- **Every fine-tuning:** {_known(shared)}.")
    if len(before):
        lines.append(f"- **Every pre-training:** {_known(before.drop_duplicates(['key', 'value']))}.")
    arms = _arms(trained)
    arms = arms.loc[:, [name for name in arms if arms[name].ne("").any()]]
    return "\n".join(lines) + "\n\n" + markdown(arms)


def probes(table: pd.DataFrame) -> str:
    """One row per pretext task, the best last epoch first; table: of `comparison.costs.probes`."""
    rows = []
    for pretext, of_task in table.groupby("pretext"):
        by_epoch = of_task.groupby("epoch")["probe_mae_deg"].agg(["mean", "std"])
        best, last = int(by_epoch["mean"].argmin()), len(by_epoch) - 1
        cells = [mean_and_spread(*of_epoch) for of_epoch in by_epoch.to_numpy()]
        row = {"pretext": pretext, "untrained": cells[0], "last epoch": cells[last], "lowest": cells[best]}
        row |= {"in epoch": f"{best} of {last}", "images seen": _number(of_task["images"].max())}
        rows.append(row | {"order": by_epoch["mean"].iloc[last]})
    if not rows:
        return "No pre-training had a probe: it takes two validation subjects with labels."
    shown = pd.DataFrame(rows).sort_values("order").drop(columns="order")
    return f"{markdown(shown)}\n\n{PROBED}"


def costs(table: pd.DataFrame) -> str:
    """table: of `comparison.costs.costs`."""
    shown = table[["arm", "start"]].copy()
    for stage, name in (("pretrain", "pre-training"), ("finetune", "fine-tuning")):
        shown[f"{name}: images"] = [_number(n, nothing="not here") for n in table[f"{stage}_passes"]]
        shown[f"{name}: minutes"] = [_number(n, ".1f", "not here") for n in table[f"{stage}_minutes"]]
    shown["device"] = table["device"]
    return f"{markdown(shown)}\n\n{COUNTED}"


def label_curve(table: pd.DataFrame) -> str:
    """One table per data set and curve: arms by budgets; table: of `comparison.labels.label_curve`."""
    blocks = []
    for (dataset, curve), of_curve in table.groupby(["dataset", "curve"], sort=False):
        rows = {}
        for arm, ours in of_curve.groupby("arm", sort=False):
            names = [
                f"{images:,.0f} images of {_people(subjects)}"
                for images, subjects in zip(ours["labelled_images"], ours["labelled_subjects"], strict=True)
            ]
            cells = [mean_and_spread(*cell) for cell in zip(ours["mean"], ours["std"], strict=True)]
            rows[arm] = dict(zip(names, cells, strict=True))
        shown = pd.DataFrame.from_dict(rows, orient="index").fillna("").rename_axis("arm").reset_index()
        title = f"{dataset}, {curve} ({of_curve['error'].iloc[0]} in degrees, mean ± standard deviation over seeds):"
        blocks.append(f"{title}\n\n{markdown(shown)}")
    return "\n\n".join(blocks)


def labels_saved(table: pd.DataFrame) -> str:
    """Both questions of `comparison.labels.labels_saved`."""
    sign = {"at most": "≤ ", "at least": "≥ "}

    def answered(question: str, names: dict[str, str]) -> str:
        of_question = table[table["question"] == question]
        shown = of_question[["dataset", "curve", "arm"]].copy()
        if of_question["variation"].ne("").any():
            shown["budget"] = of_question["variation"]
        shown["error"] = [f"{error:.2f}" for error in of_question["error_deg"]]
        for column, name in names.items():
            shown[name] = [_number(n, nothing="none") for n in of_question[column]]
        shares = zip(of_question["share"], of_question["bound"], strict=True)
        shown["share"] = ["" if math.isnan(s) else f"{sign.get(bound, '')}{s:.0%}" for s, bound in shares]
        return markdown(shown)

    return (
        "How many labels an arm needs for the baseline's error with its largest budget:\n\n"
        + answered("baseline at its largest budget", {"labels": "arm needs", "baseline_labels": "baseline has"})
        + "\n\nHow many labels the baseline needs for an arm's error:\n\n"
        + answered("arm at a budget", {"labels": "arm has", "baseline_labels": "baseline needs"})
        + f"\n\n{INTERPOLATED}"
    )


def worst(table: pd.DataFrame, number: int = 5) -> str:
    """The worst few images of each data set and arm; table: of `comparison.worst.worst_of_all`."""
    blocks = []
    for (dataset, arm), of_arm in table.groupby(["dataset", "arm"], sort=False):
        few = of_arm.head(number)
        shown = few[["source_id", "subject"]].astype(str)
        for angle in ("yaw", "pitch", "roll"):
            pairs = zip(few[angle], few[f"pred_{angle}"], strict=True)
            shown[angle] = [f"{_number(label, '+.0f', 'unknown')} → {predicted:+.0f}" for label, predicted in pairs]
        shown["error"] = [f"{error:.1f}" for error in few["error_deg"]]
        blocks.append(f"{dataset}, {arm} (label → mean prediction, degrees):\n\n{markdown(shown)}")
    return "\n\n".join(blocks)
