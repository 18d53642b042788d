"""Compare the arms of a study with its baselines: errors, what exceeds the noise, labels saved, costs.

python -m pipeline_steps.compare --recipe RECIPE --output DIR --evaluation DIR ... --training DIR ...
    [--pretraining DIR ...] --split DIR ... --crops CROPS.h5 ... --train-crops CROPS.h5
"""

from pathlib import Path
from typing import Annotated

import pandas as pd
from typer import Option

from pipeline_steps.evaluation.constants import constant_poses, with_constants
from pipeline_steps.evaluation.costs import costs, probes, with_passes
from pipeline_steps.evaluation.curves import cumulative_errors, errors_by_yaw, histories
from pipeline_steps.evaluation.design import design, split_of
from pipeline_steps.evaluation.label_curves import label_curve, labels_saved
from pipeline_steps.evaluation.reading import (
    Evaluated,
    Trained,
    crops_by_dataset,
    files_read,
    read_evaluation,
    read_training,
)
from pipeline_steps.evaluation.sheets import as_markdown
from pipeline_steps.evaluation.table import arms_of, as_metrics, compare_arms
from pipeline_steps.evaluation.worst import best_and_worst, first_of_best, worst_of_all
from pipeline_steps.figures import lines
from pipeline_steps.figures.faces import faces
from pipeline_steps.figures.style import save
from pipeline_steps.images.crop_file import CropFile
from pipeline_steps.job.command_line import main
from pipeline_steps.job.files import atomic_write, write_json, write_text
from pipeline_steps.job.recipe import read_recipe
from pipeline_steps.job.seal import Inputs, seal, unseal
from pipeline_steps.params.arms import several_budgets, stem_and_variation
from pipeline_steps.params.sections import Comparison, Labels
from pipeline_steps.params.steps import CompareParams
from pipeline_steps.splits.split_file import read_folds
from pipeline_steps.tracking.runs import track_run


def write_csv(table: pd.DataFrame, path: Path) -> None:
    """Write a table without its index."""
    with atomic_write(path) as temporary:
        table.to_csv(temporary, index=False)


def write_errors(table: pd.DataFrame, evaluations: list[Evaluated], crops: dict[str, Path], output: Path) -> None:
    """Write the tables of errors and the figures of every data set; crops: by data set."""
    write_csv(table, output / "table.csv")
    write_text(output / "table.md", as_markdown(table))
    write_json(output / "metrics.json", as_metrics(table))
    write_csv(worst_of_all(table, evaluations), output / "worst.csv")
    by_yaw, cumulative = errors_by_yaw(evaluations), cumulative_errors(evaluations)
    write_csv(by_yaw, output / "error_by_yaw.csv")
    write_csv(cumulative, output / "cumulative_error.csv")
    arms = list(dict.fromkeys(arms_of(table)["arm"]))
    for dataset, path in crops.items():
        figure = output / "figures" / dataset
        save(lines.error_by_yaw(by_yaw[by_yaw["dataset"] == dataset], arms), Path(f"{figure}_error_by_yaw.svg"))
        of_dataset = cumulative[cumulative["dataset"] == dataset]
        save(lines.cumulative_error(of_dataset, arms), Path(f"{figure}_cumulative_error.svg"))
        shown = best_and_worst(first_of_best(table, dataset, evaluations), path)
        save(faces(shown.images, shown.label, shown.predicted, shown.error_deg), Path(f"{figure}_faces.svg"))


def write_trainings(
    arms: list[str], spent: pd.DataFrame, trainings: list[Trained], pretrainings: list[Trained], output: Path
) -> None:
    """Write curves and costs of the trainings; arms: in the order in which they are drawn; spent: from `costs`."""
    history = histories(trainings, pretrainings)
    write_csv(history, output / "training_curves.csv")
    save(lines.training_curves(history, arms), output / "figures/training_curves.svg")
    write_csv(spent, output / "costs.csv")
    if pretrainings:
        probed = probes(pretrainings)
        write_csv(probed, output / "probes.csv")
        save(lines.pretraining_probe(probed), output / "figures/pretraining_probe.svg")


def write_labels(evaluations: list[Evaluated], trainings: list[Trained], params: Comparison, output: Path) -> None:
    """Write error by number of labels, if some arm has more than one label budget."""
    if not several_budgets({t.name: Labels.model_validate(t.recipe.params["labels"]) for t in trainings}):
        return
    curves, baseline = label_curve(evaluations, trainings, params.error), params.baselines[0]
    write_csv(curves, output / "label_curve.csv")
    write_csv(labels_saved(curves, baseline, evaluations, params), output / "labels_saved.csv")
    first, _ = stem_and_variation(baseline)
    arms = sorted({stem_and_variation(t.name)[0] for t in trainings}, key=lambda arm: (arm != first, arm))
    for dataset in sorted({str(e.metrics["dataset"]) for e in evaluations}):
        of_dataset = curves[curves["dataset"] == dataset]
        save(lines.label_curves(of_dataset, arms), output / f"figures/{dataset}_label_curve.svg")


def compare(
    recipe: Annotated[Path, Option(help="parameters of this job")],
    output: Annotated[Path, Option(help="folder for tables and figures")],
    evaluation: Annotated[list[Path], Option(help="folder of one evaluation; repeat for each")],
    training: Annotated[list[Path], Option(help="folder of one fine-tuning; repeat for each")],
    split: Annotated[list[Path], Option(help="folder of one data set's split; repeat for each")],
    crops: Annotated[list[Path], Option(help="crops.h5 of one test data set; repeat for each")],
    train_crops: Annotated[Path, Option(help="crops.h5 of the training data set")],
    pretraining: Annotated[list[Path] | None, Option(help="folder of one pre-training; repeat for each")] = None,
) -> None:
    """Write table.md, table.csv, metrics.json, design.json, the figures, and the numbers behind them."""
    job_recipe = read_recipe(recipe)
    splits = [folder / "split.json" for folder in split]
    inputs = Inputs(recipe, *files_read(evaluation, [*training, *(pretraining or [])]), *splits, *crops, train_crops)
    unseal(output)
    params = job_recipe.params_as(CompareParams).compare
    with track_run(job_recipe, output):
        evaluations = [read_evaluation(folder) for folder in evaluation]
        trainings, pretrainings = ([read_training(folder) for folder in of] for of in (training, pretraining or []))
        compared = design(params, evaluations[0].params, trainings, pretrainings, split)
        spent = costs(trainings, pretrainings)
        arms = with_passes(compare_arms(evaluations, params), spent)
        with CropFile(train_crops) as file:
            folds = read_folds(split_of(compared.study.train_on, split))
            poses = [constant_poses(file, fold) for fold in folds]
        write_errors(with_constants(arms, evaluations, poses), evaluations, crops_by_dataset(crops), output)
        write_trainings(list(dict.fromkeys(arms["arm"])), spent, trainings, pretrainings, output)
        write_labels(evaluations, trainings, params, output)
        write_text(output / "design.json", compared.model_dump_json(indent=2) + "\n")
    seal(job_recipe, output, inputs)


if __name__ == "__main__":
    main(compare)
