"""Head poses in images: faces are detected, cropped as the model's training images were, and their poses predicted."""

import json
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
from PIL import Image, ImageOps

from pipeline_steps.images.image_files import LARGEST_SQUARE, cut_square
from pipeline_steps.images.window import as_seen, side_needed
from pipeline_steps.job.errors import UserError, brief
from pipeline_steps.pose.averaging import flip_tested
from pipeline_steps.pose.geometry import matrix_to_euler
from pipeline_steps.prediction.detector import FaceDetector
from pipeline_steps.prediction.onnx_model import OnnxModel


class Pose(NamedTuple):
    """One head: box (4,) x0, y0, x1, y1 of the crop in pixels of the image; yaw, pitch, roll in degrees.

    matrix: (3, 3) in the project's convention (pipeline_steps/pose/geometry.py). confidence: the detector's, 0..1.
    """

    box: np.ndarray
    yaw: float
    pitch: float
    roll: float
    matrix: np.ndarray
    confidence: float

    def record(self) -> dict[str, Any]:
        """The pose for JSON: box, yaw, pitch, roll, matrix, confidence; rounded to the digits that can be trusted."""
        return {
            "box": [round(float(value), 1) for value in self.box],
            **{name: round(float(getattr(self, name)), 3) for name in ("yaw", "pitch", "roll")},
            "matrix": self.matrix.round(6).tolist(),
            "confidence": round(self.confidence, 3),
        }


PASSES = 3
"""How often a head is cropped: first as if it faced the camera, then as heads of the predicted pose are cropped."""
OPTIONS = ("whole_image", "flip_test")
"""Keyword arguments of `HeadPose`, false by default, that a served model also accepts."""


class FacePlace:
    """Where the detector finds the face in a model's training crops, depending on the pose that the model predicts.

    Data sets crop heads by landmarks, calibrated cameras or boxes of their own. The face that a detector finds is not
    in the centre of such a crop, and moves as the head turns.

    coefficients: (10, 3), of 1 and the nine entries of the rotation, for x and y from the crop's centre to the face
    box's, and the logarithm of the face box's longer side; as fractions of the crop's side.
    """

    def __init__(self, coefficients: "np.ndarray | list[list[float]]") -> None:
        self.coefficients: np.ndarray = np.array(coefficients, float).reshape(10, 3)

    @classmethod
    def fitted(cls, faces: np.ndarray, rotations: np.ndarray, size: int) -> Self:
        """The fit with the least Huber loss; faces: boxes (N, 4) x0, y0, x1, y1 in pixels from the crop's centre.

        rotations: (N, 3, 3), as the model predicts them, since no label is known at prediction. size: of the crop.
        """
        from sklearn.linear_model import HuberRegressor

        sides = (faces[:, 2:] - faces[:, :2]).max(1)
        places = np.column_stack([(faces[:, :2] + faces[:, 2:]) / 2 / size, np.log(sides / size)])
        entries = rotations.reshape(-1, 9)
        fits = [HuberRegressor(alpha=1.0, max_iter=1000).fit(entries, place) for place in places.T]
        return cls(np.column_stack([[fit.intercept_, *fit.coef_] for fit in fits]).round(4))

    def squares(self, faces: np.ndarray, rotations: np.ndarray) -> np.ndarray:
        """The crops (N, 4) in which face boxes (N, 4) x0, y0, x1, y1 lie as in training crops of such rotations."""
        places = np.column_stack([np.ones(len(faces)), rotations.reshape(-1, 9)]) @ self.coefficients
        sides = (faces[:, 2:] - faces[:, :2]).max(1, keepdims=True) / np.exp(places[:, 2:])
        centres = (faces[:, :2] + faces[:, 2:]) / 2 - sides * places[:, :2]
        return np.concatenate([centres - sides / 2, centres + sides / 2], 1)


