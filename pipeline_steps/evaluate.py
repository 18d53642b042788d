"""Evaluate one trained model on one data set: a prediction per image, and errors with intervals.

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
from pipeline_steps.images.window import read_as_seen
from pipeline_steps.job.command_line import main
from pipeline_steps.job.errors import UserError
from pipeline_steps.job.files import atomic_write, write_json
from pipeline_steps.job.processor import use_processor
from pipeline_steps.job.progress import logger
from pipeline_steps.job.recipe import read_recipe
from pipeline_steps.job.seal import Inputs, seal, unseal
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
    job_recipe, inputs = read_recipe(recipe), Inputs(recipe, model, crops, split)
    unseal(output)
    job = job_recipe.params_as(EvaluateParams)
    params = job.evaluate
    network, about = load_model(model)
    network.to("cuda" if torch.cuda.is_available() else "cpu").to(memory_format=torch.channels_last)
    chosen = set(getattr(read_split(split, job.seed), params.part))
    with CropFile(crops) as file:
        if str(file.size) != about["image_size"]:
            raise UserError(f"{crops}: crops of {file.size} px, but {model} was trained on {about['image_size']} px")
        known = np.isfinite(file.euler_deg).any(1)
        rows = np.array([i for i, s in enumerate(file.source_ids) if s in chosen and known[i]], int)
        if not len(rows):
            raise UserError(
                f"{crops}: none of the {len(chosen)} {params.part} images has a pose label; remove the data set from "
                "test_on"
            )
        predict: Predict = partial(predict_rotations, network)
        if params.flip_test:
            predict = partial(flip_tested, predict)
        chunks = np.array_split(rows, len(rows) // 4096 + 1)
        predicted = np.concatenate([predict(read_as_seen(file, chunk, job.window, params.detail)) for chunk in chunks])
        table = prediction_table(
            [file.source_ids[i] for i in rows],
            [file.subjects[i] for i in rows],
            file.rotation[rows],
            file.euler_deg[rows],
            predicted,
        )
    metrics = summarise(table, params)
    with track_run(job_recipe, output):
        with atomic_write(output / "predictions.parquet") as temporary:
            table.to_parquet(temporary, index=False)
        write_json(output / "metrics.json", job_recipe.job | metrics)
    shown = ", ".join(f"{name} {metrics[name]:.2f}" for name in ("mae", "geodesic") if name in metrics)
    names = (job_recipe.job["arm"], job_recipe.job["seed"], job_recipe.job["dataset"])
    logger.info("evaluate %s/seed%s on %s: %s degrees over %d images", *names, shown, len(table))
    seal(job_recipe, output, inputs)


if __name__ == "__main__":
    main(evaluate)
