"""Export one trained model for use elsewhere: ONNX in 32 and 8 bits, torch.export, safetensors, and a model card.

python -m pipeline_steps.export_model --recipe RECIPE --training DIR --crops CROPS.h5 --split SPLIT.json
    --card CARD_DIR ... [--evaluation DIR ...] --output DIR
"""

import json
import shutil
from functools import partial
from pathlib import Path
from typing import Annotated

from typer import Option

from pipeline_steps.evaluation.constants import constant_poses
from pipeline_steps.evaluation.reading import files_read, read_training
from pipeline_steps.images.crop_file import CropFile
from pipeline_steps.images.window import read_as_seen
from pipeline_steps.job.command_line import main
from pipeline_steps.job.errors import UserError
from pipeline_steps.job.files import atomic_write, write_json, write_text
from pipeline_steps.job.processor import use_processor
from pipeline_steps.job.progress import logger
from pipeline_steps.job.recipe import read_recipe
from pipeline_steps.job.seal import Inputs, seal, unseal
from pipeline_steps.network.inference import load_model, predict_rotations
from pipeline_steps.params.steps import ExportParams
from pipeline_steps.prediction.export import (
    CALIBRATION,
    CHECKED,
    SEARCHED,
    compared_with_detector,
    compared_with_torch,
    face_place,
    read_test,
    sample,
    write_exports,
)
from pipeline_steps.prediction.head_pose import HeadPose
from pipeline_steps.prediction.model_card import model_card
from pipeline_steps.prediction.onnx_model import OPSET, add_metadata
from pipeline_steps.prediction.tested import FOUND, KEY, FoundFaces, as_metadata, notice
from pipeline_steps.splits.split_file import read_split
from pipeline_steps.tracking.runs import track_run

ALLOWED_DEG = 0.01
"""Largest geodesic distance between ONNX and torch on real crops."""
FRAME = "x to the image's right, y up, z towards the viewer; camera from head"


def export_model(
    recipe: Annotated[Path, Option(help="parameters of this job")],
    training: Annotated[Path, Option(help="folder of the fine-tuning")],
    crops: Annotated[Path, Option(help="crops.h5 of the training data set")],
    split: Annotated[Path, Option(help="split.json of the training data set")],
    card: Annotated[list[Path], Option(help="folder of the card of the training and of each test data set; repeat")],
    output: Annotated[Path, Option(help="folder for the exported files")],
    evaluation: Annotated[list[Path] | None, Option(help="folder of one evaluation of the model; repeat")] = None,
    threads: Annotated[int, Option(min=1, help="CPU threads")] = 1,
) -> None:
    """Write the exports, check them on crops of the validation subjects, and describe the model."""
    use_processor(threads)
    model = training / "model.safetensors"
    described = [folder / "card.json" for folder in card]
    job_recipe, inputs = (
        read_recipe(recipe),
        Inputs(recipe, model, *files_read(evaluation or [], [training]), *described, crops, split),
    )
    unseal(output)
    params = job_recipe.params_as(ExportParams)
    with track_run(job_recipe, output):
        network, about = load_model(model)
        cards = {of["dataset"]: of for of in (json.loads(path.read_text()) for path in described)}
        parts = read_split(split, params.seed)
        output.mkdir(parents=True, exist_ok=True)
        with CropFile(crops) as file:
            data, poses = cards[file.dataset], constant_poses(file, parts)
            tests = [read_test(folder, cards, poses) for folder in evaluation or []]
            rows = sample(file, parts.train, CALIBRATION)
            seen = partial(read_as_seen, file, window=params.window, detail=params.detail)
            calibration = seen(rows)
            rotations = predict_rotations(network, calibration)
            place = face_place(file.read_with_context(rows), rotations, file.size, threads)
            metadata = about | {
                "trained_on": data["dataset"],
                "licence_of_the_data": (data["record"] or {}).get("licence", "not stated"),
                "recipe": job_recipe.fingerprint,
                "frame": FRAME,
                "detail": json.dumps(params.detail),
                "window": json.dumps(params.window),
                "face_place": json.dumps(place),
                KEY: as_metadata(tests),
            }
            write_exports(network, file.size, output, metadata, calibration)
            rows = sample(file, parts.validation, CHECKED)
            images, labels = seen(rows), file.rotation[rows]
            measured = compared_with_torch(images, labels, predict_rotations(network, images), output)
            rows = sample(file, parts.validation, SEARCHED)
            if found := compared_with_detector(file, rows, HeadPose.load(output / "model.onnx", threads)):
                measured |= found
                metadata[FOUND] = FoundFaces.model_validate(found).model_dump_json()
                for name in ("model.onnx", "model_int8.onnx"):
                    add_metadata(output / name, {FOUND: metadata[FOUND]})
        measured["validation_geodesic_error"] = read_training(training).validation_error
        if not measured["model_from_torch_worst"] < ALLOWED_DEG:
            (output / "model.onnx").unlink()
            raise UserError(
                f"{model}: its ONNX export differs from torch by {measured['model_from_torch_worst']:.3f} degrees on "
                f"{crops}, more than {ALLOWED_DEG}; try another version of torch or onnxruntime"
            )
        with atomic_write(output / "model.safetensors") as temporary:
            shutil.copyfile(model, temporary)
        shown = {"image_size": file.size, "detail": params.detail, "window": params.window}
        facts = {"opset": OPSET, KEY: [test.model_dump() for test in tests]} | shown
        write_json(output / "export.json", job_recipe.job | measured | facts)
        card_of_model = model_card(job_recipe.job, about, data, params, measured, evaluation or [], tests)
        write_text(output / "README.md", card_of_model)
        names = (job_recipe.job["arm"], job_recipe.job["seed"], measured["model_from_torch_worst"])
        logger.info("export_model %s/seed%s: ONNX within %.4f degrees of torch", *names)
        logger.info("export_model %s/seed%s: %s", *names[:2], notice(metadata))
    seal(job_recipe, output, inputs)


if __name__ == "__main__":
    main(export_model)
