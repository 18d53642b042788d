"""A finished comparison as one HTML file that needs nothing beside it."""

import json
import re
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jinja2
import pandas as pd
from markupsafe import Markup, escape

from pipeline_steps.evaluation import sheets
from pipeline_steps.evaluation.design import read_design
from pipeline_steps.evaluation.reading import (
    Evaluated,
    Trained,
    crops_by_dataset,
    kind_of_images,
    read_evaluation,
    read_table,
    read_training,
)
from pipeline_steps.evaluation.table import TOO_FEW_SEEDS
from pipeline_steps.evaluation.worst import best_and_worst, first_of_best
from pipeline_steps.job.recipe import RECIPE, read_recipe
from pipeline_steps.job.seal import read_seal
from pipeline_steps.reporting import tables
from pipeline_steps.reporting.inline import face_images, inline_svg, width_of
from pipeline_steps.reporting.links import Links

FIGURES = {
    "error_by_yaw": ("Error by yaw", "Mean error of the test images in bins of their yaw."),
    "cumulative_error": ("Cumulative error", "Share of the test images with an error below a limit; higher is better."),
    "label_curve": ("Error by labels", "One panel for more people, one for more images of the same people."),
    "training_curves": (
        "Validation error by images through the backbone",
        "Geodesic error on the validation subjects after every epoch of fine-tuning. Every view of an image counts, "
        "those of an arm's pre-training too: at one place on the axis all arms have cost the same.",
    ),
    "pretraining_probe": (
        "What pre-training learns of the pose",
        "Error of a linear probe of the frozen backbone on the validation subjects, each predicted from the others, "
        "against the images seen; zero images is the untrained backbone.",
    ),
}
"""Title and caption by the end of a figure's name, in the order in which they are shown."""


class Sources(NamedTuple):
    """Folders of a comparison and of its inputs; crops: files of the test data sets."""

    comparison: Path
    evaluations: list[Path]
    trainings: list[Path]
    pretrainings: list[Path]
    cards: list[Path]
    crops: list[Path]


def _figures(comparison: Path, dataset: str) -> list[dict[str, Any]]:
    """Figures of a data set, or with '' those of the trainings: drawing, title, caption, whether it is wide."""
    shown = []
    for name, (title, caption) in FIGURES.items():
        path = comparison / "figures" / "_".join(filter(None, (dataset, f"{name}.svg")))
        if path.exists():
            drawing = inline_svg(path, f"{title}, {dataset}" if dataset else title)
            shown.append({"drawing": drawing, "title": title, "caption": caption, "wide": width_of(drawing) > 500})
    return shown


def _of_dataset(
    dataset: str,
    table: pd.DataFrame,
    evaluations: Mapping[Path, Evaluated],
    crops: Mapping[str, Path],
    comparison: Path,
    links: Links,
    kind: str,
) -> dict[str, Any]:
    """Everything that the page shows of one test data set; kind: of its images."""
    own = table[table["dataset"] == dataset]
    errors, baselines, rows = tables.arm_rows(own, evaluations, links)
    shown = first_of_best(table, dataset, list(evaluations.values()))
    faces = face_images(best_and_worst(shown, crops[dataset]))
    return {
        "name": dataset,
        "kind": kind,
        "headline": tables.headline(own),
        "error": tables.ERROR_NAMES[own["error"].iloc[0]],
        "errors": errors,
        "baselines": baselines,
        "rows": rows,
        "images": int(own["images"].iloc[0]),
        "subjects": int(own["subjects"].iloc[0]),
        "part": own["part"].iloc[0],
        "over": sheets.over(own),
        "too_few_seeds": TOO_FEW_SEEDS in set(own["verdict"]),
        "confidence": own["confidence"].iloc[0],
        "figures": _figures(comparison, dataset),
        "best": faces[:8],
        "worst": faces[8:],
        "faces_of": f"{shown.arm}, seed {shown.metrics['seed']}",
    }


