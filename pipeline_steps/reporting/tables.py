"""The tables and sentences of a report, from the files of a comparison."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
from pydantic import BaseModel

from pipeline_steps.evaluation import sheets
from pipeline_steps.evaluation.design import FACTS, Design, Values, text
from pipeline_steps.evaluation.reading import Evaluated, Trained, kind_of_images
from pipeline_steps.evaluation.table import (
    BETTER,
    CONSTANTS,
    ERRORS,
    PASSES,
    TOO_FEW_PEOPLE,
    TOO_FEW_SEEDS,
    VERDICTS,
    WITHIN_NOISE,
    WORSE,
    constants_of,
    no_better_than_constants,
)
from pipeline_steps.job.recipe import Recipe
from pipeline_steps.params.leaves import leaves
from pipeline_steps.params.sections import Arm
from pipeline_steps.params.steps import CompareParams, EvaluateParams, FinetuneParams, PretrainParams
from pipeline_steps.pose.geometry import ANGLES
from pipeline_steps.reporting.links import Links

ERROR_NAMES = {
    "mae": "mean absolute error of yaw, pitch and roll",
    "geodesic": "mean geodesic error",
    "maev": "mean angle between the axes",
}
MODELS: dict[str, type[BaseModel]] = {
    "pretrain": PretrainParams,
    "finetune": FinetuneParams,
    "evaluate": EvaluateParams,
    "compare": CompareParams,
}
ARM_DEFAULTS = {name: field.default for name, field in Arm.model_fields.items()}
"""The recipe of a fine-tuning contains them explicitly."""


class Cell(NamedTuple):
    """Text of a cell, and the target of its link."""

    text: str
    link: str = ""


class Sheet(NamedTuple):
    """A table: heads, and rows of as many cells; the first cell of a row names it."""

    heads: list[str]
    rows: list[list[Cell]]


class Group(NamedTuple):
    """Parameters of one step, as pairs of key and value."""

    title: str
    facts: list[tuple[str, str]]


class Effect(NamedTuple):
    """An arm against one baseline: verdict, error reduction in percent with its interval.

    low, point, high, zero: places of the interval, the reduction and zero on a line from 0 to 100.
    """

    verdict: str
    text: str
    low: float = 0.0
    point: float = 0.0
    high: float = 0.0
    zero: float = 0.0


class Row(NamedTuple):
    """One arm on one data set: effects by baseline, the compared error of every seed, mean errors by name."""

    arm: str
    effects: list[Effect]
    seeds: list[Cell]
    errors: list[str]

    @property
    def trained(self) -> bool:
        """Whether runs are behind it: none are behind a constant pose."""
        return self.arm not in CONSTANTS


class Headline(NamedTuple):
    """The outcome of a comparison on one data set, as a verdict and sentences."""

    dataset: str
    arm: str
    error: str
    verdict: str
    sentence: str


def headline(of_dataset: pd.DataFrame) -> Headline:
    """The arm with the lowest compared error; of_dataset: rows of `compare_arms`.

    verdict: against the baseline that it exceeds least clearly.
    """
    error, effects = of_dataset["error"].iloc[0], sheets.effects(of_dataset)
    first = next(iter(effects.values())).sort_values([error, "arm"]).iloc[0]
    rows = [rows[rows["arm"] == first["arm"]].iloc[0] for rows in effects.values()]
    compared = [row for row in rows if row["verdict"] != "baseline"]
    sentences = [_against(row) for row in compared]
    counts = {against: of.loc[of["arm"] != of["baseline"], "verdict"].value_counts() for against, of in effects.items()}
    if not compared:
        any_other = any(count.sum() for count in counts.values())
        sentences.append(f"No arm has a lower error than {first['arm']}." if any_other else "It is the only arm.")
    several = {against: count for against, count in counts.items() if count.sum() > 1}
    for against, count in several.items():
        named = [name for name in VERDICTS if name in count or name in (BETTER, WITHIN_NOISE, WORSE)]
        verdicts = ", ".join(f"{count.get(name, 0)} {name}" for name in named)
        sentences.append(f"Of {count.sum()} arms compared{against or ' with a baseline'}: {verdicts}.")
    if several:
        sentences.append("These arms are not compared with each other.")
    constants = constants_of(of_dataset)
    if len(constants):
        errors = (f"{row['arm']} errs by {row[error]:.2f}°" for row in constants.to_dict("records"))
        sentences.append(f"{' and '.join(errors).capitalize()}.")
    if beaten := no_better_than_constants(of_dataset):
        sentences.append(f"No better than the lower of these two: {', '.join(beaten)}.")
    if first["part"] == "validation":
        sentences.append("Parameters were chosen by these images: this is no test error.")
    weakest_first = (TOO_FEW_SEEDS, TOO_FEW_PEOPLE, WORSE, WITHIN_NOISE, BETTER)
    least = [name for name in weakest_first if name in {row["verdict"] for row in compared}]
    mean = sheets.mean_and_std(first[error], first[f"{error}_std"])
    verdict = least[0] if least else "baseline"
    return Headline(first["dataset"], first["arm"], f"{mean}°", verdict, " ".join(sentences))


def _against(row: "pd.Series[Any]") -> str:
    """An arm's effect against one baseline, as a sentence."""
    less = f"{row['reduction']:.1f}% less error than {row['baseline']}"
    if math.isnan(row["low"]):
        return f"{less}: {row['verdict']} for a verdict."
    beyond = "which may be noise." if row["verdict"] == WITHIN_NOISE else f"{row['verdict']} beyond noise."
    return f"{less} ({row['confidence']:.0%} interval {row['low']:.1f} to {row['high']:.1f}%): {beyond}"


