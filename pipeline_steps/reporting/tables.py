"""The tables and sentences of a report, from the files of a comparison."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
from pydantic import BaseModel

from pipeline_steps.evaluation.design import flat
from pipeline_steps.evaluation.reading import Evaluated, Trained
from pipeline_steps.evaluation.table import COLUMNS, mean_and_spread
from pipeline_steps.job.recipe import Recipe
from pipeline_steps.params.sections import Arm
from pipeline_steps.params.steps import CompareParams, EvaluateParams, FinetuneParams, PretrainParams
from pipeline_steps.pose.geometry import ANGLES
from pipeline_steps.reporting.links import Links

ERRORS = {
    "mae": "mean absolute error of yaw, pitch and roll",
    "geodesic": "mean geodesic error",
    "maev": "mean angle between the axes",
}
FACTS = ("init", "labelled_subjects", "labelled_images", "image_size")
"""Keys of a design that no default can have."""
MODELS: dict[str, type[BaseModel]] = {
    "pretrain": PretrainParams,
    "finetune": FinetuneParams,
    "evaluate": EvaluateParams,
    "compare": CompareParams,
}
ARM = {name: field.default for name, field in Arm.model_fields.items()}
"""An arm's defaults, which the recipe of a fine-tuning spells out."""


class Cell(NamedTuple):
    """Text of a cell, and where it leads."""

    text: str
    link: str = ""


class Sheet(NamedTuple):
    """A table: heads, and rows of as many cells; the first cell of a row names it."""

    heads: list[str]
    rows: list[list[Cell]]


class Group(NamedTuple):
    """Names with what is told of each."""

    title: str
    facts: list[tuple[str, str]]


class Interval(NamedTuple):
    """Error reduction in percent with its interval, and places of all three and of zero on a line from 0 to 100."""

    text: str
    low: float = 0.0
    point: float = 0.0
    high: float = 0.0
    zero: float = 0.0


class Row(NamedTuple):
    """One arm on one data set: verdict, reduction, the compared error of every seed, mean errors by name."""

    arm: str
    verdict: str
    reduction: Interval
    seeds: list[Cell]
    errors: list[str]


class Headline(NamedTuple):
    """What a data set's comparison says, in a verdict and a sentence."""

    dataset: str
    arm: str
    error: str
    verdict: str
    sentence: str


def headline(of_dataset: pd.DataFrame) -> Headline:
    """The arm with the lowest compared error; of_dataset: rows of `compare_arms`."""
    name = of_dataset["error"].iloc[0]
    best = of_dataset.sort_values([name, "arm"]).iloc[0]
    counted = of_dataset.loc[of_dataset["arm"] != of_dataset["baseline"], "verdict"].value_counts()
    if best["verdict"] != "baseline":
        low, high = f"{best['low']:.1f}", f"{best['high']:.1f}"
        sentence = (
            f"{best['reduction']:.1f}% less error than {best['baseline']} "
            f"({best['confidence']:.0%} interval {low} to {high}%): "
        )
        sentence += "which may be noise." if best["verdict"] == "within noise" else f"{best['verdict']} beyond noise."
    elif counted.sum():
        sentence = f"No arm has a lower error than {best['arm']}."
    else:
        sentence = "Nothing is held against it."
    if counted.sum() > 1:
        told = ", ".join(f"{counted.get(verdict, 0)} {verdict}" for verdict in ("better", "within noise", "worse"))
        sentence += f" Of {counted.sum()} arms held against a baseline: {told}; among themselves they are not compared."
    if best["part"] == "validation":
        sentence += " Parameters were chosen by these images: this is no test error."
    error = f"{mean_and_spread(best[name], best[f'{name}_std'])}°"
    return Headline(best["dataset"], best["arm"], error, best["verdict"], sentence)


def _intervals(of_dataset: pd.DataFrame) -> Iterator[Interval]:
    known = of_dataset[["low", "high"]].to_numpy(float)
    low, high = min(0.0, *known[:, 0]), max(0.0, *known[:, 1])  # comparisons with NaN are false
    scale = 100 / ((high - low) or 1.0)
    for row in of_dataset.to_dict("records"):
        if pd.isna(row["reduction"]):
            yield Interval("")
        else:
            left, point, right = ((row[name] - low) * scale for name in ("low", "reduction", "high"))
            text = f"{row['reduction']:+.1f}% ({row['low']:+.1f} to {row['high']:+.1f})"
            yield Interval(text, left, point, right, zero=-low * scale)


def arm_rows(
    of_dataset: pd.DataFrame, evaluations: Mapping[Path, Evaluated], links: Links
) -> tuple[list[str], list[Row]]:
    """Names of the errors, the compared one first, and a row per arm; evaluations: by folder."""
    name = of_dataset["error"].iloc[0]
    shown = [name, *(column for column in COLUMNS if column != name and of_dataset[column].notna().any())]
    rows = []
    for row, interval in zip(of_dataset.to_dict("records"), _intervals(of_dataset), strict=True):
        seeds = sorted(
            (int(e.metrics["seed"]), Cell(f"{e.metrics[name]:.2f}", links.to(folder / "metrics.json")))
            for folder, e in evaluations.items()
            if (e.metrics["dataset"], e.arm) == (row["dataset"], row["arm"])
        )
        errors = [mean_and_spread(row[column], row[f"{column}_std"]) for column in shown]
        rows.append(Row(row["arm"], row["verdict"], interval, [cell for _, cell in seeds], errors))
    return [column.replace("_", " ") for column in shown], rows


