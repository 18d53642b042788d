"""Hold the arms of a study against the baseline: errors and their spread, what is within noise, labels saved, costs.

python -m pipeline_steps.compare --recipe RECIPE --output DIR --evaluation DIR ... --training DIR ...
    [--pretraining DIR ...] --split DIR ... --crops CROPS.h5 ...
"""

from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
from typer import Option

from pipeline_steps.evaluation.costs import costs, probes
from pipeline_steps.evaluation.design import design
from pipeline_steps.evaluation.label_curves import label_curve, labels_saved
from pipeline_steps.evaluation.reading import Evaluated, Trained, files_read, read_evaluation, read_training
from pipeline_steps.evaluation.table import SHOWN, as_markdown, compare_arms
from pipeline_steps.evaluation.worst import best_and_worst, first_of_best, worst_of_all
from pipeline_steps.figures.plots import (
    cumulative_error,
    error_by_yaw,
    faces,
    label_curves,
    pretraining_probe,
    save,
    training_curves,
)
from pipeline_steps.images.crop_file import CropFile
from pipeline_steps.job.command_line import main
from pipeline_steps.job.files import whole_file, write_json, write_text
from pipeline_steps.job.recipe import Inputs, read_recipe, seal
from pipeline_steps.params.arms import parts_of, several_budgets
from pipeline_steps.params.sections import Comparison, Labels
from pipeline_steps.params.steps import CompareParams
from pipeline_steps.tracking.runs import track_run


def errors_by_yaw(evaluations: list[Evaluated]) -> pd.DataFrame:
    """dataset, arm, seed, yaw (centre of the bin), n, and mean errors in degrees, from every metrics.json."""
    rows = []
    for metrics in (e.metrics for e in evaluations):
        job = {name: metrics[name] for name in ("dataset", "arm", "seed")}
        rows += [job | part | {"yaw": (part["low"] + part["high"]) / 2} for part in metrics["by_yaw"]]
    columns = ["dataset", "arm", "seed", "yaw", "n", "mae", "geodesic"]
    return pd.DataFrame(rows, columns=columns).astype({"mae": float, "geodesic": float})


def cumulative_errors(evaluations: list[Evaluated]) -> pd.DataFrame:
    """dataset, arm, seed, limit in degrees, share of images with a smaller `shown_error` (0 to 1)."""
    limits = np.arange(0.0, 30.5, 0.5)
    rows = []
    for evaluation in evaluations:
        shares = (evaluation.shown_error().to_numpy()[:, None] < limits).mean(0)
        job = {name: evaluation.metrics[name] for name in ("dataset", "arm", "seed")}
        rows += [job | {"limit": limit, "share": share} for limit, share in zip(limits, shares, strict=True)]
    return pd.DataFrame(rows)


def histories(trainings: list[Trained]) -> pd.DataFrame:
    """arm, seed and every epoch's row of each fine-tuning."""
    tables = [t.history.assign(arm=t.name, seed=t.run["seed"]) for t in trainings]
    return pd.concat(tables, ignore_index=True)


def dataset_of(crops: Path) -> str:
    """Name of the data set that a crop file belongs to."""
    with CropFile(crops) as file:
        return file.dataset


def write_csv(table: pd.DataFrame, path: Path) -> None:
    """Write a table without its index."""
    with whole_file(path) as temporary:
        table.to_csv(temporary, index=False)