def _trainings(of: Mapping[Path, Trained]) -> dict[str, str]:
    """Devices and precision of the trainings."""
    runs = [trained.run for trained in of.values()]
    places = {f"{run.get('devices', 1)} {run['device']}, {run['threads']} threads" for run in runs}
    return {
        "trained on": ", ".join(sorted(places)),
        "precision": ", ".join(sorted({str(run["precision"]) for run in runs})),
    }


def _libraries(folders: Iterable[Path]) -> str:
    """Versions of Python and of the libraries that computed the results in these folders, according to their seals."""
    found: dict[str, set[str]] = {}
    for folder in folders:
        for name, version in read_seal(folder).versions.items():
            found.setdefault(name, set()).add(version)
    return ", ".join(f"{name} {' or '.join(sorted(versions))}" for name, versions in found.items())


def breakable(name: str) -> Markup:
    """A name in which lines may break between its parts."""
    return Markup(re.sub(r"([_.\-/])", r"\1<wbr>", str(escape(name))))


def _link(target: str, _row: Mapping[str, str]) -> str:
    """The same target for every row of a sheet."""
    return target


def render(sources: Sources, links: Links, provenance: Mapping[str, str]) -> str:
    """The page. provenance: facts about the code, by name. UserError where a source is missing or incomplete."""
    folder = sources.comparison
    table, design = read_table(folder / "table.csv"), read_design(folder / "design.json")
    evaluations = {path: read_evaluation(path) for path in sources.evaluations}
    trainings = {path: read_training(path) for path in sources.trainings}
    pretrainings = {path: read_training(path) for path in sources.pretrainings}
    cards = {path: json.loads((path / "card.json").read_text()) for path in sources.cards}
    kinds = {str(card["dataset"]): kind_of_images(card) for card in cards.values()}
    crops = crops_by_dataset(sources.crops)
    datasets = list(dict.fromkeys(table["dataset"]))
    recipe = read_recipe(folder / RECIPE)
    recipes = [t.recipe for t in (*pretrainings.values(), *trainings.values())]
    recipes += [read_recipe(sources.evaluations[0] / RECIPE), recipe]
    changed, everything = tables.parameters(design, recipes)
    first = {(str(e.metrics["dataset"]), e.arm): path for path, e in reversed(evaluations.items())}
    errors = {dataset: table.loc[table["dataset"] == dataset, "error"].iloc[0] for dataset in datasets}
    saved = folder / "labels_saved.csv"
    labels_saved = sheets.labels_saved(read_table(saved)) if saved.exists() else {}
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["breakable"] = breakable
    template = Path(__file__).with_name("report.html.j2").read_text(encoding="utf-8")
    return environment.from_string(template).render(
        title=", ".join(f"{name} {recipe.job[name]}" for name in ("study", "question") if name in recipe.job),
        datasets=[_of_dataset(d, table, evaluations, crops, folder, links, kinds[d]) for d in datasets],
        only_rendered={kinds[d] for d in datasets} == {"rendered heads"},
        figures=_figures(folder, ""),
        labels_saved={title: tables.linked(sheet) for title, sheet in labels_saved.items()},
        worst={
            ", ".join(of): tables.linked(sheet, partial(_link, links.to(first[of] / "metrics.json")))
            for of, sheet in sheets.worst(read_table(folder / "worst.csv")).items()
        },
        costs=tables.linked(sheets.costs(read_table(folder / "costs.csv")), lambda row: f"#arm-{row['arm']}"),
        notes={"costs": sheets.COUNTED, "labels_saved": sheets.INTERPOLATED},
        cards=tables.cards(cards, design, links),
        changed=changed,
        everything=everything,
        finetunings=tables.trained_rows(trainings, evaluations, errors, links),
        pretrainings=tables.trained_rows(pretrainings, {}, {}, links),
        trained=" or ".join(dict.fromkeys(filter(None, map(sheets.trainings, table.to_dict("records"))))),
        baselines=design.compare.baselines,
        made={
            **_trainings(trainings),
            "computed with": _libraries([*pretrainings, *trainings, *evaluations]),
            **provenance,
        },
        files=[(name, links.to(folder / name)) for name in ("table.md", "table.csv", "metrics.json", "design.json")],
        server=links.server,
    )
