"""Export one trained model for use elsewhere: ONNX in 32 and 8 bits, torch.export, safetensors, and a model card.

python -m pipeline_steps.export_model --recipe RECIPE --training DIR --crops CROPS.h5 --split SPLIT.json --card CARD_DIR
    [--evaluation DIR ...] --output DIR
"""

import json
import shutil
from pathlib import Path
from typing import Annotated, Any

import jinja2
import numpy as np
import torch
from typer import Option

from pipeline_steps.evaluation.reading import files_read, read_training
from pipeline_steps.images.crop_file import CropFile
from pipeline_steps.job.command_line import main
from pipeline_steps.job.errors import UserError
from pipeline_steps.job.files import whole_file, write_json, write_text
from pipeline_steps.job.processor import use_processor
from pipeline_steps.job.progress import logger
from pipeline_steps.job.recipe import Inputs, read_recipe, seal
from pipeline_steps.network.inference import load_model, predict_rotations
from pipeline_steps.params.steps import EvaluateParams, ExportParams
from pipeline_steps.pose.geometry import geodesic_distance_deg
from pipeline_steps.prediction.detector import FaceDetector
from pipeline_steps.prediction.head_pose import FacePlace, HeadPose
from pipeline_steps.prediction.onnx_model import OPSET, OnnxModel, exported, write_int8, write_onnx
from pipeline_steps.splits.split_file import read_split
from pipeline_steps.tracking.runs import track_run

ALLOWED_DEG = 0.01
"""Largest geodesic distance between ONNX and torch on real crops."""
CALIBRATION, CHECKED = 256, 512
"""Most crops that 8-bit ranges are taken from, and that the exports are held against each other on."""
SOUGHT = 256
"""Most crops that faces are looked for in to measure what that costs."""
SEARCHED = 256
"""Pixels of a crop's side while a face is looked for in it."""


def _some(file: CropFile, source_ids: list[str], number: int) -> np.ndarray:
    """At most `number` rows of the given images, spread over all of them."""
    wanted = set(source_ids)
    rows: np.ndarray = np.array([row for row, name in enumerate(file.source_ids) if name in wanted], int)
    spread: np.ndarray = rows[np.unique(np.linspace(0, len(rows) - 1, min(number, len(rows)), dtype=int))]
    return spread


def compared(file: CropFile, rows: np.ndarray, torch_rotation: np.ndarray, output: Path) -> dict[str, float]:
    """How far both ONNX files are from torch and, where labels are known, what 8 bits cost; all in degrees."""
    images, found = file.read(rows), {"checked_images": float(len(rows))}
    rotation = {name: OnnxModel(output / f"{name}.onnx")(images) for name in ("model", "model_int8")}
    for name, predicted in rotation.items():
        distance = geodesic_distance_deg(torch_rotation, predicted)
        found |= {f"{name}_from_torch_worst": float(distance.max()), f"{name}_from_torch_mean": float(distance.mean())}
    labels = file.rotation[rows].astype(float)
    if (known := np.isfinite(labels).all((1, 2))).any():
        for name, predicted in rotation.items():
            error = geodesic_distance_deg(labels[known], predicted[known])
            found[f"{name}_geodesic_error"] = float(error.mean())
    return found


def face_place(crops: np.ndarray, rotations: np.ndarray, size: int, threads: int) -> list[list[float]] | None:
    """Coefficients of where a face lies in crops uint8 (N, T, T, 3) with their context; None where few show one.

    size: pixels of the crops proper, their centres. rotations: (N, 3, 3), as the model predicts them.
    Few: fewer than half.
    """
    detector = FaceDetector((SEARCHED,), threads=threads)
    found = [detector(crop).boxes[:1] - crops.shape[1] / 2 for crop in crops]
    seen = np.array([len(boxes) > 0 for boxes in found], bool)
    if not seen.any() or 2 * seen.sum() < len(crops):
        return None
    fitted = FacePlace.fitted(np.concatenate(found), rotations[seen], size)
    return [[float(value) for value in row] for row in fitted.coefficients]


def with_detector(file: CropFile, rows: np.ndarray, model: HeadPose) -> dict[str, float]:
    """What it costs in degrees to cut by found faces: median geodesic errors on those crops that show one.

    A face is looked for in crops with their context. Empty where labels are not known, or the model asks for crops.
    """
    rows = rows[np.isfinite(file.rotation[rows]).all((1, 2))]
    if model.place is None or not len(rows):
        return {}
    poses = [model(crop)[:1] for crop in file.read_with_context(rows)]
    seen = np.array([len(found) > 0 for found in poses], bool)
    if not seen.any():
        return {}
    labels = file.rotation[rows[seen]].astype(float)
    cut = {
        "found": np.stack([pose.matrix for found in poses for pose in found]),
        "own": model.rotations(file.read(rows[seen])),
    }
    errors = {
        f"{name}_box_median_geodesic_error": float(np.median(geodesic_distance_deg(labels, rotation)))
        for name, rotation in cut.items()
    }
    return errors | {"faces_found": float(seen.mean())}