def write_errors(table: pd.DataFrame, evaluations: list[Evaluated], crops: dict[str, Path], output: Path) -> None:
    """Write the tables of errors and the figures of every data set; crops: by data set."""
    write_csv(table, output / "table.csv")
    write_text(output / "table.md", as_markdown(table))
    flat: dict[str, dict[str, dict[str, float]]] = {}
    for _, row in table.iterrows():
        numbers = {name: float(row[name]) for name in [*SHOWN, "reduction", "low", "high"] if not np.isnan(row[name])}
        flat.setdefault(str(row["dataset"]), {})[str(row["arm"])] = numbers
    write_json(output / "metrics.json", flat)
    write_csv(worst_of_all(table, evaluations), output / "worst.csv")
    by_yaw, cumulative = errors_by_yaw(evaluations), cumulative_errors(evaluations)
    write_csv(by_yaw, output / "error_by_yaw.csv")
    write_csv(cumulative, output / "cumulative_error.csv")
    arms, figures = list(dict.fromkeys(table["arm"])), output / "figures"
    for dataset, path in crops.items():
        save(error_by_yaw(by_yaw[by_yaw["dataset"] == dataset], arms), figures / f"{dataset}_error_by_yaw.svg")
        save(
            cumulative_error(cumulative[cumulative["dataset"] == dataset], arms),
            figures / f"{dataset}_cumulative_error.svg",
        )
        shown = best_and_worst(first_of_best(table, dataset, evaluations), path)
        save(faces(shown.images, shown.label, shown.predicted, shown.error_deg), figures / f"{dataset}_faces.svg")


def write_trainings(arms: list[str], trainings: list[Trained], pretrainings: list[Trained], output: Path) -> None:
    """Write curves and costs of the trainings; arms: in the order in which they are drawn."""
    history = histories(trainings)
    write_csv(history, output / "training_curves.csv")
    save(training_curves(history, arms), output / "figures/training_curves.svg")
    write_csv(costs(trainings, pretrainings), output / "costs.csv")
    if pretrainings:
        probed = probes(pretrainings)
        write_csv(probed, output / "probes.csv")
        save(pretraining_probe(probed), output / "figures/pretraining_probe.svg")


def write_labels(evaluations: list[Evaluated], trainings: list[Trained], params: Comparison, output: Path) -> None:
    """Write error against labels, where some arm comes with more than one budget."""
    if not several_budgets({t.name: Labels.model_validate(t.recipe.params["labels"]) for t in trainings}):
        return
    curves = label_curve(evaluations, trainings, params.error)
    write_csv(curves, output / "label_curve.csv")
    write_csv(labels_saved(curves, params.baseline), output / "labels_saved.csv")
    stem, _ = parts_of(params.baseline)
    arms = sorted({parts_of(t.name)[0] for t in trainings}, key=lambda arm: (arm != stem, arm))
    for dataset in sorted({str(e.metrics["dataset"]) for e in evaluations}):
        save(label_curves(curves[curves["dataset"] == dataset], arms), output / f"figures/{dataset}_label_curve.svg")


def compare(
    recipe: Annotated[Path, Option(help="parameters of this job")],
    output: Annotated[Path, Option(help="folder for tables and figures")],
    evaluation: Annotated[list[Path], Option(help="folder of one evaluation; repeat for each")],
    training: Annotated[list[Path], Option(help="folder of one fine-tuning; repeat for each")],
    split: Annotated[list[Path], Option(help="folder of one data set's split; repeat for each")],
    crops: Annotated[list[Path], Option(help="crops.h5 of one test data set; repeat for each")],
    pretraining: Annotated[list[Path] | None, Option(help="folder of one pre-training; repeat for each")] = None,
) -> None:
    """Write table.md, table.csv, metrics.json, the figures, and the numbers behind them."""
    made = read_recipe(recipe)
    splits = [folder / "split.json" for folder in split]
    inputs = Inputs(*files_read(evaluation, [*training, *(pretraining or [])]), *splits, *crops)
    params = made.params_as(CompareParams).compare
    with track_run(made, output):
        table = compare_arms(evaluation, params)
        evaluations = [read_evaluation(folder) for folder in evaluation]
        trainings, pretrainings = ([read_training(folder) for folder in of] for of in (training, pretraining or []))
        write_errors(table, evaluations, {dataset_of(path): path for path in crops}, output)
        write_trainings(list(dict.fromkeys(table["arm"])), trainings, pretrainings, output)
        write_labels(evaluations, trainings, params, output)
        evaluate = read_recipe(evaluation[0] / "recipe.json").params["evaluate"]
        write_csv(design(params, evaluate, trainings, pretrainings, split), output / "design.csv")
    seal(made, output / "recipe.json", inputs)


if __name__ == "__main__":
    main(compare)
