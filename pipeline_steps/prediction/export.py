"""The files of an exported model, how far they are from the trained network, and how well it did in its tests."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from pipeline_steps.evaluation.constants import constant_metrics
from pipeline_steps.evaluation.reading import kind_of_images, read_evaluation
from pipeline_steps.images.crop_file import CropFile
from pipeline_steps.job.errors import UserError
from pipeline_steps.job.files import atomic_write
from pipeline_steps.pose.geometry import geodesic_distance_deg
from pipeline_steps.prediction.detector import FaceDetector
from pipeline_steps.prediction.head_pose import FacePlace, HeadPose
from pipeline_steps.prediction.onnx_model import OnnxModel, exported, write_int8, write_onnx
from pipeline_steps.prediction.tested import ErrorsOn

CALIBRATION, CHECKED, SEARCHED = 256, 512, 256
"""Most crops that 8-bit ranges and face places are estimated from, exports checked on, and faces searched in."""
SEARCHED_SIDE = 256
"""Pixels of a crop's side while a face is searched for in it."""
ERRORS = ("mae", "yaw", "pitch", "roll", "geodesic")
"""Those of its tests that a model carries with it."""


def sample(file: CropFile, source_ids: list[str], number: int) -> np.ndarray:
    """At most `number` rows of the given images, evenly spaced."""
    wanted = set(source_ids)
    rows: np.ndarray = np.array([row for row, name in enumerate(file.source_ids) if name in wanted], int)
    chosen: np.ndarray = rows[np.unique(np.linspace(0, len(rows) - 1, min(number, len(rows)), dtype=int))]
    return chosen


def write_exports(
    network: nn.Module, size: int, output: Path, metadata: dict[str, str], calibration: np.ndarray
) -> None:
    """Write model.onnx, model_int8.onnx and model.pt2.

    size: side of crops in pixels. calibration: crops uint8 (N, S, S, 3) that 8-bit ranges are estimated from.
    """
    program = exported(network, size)
    write_onnx(program, output / "model.onnx", metadata)
    write_int8(output / "model.onnx", output / "model_int8.onnx", calibration, metadata)
    with atomic_write(output / "model.pt2") as temporary:
        torch.export.save(program, temporary.with_suffix(".pt2"))
        temporary.with_suffix(".pt2").replace(temporary)


def compared_with_torch(
    images: np.ndarray, labels: np.ndarray, torch_rotation: np.ndarray, output: Path
) -> dict[str, float]:
    """Geodesic distances of both ONNX files from torch and, where labels are known, their errors; all in degrees.

    images: uint8 (N, S, S, 3), as a network sees them. labels: rotations (N, 3, 3), NaN where unknown. torch_rotation:
    the network's predictions (N, 3, 3).
    """
    found = {"checked_images": float(len(images))}
    rotation = {name: OnnxModel(output / f"{name}.onnx")(images) for name in ("model", "model_int8")}
    for name, predicted in rotation.items():
        distance = geodesic_distance_deg(torch_rotation, predicted)
        found |= {f"{name}_from_torch_worst": float(distance.max()), f"{name}_from_torch_mean": float(distance.mean())}
    labels = labels.astype(float)
    if (known := np.isfinite(labels).all((1, 2))).any():
        for name, predicted in rotation.items():
            error = geodesic_distance_deg(labels[known], predicted[known])
            found[f"{name}_geodesic_error"] = float(error.mean())
    return found


def face_place(crops: np.ndarray, rotations: np.ndarray, size: int, threads: int) -> list[list[float]] | None:
    """Coefficients of `FacePlace` for crops uint8 (N, T, T, 3) with their context; None if fewer than half show a face.

    size: side in pixels of the crops without context, in their centres. rotations: (N, 3, 3), as the model predicts
    them.
    """
    detector = FaceDetector((SEARCHED_SIDE,), threads=threads)
    found = [detector(crop).boxes[:1] - crops.shape[1] / 2 for crop in crops]
    seen = np.array([len(boxes) > 0 for boxes in found], bool)
    if not seen.any() or 2 * seen.sum() < len(crops):
        return None
    fitted = FacePlace.fitted(np.concatenate(found), rotations[seen], size)
    return [[float(value) for value in row] for row in fitted.coefficients]


def compared_with_detector(file: CropFile, rows: np.ndarray, model: HeadPose) -> dict[str, float]:
    """Median geodesic errors in degrees of crops cut by detected faces and of the data's own, where a face is found.

    Faces are detected in crops with their context. Empty where labels are unknown, or the model needs crops.
    """
    rows = rows[np.isfinite(file.rotation[rows]).all((1, 2))]
    if model.place is None or not len(rows):
        return {}
    poses = [model(crop)[:1] for crop in file.read_with_context(rows)]
    seen = np.array([len(found) > 0 for found in poses], bool)
    if not seen.any():
        return {}
    labels = file.rotation[rows[seen]].astype(float)
    predicted = {
        "found": np.stack([pose.matrix for found in poses for pose in found]),
        "own": model.rotations(file.read_with_context(rows[seen])),
    }
    errors = {
        f"{name}_box_median_geodesic_error": float(np.median(geodesic_distance_deg(labels, rotation)))
        for name, rotation in predicted.items()
    }
    return errors | {"faces_found": float(seen.mean()), "searched_images": float(len(rows))}


def read_test(evaluation: Path, cards: Mapping[str, Mapping[str, Any]], poses: dict[str, np.ndarray]) -> ErrorsOn:
    """A test of the model beside constant poses; evaluation: its folder; poses: from `constant_poses`.

    cards: card.json by data set. Raises UserError where that of the tested one is not among them.
    """
    tested = read_evaluation(evaluation)
    dataset = str(tested.metrics["dataset"])
    if dataset not in cards:
        raise UserError(f"{evaluation}: the card of {dataset} is missing; add --card")

    def errors(metrics: Mapping[str, Any]) -> dict[str, float]:
        return {name: float(metrics[name]) for name in ERRORS if name in metrics}

    return ErrorsOn(
        dataset=dataset,
        kind=kind_of_images(cards[dataset]),
        part=tested.params.part,
        images=int(tested.metrics["n"]),
        flip_test=tested.params.flip_test,
        errors=errors(tested.metrics),
        constants={name: errors(metrics) for name, metrics in constant_metrics([tested], [poses]).items()},
    )