def _effects(rows: pd.DataFrame, low: float, high: float) -> Iterator[Effect]:
    """The rows' effects, drawn on a line from low to high percent; without an interval as a point."""
    scale = 100 / ((high - low) or 1.0)
    for row in rows.to_dict("records"):
        cell = sheets.reduction(row)
        ends = [row["reduction"] if math.isnan(row[name]) else row[name] for name in ("low", "reduction", "high")]
        left, point, right = ((end - low) * scale for end in ends)
        yield Effect(row["verdict"], cell, left, point, right, -low * scale) if cell else Effect(row["verdict"], cell)


def arm_rows(
    of_dataset: pd.DataFrame, evaluations: Mapping[Path, Evaluated], links: Links
) -> tuple[list[str], list[str], list[Row]]:
    """Names of the errors, the compared one first, what heads say of each baseline, and a row per arm and constant.

    evaluations: by folder.
    """
    name, effects = of_dataset["error"].iloc[0], sheets.shown_rows(of_dataset)
    known = of_dataset[["low", "reduction", "high"]].to_numpy(float)
    low, high = min(0.0, *known.flat), max(0.0, *known.flat)  # comparisons with NaN are false
    by_baseline = [list(_effects(rows, low, high)) for rows in effects.values()]
    shown = [
        name,
        *(column for column in ERRORS if column != name and column in of_dataset and of_dataset[column].notna().any()),
    ]
    heads, rows = [sheets.error_name(column) for column in shown], []
    if PASSES in of_dataset:
        heads.append(sheets.PASSED)
    for cells, *of_arm in zip(sheets.arms(of_dataset).to_dict("records"), *by_baseline, strict=True):
        seeds = sorted(
            (int(e.metrics["seed"]), Cell(f"{e.metrics[name]:.2f}", links.to(folder / "metrics.json")))
            for folder, e in evaluations.items()
            if (e.metrics["dataset"], e.arm) == (cells["dataset"], cells["arm"])
        )
        rows.append(Row(cells["arm"], of_arm, [cell for _, cell in seeds], [cells[head] for head in heads]))
    return heads, list(effects), rows


def linked(sheet: pd.DataFrame, link: Callable[[Mapping[str, str]], str] = lambda _: "") -> Sheet:
    """A sheet of text with a link in the first cell of every row; link: its target, from the row."""
    rows = []
    for record in sheet.to_dict("records"):
        row = {str(head): str(cell) for head, cell in record.items()}
        first, *others = row.values()
        rows.append([Cell(first, link(row)), *map(Cell, others)])
    return Sheet([str(head) for head in sheet.columns], rows)


