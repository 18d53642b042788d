"""Blocks of a page in Markdown: tables of a comparison, and its numbers within sentences."""

import math
from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

from pipeline_steps.evaluation import sheets
from pipeline_steps.evaluation.design import Design, Trainings, Values, text
from pipeline_steps.evaluation.sheets import markdown
from pipeline_steps.evaluation.table import CONSTANTS, by_baseline, constants_of
from pipeline_steps.job.errors import UserError
from pipeline_steps.params.leaves import leaves

OFF = ("0.0", "false", "null", "{}")
"""Values of parameters that switch something off."""
START_AND_LABELS = ("init", "labelled_subjects", "labelled_images")
"""Keys with a column of their own in the table of arms."""


def _known(values: Mapping[str, Any]) -> str:
    """Keys and values in one line, without what is off and without the prefix that all schedules share."""
    return _pairs((key, text(value)) for key, value in values.items())


def _pairs(pairs: Iterable[tuple[str, str]]) -> str:
    return ", ".join(f"{key.removeprefix('training.')} {value}" for key, value in pairs if value not in OFF)


def _arms(trainings: Trainings) -> pd.DataFrame:
    """One row per arm: start, auxiliary losses, labels, and everything else that differs between arms."""
    rows, shared = [], leaves(trainings.shared)
    for arm, values in trainings.by_name.items():
        own = leaves(values)
        every = shared | own
        losses = {
            key.split(".")[1]: weight
            for key, weight in every.items()
            if key.startswith("auxiliary.") and key.endswith(".weight")
        }
        rest = {k: v for k, v in own.items() if not k.startswith("auxiliary.") and k not in START_AND_LABELS}
        people = sheets.people(every["labelled_subjects"])
        rows.append(
            {
                "arm": arm,
                "starts from": every["init"],
                "auxiliary losses": ", ".join(f"{text(weight)} {task}" for task, weight in losses.items()),
                "labelled": f"{every['labelled_images']:,} images of {people}",
                "also": _known(rest),
            }
        )
    return pd.DataFrame(rows)


def _row(table: pd.DataFrame, dataset: str, arm: str, baseline: str = "") -> "pd.Series[Any]":
    """One arm's row, by default against the first baseline; UserError where the comparison lacks it."""
    blocks = by_baseline(table)
    if baseline and baseline not in blocks:
        raise UserError(f"{baseline}: not a baseline; the comparison has {', '.join(blocks)}")
    block = constants_of(table) if arm in CONSTANTS else blocks[baseline or next(iter(blocks))]
    rows = block[(block["dataset"] == dataset) & (block["arm"] == arm)]
    if len(rows) != 1:
        raise UserError(f"{dataset}, {arm}: no such arm; the comparison has {', '.join(sorted(set(table['arm'])))}")
    return rows.iloc[0]


def mae(table: pd.DataFrame, dataset: str, arm: str) -> str:
    """Mean absolute error of yaw, pitch and roll in degrees, such as 5.55 ± 0.12, of an arm or a constant pose.

    table: of a comparison.
    """
    row = _row(table, dataset, arm)
    return sheets.mean_and_std(row["mae"], row["mae_std"])


def reduction(table: pd.DataFrame, dataset: str, arm: str, baseline: str = "") -> str:
    """Error reduction against a baseline, such as +14.3% (+3.7 to +24.8), better; table: from `compare_arms`.

    baseline: by default the first one.
    """
    row = _row(table, dataset, arm, baseline)
    return f"{sheets.reduction(row)}, {row['verdict']}"


def errors(table: pd.DataFrame) -> str:
    """Two errors of every arm in degrees, and its effect against every baseline; table: from `compare_arms`."""
    return markdown(sheets.main_errors(table))


def labels_needed(table: pd.DataFrame, dataset: str, curve: str, arm: str) -> str:
    """An arm's labels for the baseline's error with all of its labels, such as 65% (41% to 97%; 1,598 of 2,445 images).

    table: from `label_curves.labels_saved`; curve: the beginning of its name.
    """
    rows = table[(table["dataset"] == dataset) & (table["arm"] == arm) & table["curve"].str.startswith(curve)]
    rows = rows[rows["question"] == sheets.LARGEST]
    if len(rows) != 1:
        raise UserError(f"{dataset}, {curve}, {arm}: no such curve; there are {', '.join(sorted(set(table['curve'])))}")
    row = rows.iloc[0]
    if math.isnan(row["share"]):
        return "none of its budgets reaches it"
    images = f"{row['labels']:,.0f} of {row['baseline_labels']:,.0f} images"
    return f"{sheets.share(row).removesuffix(')')}; {images})"


def design(of: Design) -> str:
    """The data, seeds, parameters and arms that were compared."""
    seeds = ", ".join(map(str, of.study.seeds))
    pretrained = f", pre-trained on {of.study.pretrain_on}" if of.study.pretrain_on else ""
    lines = [f"- **Seeds** {seeds}. **Trained on** {of.study.train_on}{pretrained}."]
    lines += [f"- **{dataset}**, images: {sheets.uses(split)}." for dataset, split in of.data.items()]
    shared = {k: v for k, v in leaves(of.finetune.shared).items() if k not in START_AND_LABELS[1:]}
    lines.append(f"- **Every fine-tuning:** {_known(shared)}.")
    if of.study.pretrain_on:
        lines.append(f"- **Every pre-training:** {_pairs(_schedules(of.pretrain))}.")
    arms = _arms(of.finetune)
    arms = arms.loc[:, [name for name in arms if arms[name].ne("").any()]]
    return "\n".join(lines) + "\n\n" + markdown(arms)


def _schedules(pretrainings: Trainings) -> Iterable[tuple[str, str]]:
    """Parameters of all pre-trainings except those of the tasks, each pair of key and value once."""
    sections: list[Values] = [pretrainings.shared, *pretrainings.by_name.values()]
    pairs = ((key, text(value)) for values in sections for key, value in leaves(values).items())
    return dict.fromkeys(pair for pair in pairs if not pair[0].startswith("task."))


def probes(table: pd.DataFrame) -> str:
    """How much the pre-trainings learned of the pose; table: from `costs.probes`."""
    if table.empty:
        return "No pre-training had a probe: it needs two validation subjects with labels."
    return f"{markdown(sheets.probes(table))}\n\n{sheets.PROBED}"


def costs(table: pd.DataFrame) -> str:
    """table: from `costs.costs`."""
    return f"{markdown(sheets.costs(table))}\n\n{sheets.COUNTED}"


def label_curve(table: pd.DataFrame) -> str:
    """One table per data set and curve: arms by budgets; table: from `label_curves.label_curve`."""
    return "\n\n".join(f"{title}:\n\n{markdown(sheet)}" for title, sheet in sheets.label_curves(table).items())


def labels_saved(table: pd.DataFrame) -> str:
    """Both questions of `label_curves.labels_saved`."""
    blocks = [f"{question}:\n\n{markdown(sheet)}" for question, sheet in sheets.labels_saved(table).items()]
    return "\n\n".join([*blocks, sheets.INTERPOLATED])


def worst(table: pd.DataFrame, number: int = 5) -> str:
    """The worst few images of each data set and arm; table: from `worst.worst_of_all`."""
    return "\n\n".join(
        f"{dataset}, {arm} (label → mean prediction, degrees):\n\n{markdown(sheet)}"
        for (dataset, arm), sheet in sheets.worst(table, number).items()
    )
