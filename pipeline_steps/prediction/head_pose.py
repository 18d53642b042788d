"""Head poses in whole pictures: faces are found, cut as the model's training crops were, and turned into angles."""

import json
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
from PIL import Image

from pipeline_steps.errors import UserError, brief
from pipeline_steps.pictures import cut_square
from pipeline_steps.pose.geometry import matrix_to_euler
from pipeline_steps.prediction.detector import Detections, FaceDetector
from pipeline_steps.prediction.onnx_model import OnnxModel


class Pose(NamedTuple):
    """One head: box (4,) x0, y0, x1, y1 of the crop in pixels of the picture; yaw, pitch, roll in degrees.

    matrix: (3, 3) in the project's convention (pipeline_steps/pose/geometry.py). confidence: the detector's, 0..1.
    """

    box: np.ndarray
    yaw: float
    pitch: float
    roll: float
    matrix: np.ndarray
    confidence: float

    def record(self) -> dict[str, Any]:
        """The pose as JSON holds it: box, yaw, pitch, roll, matrix, confidence; rounded to what can be trusted."""
        return {
            "box": [round(float(value), 1) for value in self.box],
            **{name: round(float(getattr(self, name)), 3) for name in ("yaw", "pitch", "roll")},
            "matrix": self.matrix.round(6).tolist(),
            "confidence": round(self.confidence, 3),
        }


class FacePlace(NamedTuple):
    """Where the detector finds the face in a model's training crops: medians, in shares of the crop's side.

    x, y: from the crop's centre to the face box's. side: of the face box's longer side.
    """

    x: float
    y: float
    side: float

    def squares(self, faces: np.ndarray) -> np.ndarray:
        """The crops (N, 4) in which face boxes (N, 4) x0, y0, x1, y1 lie where faces lie in training crops."""
        centre, longer = (faces[:, :2] + faces[:, 2:]) / 2, (faces[:, 2:] - faces[:, :2]).max(1, keepdims=True)
        side = longer / self.side
        centre = centre - side * [self.x, self.y]
        return np.concatenate([centre - side / 2, centre + side / 2], 1)


def face_place(crops: np.ndarray, size: int, detector: FaceDetector) -> FacePlace | None:
    """Median place of the surest face; None where fewer than half of the crops show one.

    crops: uint8 (N, T, T, 3) with their context; size: pixels of the crops proper, their centres.
    """
    stored, places = crops.shape[1], []
    for crop in crops:
        found = detector(crop)
        if len(found.boxes):
            x0, y0, x1, y1 = found.boxes[0]
            centre = (np.array([x0 + x1, y0 + y1]) - stored) / 2 / size
            places.append([*centre, max(x1 - x0, y1 - y0) / size])
    if 2 * len(places) < len(crops) or not places:
        return None
    return FacePlace(*(round(float(value), 4) for value in np.median(places, 0)))


class HeadPose:
    """A model from `export_model`, ready for pictures."""

    def __init__(self, model: OnnxModel, path: Path, threads: int = 0) -> None:
        self.model, self.path, self.threads = model, path, threads
        place = json.loads(model.about.get("face_place", "null"))
        self.place = None if place is None else FacePlace(*place)
        self._detector: FaceDetector | None = None

    @classmethod
    def load(cls, path: Path | str, threads: int = 0) -> Self:
        """Load model.onnx or model_int8.onnx; threads: of the CPU, 0 for as many as there are cores.

        Raises UserError where the file is missing, damaged, or not made by `export_model`.
        """
        try:
            return cls(OnnxModel(Path(path), threads), Path(path), threads)
        except Exception as error:  # ONNX Runtime's exceptions have no common class
            raise UserError(
                f"{path}: not a model made by export_model ({brief(error)}); give a model.onnx of that step"
            ) from error

    @property
    def detector(self) -> FaceDetector:
        """The face detector, loaded when it is first needed."""
        if self._detector is None:
            self._detector = FaceDetector(threads=self.threads)
        return self._detector

    def __call__(self, image: "np.ndarray | Image.Image", whole_image: bool = False) -> list[Pose]:
        """The heads in a picture uint8 (H, W, 3), RGB, or one of Pillow's, the surest first.

        whole_image: take the picture for a crop of one head, as training crops were cut. Raises UserError where faces
        cannot be related to this model's crops.
        """
        picture = image if isinstance(image, Image.Image) else Image.fromarray(image)
        picture = picture.convert("RGB")
        if whole_image:
            side, centre = max(picture.size), np.array(picture.size) / 2
            squares, confidence = np.concatenate([centre - side / 2, centre + side / 2])[None], np.ones(1)
        elif self.place is None:
            raise UserError(
                f"{self.path}: no faces were found in its training crops, so that a face does not tell where to cut; "
                "cut the heads yourself and give them with --whole-image"
            )
        else:
            found: Detections = self.detector(np.asarray(picture))
            squares, confidence = self.place.squares(found.boxes), found.confidence
        if not len(squares):
            return []
        border = str(self.model.crop["border"])
        crops = np.stack([cut_square(picture, square, self.model.size, border) for square in squares])
        rotations = self.model(crops)
        angles = np.asarray(matrix_to_euler(rotations)).tolist()
        return [
            Pose(square, yaw, pitch, roll, rotation, float(sure))
            for square, (yaw, pitch, roll), rotation, sure in zip(squares, angles, rotations, confidence, strict=True)
        ]