def sheet(
    table: pd.DataFrame, names: Mapping[str, str], link: Callable[[Mapping[str, Any]], str] = lambda _: ""
) -> Sheet:
    """Columns of a table under new names; link: of a row's first cell, from the row."""
    rows = []
    for row in table.to_dict("records"):
        first, *others = [_text(row[column]) for column in names]
        rows.append([Cell(first, link({str(k): v for k, v in row.items()})), *map(Cell, others)])
    return Sheet(list(names.values()), rows)


def _text(value: Any) -> str:
    if isinstance(value, float):
        return "" if pd.isna(value) else f"{value:,.0f}" if value == round(value) or value >= 1000 else f"{value:.2f}"
    return str(value)


def costs(table: pd.DataFrame) -> Sheet:
    """table: of `comparison.costs.costs`; every arm leads to its runs."""
    names = {"arm": "arm", "start": "starts from"}
    names |= {"pretrain_passes": "pre-training: images", "pretrain_minutes": "minutes"}
    names |= {"finetune_passes": "fine-tuning: images", "finetune_minutes": "minutes", "device": "device"}
    return sheet(table, names, lambda row: f"#arm-{row['arm']}")


def labels_saved(table: pd.DataFrame) -> Sheet:
    """table: of `comparison.labels.labels_saved`, the question of the baseline's largest budget alone."""
    asked = table[table["question"] == "baseline at its largest budget"].copy()
    bound = asked["bound"].fillna("")
    asked["share"] = [
        "not reached" if pd.isna(share) else f"{of} {share:.0%}".strip()
        for share, of in zip(asked["share"], bound, strict=True)
    ]
    names = {"arm": "arm", "dataset": "data set", "curve": "budgets", "error_deg": "error in question"}
    return sheet(asked, names | {"labels": "arm needs", "baseline_labels": "baseline has", "share": "share"})


def worst(table: pd.DataFrame, link: Callable[[Mapping[str, Any]], str], number: int = 5) -> Sheet:
    """The worst few images of each data set and arm; table: of `comparison.worst.worst_of_all`."""
    few = table.groupby(["dataset", "arm"], sort=False).head(number).copy()
    for angle in ANGLES:
        pairs = zip(few[angle], few[f"pred_{angle}"], strict=True)
        few[angle] = ["unknown" if pd.isna(label) else f"{label:+.0f} → {predicted:+.0f}" for label, predicted in pairs]
    few["error_deg"] = [f"{error:.1f}°" for error in few["error_deg"]]
    names = {"source_id": "image", "dataset": "data set", "arm": "arm", "error_deg": "error"}
    return sheet(few, names | {angle: angle for angle in ANGLES}, link)


def cards(of: Mapping[Path, Mapping[str, Any]], design: pd.DataFrame, links: Links) -> list[dict[str, Any]]:
    """Per data set: name, title, link to its card, and facts as pairs; of: card.json by its folder."""
    parts = design[design["of"] == "data"]
    shown = []
    for folder, card in of.items():
        own = parts.loc[parts["name"] == card["dataset"], ["key", "value"]]
        record, number = card["record"] or {}, dict(own.to_numpy())
        split = [
            f"{int(number[f'{part}_images']):,} of {int(number[f'{part}_subjects']):,} people {verb}"
            for part, verb in (("train", "to train on"), ("validation", "to validate"), ("test", "to test"))
            if int(number.get(f"{part}_images", 0))
        ]
        poses = {angle: card["pose"][angle] for angle in ANGLES if card["pose"].get(angle)}
        pose = [f"{a} {p['min']:+.0f} to {p['max']:+.0f} (mean {p['mean']:+.0f})" for a, p in poses.items()]
        facts = {
            "images": f"{card['images']:,} of {card['subjects']:,} people, {card['rejected']:,} rejected",
            "used": ", ".join(split),
            "labels": ", ".join(f"{name}: {count:,}" for name, count in card["labels"].items() if count),
            "degrees": ", ".join(pose),
            "crop": ", ".join(f"{key} {value}" for key, value in card["crop"].items()),
            "archive": card["archive"] or "",
            "licence": record.get("licence", ""),
            "citation": record.get("citation", ""),
        }
        told = [(key, value) for key, value in facts.items() if value]
        title = record.get("title") or card["dataset"]
        shown.append({"name": card["dataset"], "title": title, "link": links.to(folder / "card.html"), "facts": told})
    return shown


def _given(recipe: Recipe) -> set[str]:
    """Dotted keys, as in a design, of parameters that differ from their default or have none."""
    told = recipe.params_as(MODELS[recipe.step]).model_dump(mode="json", exclude_defaults=True)
    return set(dict(flat(told.get(recipe.step, told))))


def parameters(design: pd.DataFrame, recipes: Iterable[Recipe]) -> tuple[list[Group], list[Group]]:
    """What differs from the defaults of pipeline_steps/params/ or has none, and everything.

    design: of `comparison.design`. recipes: of the trainings, of one evaluation and of the comparison.
    """
    given: dict[str, set[str]] = {step: set() for step in MODELS}
    for recipe in recipes:
        given[recipe.step] |= _given(recipe)
    told = design[design["of"].isin(MODELS)].copy()
    chosen = [
        key in FACTS or key.endswith("kind") or (ARM.get(key) != value and value != "{}" and key in given[step])
        for step, key, value in told[["of", "key", "value"]].to_numpy()
    ]
    return _groups(told[chosen]), _groups(told)


def _groups(told: pd.DataFrame) -> list[Group]:
    return [
        Group(f"{step}, {name or 'all'}", list(zip(of_group["key"], of_group["value"], strict=True)))
        for (step, name), of_group in told.groupby(["of", "name"], sort=False)
    ]


def trained_rows(
    trainings: Mapping[Path, Trained], evaluations: Mapping[Path, Evaluated], errors: Mapping[str, str], links: Links
) -> Sheet:
    """One row per training: what it is, its compared error on every data set, its course, and where its files lie.

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