class HeadPose:
    """A model from `export_model`, to be called with images."""

    def __init__(self, model: OnnxModel, path: Path, threads: int = 0) -> None:
        self.model, self.path, self.threads = model, path, threads
        place = json.loads(model.about.get("face_place", "null"))
        self.place = None if place is None else FacePlace(place)
        self.detail: int | None = json.loads(model.about.get("detail", "null"))
        self.window = float(model.about.get("window", 1))
        self._detector: FaceDetector | None = None

    @classmethod
    def load(cls, path: Path | str, threads: int = 0) -> Self:
        """Load model.onnx or model_int8.onnx; threads: of the CPU, 0 for as many as there are cores.

        Raises UserError where the file is missing, corrupt, or not from `export_model`.
        """
        if not Path(path).is_file():
            raise UserError(f"{path}: no such file; `make export` makes a model.onnx and prints its folder")
        try:
            return cls(OnnxModel(Path(path), threads), Path(path), threads)
        except Exception as error:  # ONNX Runtime's exceptions have no common class
            raise UserError(
                f"{path}: not a model of export_model ({brief(error)}); give a model.onnx of that step"
            ) from error

    @property
    def detector(self) -> FaceDetector:
        """The face detector, loaded when it is first needed."""
        if self._detector is None:
            self._detector = FaceDetector(threads=self.threads)
        return self._detector

    def __call__(
        self, image: "np.ndarray | Image.Image", whole_image: bool = False, flip_test: bool = False
    ) -> list[Pose]:
        """The heads in an image uint8 (H, W, 3), RGB, or one of Pillow's, turned as it is displayed; by confidence.

        whole_image: the image is a crop of one head, as training crops are. flip_test: predict each head's mirror image
        too and take the mean, for twice the time. Raises UserError where faces cannot be related to this model's crops,
        ValueError where the image has more than 8 bits or a head's crop would be too large.
        """
        if isinstance(image, Image.Image):
            if image.mode.startswith(("I", "F")):  # convert would clip its levels at 255
                raise ValueError(f"mode {image.mode}: open the file by pipeline_steps.prediction.pictures.open_picture")
            rgb = ImageOps.exif_transpose(image).convert("RGB")
        else:
            rgb = Image.fromarray(image).convert("RGB")
        if whole_image:
            side, centre = max(rgb.size), np.array(rgb.size) / 2
            squares, confidence = np.concatenate([centre - side / 2, centre + side / 2])[None], np.ones(1)
            rotations = self._predicted(rgb, squares, flip_test)
        elif self.place is None:
            raise UserError(
                f"{self.path}: faces were found in few of its training crops, so that heads cannot be cropped by their "
                "faces; crop them yourself and give --whole-image"
            )
        else:
            faces, confidence = self.detector(np.asarray(rgb))
            if not len(faces):
                return []
            rotations = np.tile(np.eye(3), (len(faces), 1, 1))
            for _ in range(PASSES):
                squares = self.place.squares(faces, rotations)
                rotations = self._predicted(rgb, squares, flip_test)
        angles = np.asarray(matrix_to_euler(rotations)).tolist()
        return [
            Pose(square, yaw, pitch, roll, rotation, float(sure))
            for square, (yaw, pitch, roll), rotation, sure in zip(squares, angles, rotations, confidence, strict=True)
        ]

    def rotations(self, crops: np.ndarray, flip_test: bool = False) -> np.ndarray:
        """Rotations (N, 3, 3) of the heads in crops uint8 (N, T, T, 3) with the context that `as_seen` needs."""
        seen = as_seen(crops, self.model.size, self.window, self.detail)
        return flip_tested(self.model, seen) if flip_test else self.model(seen)

    def _predicted(self, rgb: Image.Image, squares: np.ndarray, flip_test: bool) -> np.ndarray:
        """Rotations (N, 3, 3) of the heads in squares (N, 4) of an image, which are crops without context."""
        border, pixels = str(self.model.crop["border"]), side_needed(self.model.size, self.window)
        context = (pixels / self.model.size - 1) / 2 * (squares[:, 2:] - squares[:, :2])
        cut = squares + np.concatenate([-context, context], 1)
        if (side := (cut[:, 2] - cut[:, 0]).max()) > LARGEST_SQUARE:
            raise ValueError(f"a crop of {side:,.0f} pixels is too large")
        crops = np.stack([cut_square(rgb, square, pixels, border) for square in cut])
        return self.rotations(crops, flip_test)