def _write_exports(
    program: torch.export.ExportedProgram, output: Path, metadata: dict[str, str], calibration: np.ndarray
) -> None:
    write_onnx(program, output / "model.onnx", metadata)
    write_int8(output / "model.onnx", output / "model_int8.onnx", calibration, metadata)
    with whole_file(output / "model.pt2") as temporary:
        torch.export.save(program, temporary.with_suffix(".pt2"))
        temporary.with_suffix(".pt2").replace(temporary)


def export_model(
    recipe: Annotated[Path, Option(help="parameters of this job")],
    training: Annotated[Path, Option(help="folder of the fine-tuning")],
    crops: Annotated[Path, Option(help="crops.h5 of the training data set")],
    split: Annotated[Path, Option(help="split.json of the training data set")],
    card: Annotated[Path, Option(help="folder of the training data set's card")],
    output: Annotated[Path, Option(help="folder for the exported files")],
    evaluation: Annotated[list[Path] | None, Option(help="folder of one evaluation of the model; repeat")] = None,
    threads: Annotated[int, Option(min=1, help="CPU threads")] = 1,
) -> None:
    """Write the exports, check them on crops of the validation people, and describe the model."""
    use_processor(threads)
    model = training / "model.safetensors"
    made, inputs = read_recipe(recipe), Inputs(model, *files_read([], [training]), crops, split)
    detail = made.params_as(ExportParams).detail
    with track_run(made, output):
        network, about = load_model(model)
        data, parts = json.loads((card / "card.json").read_text()), read_split(split)
        licence = (data["record"] or {}).get("licence", "not stated")
        metadata = about | {"trained_on": data["dataset"], "licence_of_the_data": licence, "recipe": made.key}
        metadata |= {"frame": "x to the image's right, y up, z towards the viewer; camera from head"}
        metadata["detail"] = json.dumps(detail)
        with CropFile(crops) as file:
            calibration = file.read(_some(file, parts.train, CALIBRATION))
            looked_at = file.read_with_context(_some(file, parts.train, CALIBRATION))
            rotations = predict_rotations(network, calibration)
            metadata["face_place"] = json.dumps(face_place(looked_at, rotations, file.size, threads))
        output.mkdir(parents=True, exist_ok=True)
        _write_exports(exported(network, file.size), output, metadata, calibration)
        with whole_file(output / "model.safetensors") as temporary:
            shutil.copyfile(model, temporary)
        with CropFile(crops) as file:
            rows = _some(file, parts.validation, CHECKED)
            measured = compared(file, rows, predict_rotations(network, file.read(rows)), output)
            rows = _some(file, parts.validation, SOUGHT)
            measured |= with_detector(file, rows, HeadPose.load(output / "model.onnx", threads))
        measured["validation_geodesic_error"] = read_training(training).validation_error
        if not measured["model_from_torch_worst"] < ALLOWED_DEG:
            (output / "model.onnx").unlink()
            raise UserError(
                f"{model}: its ONNX export differs from torch by {measured['model_from_torch_worst']:.3f} degrees on "
                f"{crops}, more than {ALLOWED_DEG}; try another version of torch or onnxruntime"
            )
        described = {"opset": OPSET, "image_size": file.size, "detail": detail}
        write_json(output / "export.json", made.job | measured | described)
        errors = [evaluated(folder) for folder in evaluation or []]
        write_text(output / "README.md", model_card(made.job, about, data, detail, measured, errors))
        job = (made.job["arm"], made.job["seed"], measured["model_from_torch_worst"])
        logger.info("export_model %s/seed%s: ONNX within %.4f degrees of torch", *job)
        seal(made, output / "recipe.json", inputs)


def evaluated(folder: Path) -> dict[str, Any]:
    """One evaluation's errors, and how they were had: metrics.json and the recipe's `part` and `flip_test`."""
    asked = read_recipe(folder / "recipe.json").params_as(EvaluateParams).evaluate
    how = {"part": asked.part, "flip_test": asked.flip_test}
    return dict(json.loads((folder / "metrics.json").read_text())) | how


def model_card(
    job: dict[str, str | int],
    about: dict[str, str],
    data: dict[str, Any],
    detail: int | None,
    measured: dict[str, float],
    errors: list[dict[str, Any]],
) -> str:
    """The model's README: what it saw, how it errs, where not to use it.

    detail: see `ExportParams`. errors: of its evaluations, by `evaluated`.
    """
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    template = (Path(__file__).parent / "prediction" / "model_card.md.j2").read_text(encoding="utf-8")
    crop = json.loads(about["crop"])
    return environment.from_string(template).render(
        job=job,
        about=about,
        crop=crop,
        data=data,
        detail=detail,
        measured=measured,
        errors=errors,
        record=data["record"] or {},
        opset=OPSET,
    )


if __name__ == "__main__":
    main(export_model)