def cards(of: Mapping[Path, Mapping[str, Any]], design: Design, links: Links) -> list[dict[str, Any]]:
    """Per data set: name, title, link to its card, and facts as pairs; of: card.json by its folder."""
    shown = []
    for folder, card in of.items():
        record = card["record"] or {}
        poses = {angle: card["pose"][angle] for angle in ANGLES if card["pose"].get(angle)}
        pose = [f"{a} {p['min']:+.0f} to {p['max']:+.0f} (mean {p['mean']:+.0f})" for a, p in poses.items()]
        facts = {
            "images": f"{card['images']:,} of {sheets.people(card['subjects'])}, {card['rejected']:,} rejected",
            "kind": kind_of_images(card),
            "used": sheets.uses(design.data[card["dataset"]]),
            "labels": ", ".join(f"{name}: {count:,}" for name, count in card["labels"].items() if count),
            "degrees": ", ".join(pose),
            "crop": ", ".join(f"{key} {value}" for key, value in card["crop"].items()),
            "archive": card["archive"] or "",
            "licence": record.get("licence", ""),
            "citation": record.get("citation", ""),
        }
        known = [(key, value) for key, value in facts.items() if value]
        title = record.get("title") or card["dataset"]
        shown.append({"name": card["dataset"], "title": title, "link": links.to(folder / "card.html"), "facts": known})
    return shown


def _given(recipe: Recipe) -> set[str]:
    """Dotted keys, as in a design, of parameters that differ from their default or have none."""
    params = recipe.params_as(MODELS[recipe.step]).model_dump(mode="json", exclude_defaults=True)
    return set(leaves(params.get(recipe.step, params)))


def parameters(design: Design, recipes: Iterable[Recipe]) -> tuple[list[Group], list[Group]]:
    """Parameters and facts that differ from the defaults of pipeline_steps/params/ or have none, and all of them.

    recipes: of the trainings, of one evaluation and of the comparison.
    """
    given: dict[str, set[str]] = {step: set() for step in MODELS}
    for recipe in recipes:
        given[recipe.step] |= _given(recipe)

    def chosen(step: str, key: str, value: object) -> bool:
        return key in FACTS or key.endswith("kind") or (ARM_DEFAULTS.get(key) != value and key in given[step])

    everything = [(step, name, leaves(values)) for step, name, values in _sections(design)]
    changed = [(step, name, {k: v for k, v in of.items() if chosen(step, k, v)}) for step, name, of in everything]
    return _groups(changed), _groups(everything)


def _sections(design: Design) -> Iterator[tuple[str, str, Values]]:
    """Step, name (of the pretext task, the arm, or all) and values of every section of a design."""
    for step, of in (("pretrain", design.pretrain), ("finetune", design.finetune)):
        yield step, "all", of.shared
        for name, values in of.by_name.items():
            yield step, name, values
    yield "evaluate", "all", design.evaluate.model_dump(mode="json")
    yield "compare", "all", design.compare.model_dump(mode="json")


def _groups(sections: Iterable[tuple[str, str, Values]]) -> list[Group]:
    return [
        Group(f"{step}, {name}", [(key, text(value)) for key, value in values.items()])
        for step, name, values in sections
        if values
    ]


def trained_rows(
    trainings: Mapping[Path, Trained], evaluations: Mapping[Path, Evaluated], errors: Mapping[str, str], links: Links
) -> Sheet:
    """One row per training: its name, its compared error on every data set, its epochs, and links to its files.

    errors: the compared error by data set, none for pre-trainings.
    """
    tested = {(e.metrics["dataset"], e.arm, e.metrics["seed"]): (folder, e) for folder, e in evaluations.items()}
    heads = ["run", "seed", *(f"{name}, {dataset}" for dataset, name in errors.items()), "epoch kept", "minutes"]
    rows = []
    for folder, trained in trainings.items():
        run = trained.run
        row = [Cell(trained.name, links.to(folder / "run.json")), Cell(str(run["seed"]))]
        for dataset, name in errors.items():
            where, evaluated = tested[dataset, trained.name, run["seed"]]
            row.append(Cell(f"{evaluated.metrics[name]:.2f}", links.to(where / "metrics.json")))
        row += [Cell(f"{run['chosen_epoch']} of {run['epochs']}", links.to(folder / "history.csv"))]
        row += [Cell(f"{run['seconds'] / 60:.1f}"), Cell(f"{run['device']}, {run['precision']}"), Cell(run["torch"])]
        row.append(Cell(str(run.get("mlflow_run_id") or "not tracked"), links.run(run.get("mlflow_run_id"))))
        row.append(Cell(str(run.get("taken_over_from", ""))))
        rows.append(row)
    heads += ["device", "torch", "MLflow run", "taken over from"]
    filled = [place for place in range(len(heads)) if any(row[place].text for row in rows)]
    return Sheet([heads[place] for place in filled], [[row[place] for place in filled] for row in rows])
