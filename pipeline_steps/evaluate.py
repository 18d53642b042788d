"""Test one trained model on one data set: a prediction per image, and errors with intervals.

python -m pipeline_steps.evaluate --recipe RECIPE --model model.safetensors --crops CROPS.h5 --split SPLIT.json
    --output DIR
"""

from functools import partial
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
from typer import Option

from pipeline_steps.evaluation.metrics import prediction_table, summarise
from pipeline_steps.images.crop_file import CropFile
from pipeline_steps.images.detail import limit_detail
from pipeline_steps.job.command_line import main
from pipeline_steps.job.errors import UserError
from pipeline_steps.job.files import whole_file, write_json
from pipeline_steps.job.processor import use_processor
from pipeline_steps.job.progress import logger
from pipeline_steps.job.recipe import Inputs, read_recipe, seal
from pipeline_steps.network.inference import load_model, predict_rotations
from pipeline_steps.params.steps import EvaluateParams
from pipeline_steps.pose.averaging import Predict, flip_tested
from pipeline_steps.splits.split_file import read_split
from pipeline_steps.tracking.runs import track_run


def evaluate(
    recipe: Annotated[Path, Option(help="parameters of this job")],
    model: Annotated[Path, Option(help="model.safetensors of the arm")],
    crops: Annotated[Path, Option(help="crops.h5 of the test data set")],
    split: Annotated[Path, Option(help="split.json of the test data set")],
    output: Annotated[Path, Option(help="folder for metrics and predictions")],
    threads: Annotated[int, Option(min=1, help="CPU threads")] = 1,
) -> None:
    """Predict the test (or validation) images and summarise the errors."""
    use_processor(threads)
    made, inputs = read_recipe(recipe), Inputs(model, crops, split)
    params = made.params_as(EvaluateParams)
    network, about = load_model(model)
    network.to("cuda" if torch.cuda.is_available() else "cpu").to(memory_format=torch.channels_last)
    part = params.evaluate.part
    chosen = set(getattr(read_split(split), part))
    with CropFile(crops) as file:
        if str(file.size) != about["image_size"]:
            raise UserError(f"{crops}: crops of {file.size} px, but {model} was trained on {about['image_size']} px")
        known = np.isfinite(file.euler_deg).any(1)
        rows = np.array([i for i, s in enumerate(file.source_ids) if s in chosen and known[i]], int)
        if not len(rows):
            raise UserError(
                f"{crops}: none of the {len(chosen)} {part} images has a pose label; take it out of test_on"
            )
        predict: Predict = partial(predict_rotations, network)
        if params.evaluate.flip_test:
            predict = partial(flip_tested, predict)
        chunks, detail = np.array_split(rows, len(rows) // 4096 + 1), params.evaluate.detail
        predicted = np.concatenate([predict(limit_detail(file.read(some), detail)) for some in chunks])
        table = prediction_table(
            [file.source_ids[i] for i in rows],
            [file.subjects[i] for i in rows],
            file.rotation[rows],
            file.euler_deg[rows],
            predicted,
        )
    metrics = summarise(table, params.evaluate)
    with track_run(made, output):
        with whole_file(output / "predictions.parquet") as temporary:
            table.to_parquet(temporary, index=False)
        write_json(output / "metrics.json", {**made.job, **metrics})
    shown = ", ".join(f"{name} {metrics[name]:.2f}" for name in ("mae", "geodesic") if name in metrics)
    job = (made.job["arm"], made.job["seed"], made.job["dataset"])
    logger.info("evaluate %s/seed%s on %s: %s degrees over %d images", *job, shown, len(table))
    seal(made, output / "recipe.json", inputs)


if __name__ == "__main__":
    main(evaluate)
