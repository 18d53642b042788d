"""The window reaches the network wherever it is shown an image: in tests, in validation and in an exported model.

The network reads where a dot is: a yaw of 96 degrees from one side of the image that it sees to the other. A dot k
pixels from the middle of a crop of 32 then has a yaw of 3k degrees, 6k in a window of half the side, and 2k in one of
one and a half.
"""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from torch import Tensor

from pipeline_steps import evaluate, export_model, finetune
from pipeline_steps.images.crop_file import Crop, write_crops
from pipeline_steps.job.recipe import Recipe
from pipeline_steps.network.hybrid import HybridNetwork
from pipeline_steps.pose.geometry import euler_to_matrix
from pipeline_steps.prediction.detector import Detections
from pipeline_steps.prediction.head_pose import FacePlace, HeadPose
from pipeline_steps.splits.split_file import Parts, Split, write_split

SIZE, STORED = 32, 48
PLACES = {0.5: (-4, 2, 3), 1.0: (-12, 3, 8), 1.5: (-18, 3, 12)}
"""Pixels from the middle of the crop to the right, by window; some in the widest are outside the crop."""


class DotReader(HybridNetwork):
    """Trained as any network; its answer is the place of the brightness in the image."""

    def __init__(self) -> None:
        super().__init__("resnet18", "rotation_6d", {})

    def forward(self, images: Tensor) -> Tensor:
        across = (torch.arange(SIZE) + 0.5) / SIZE - 0.5
        columns = images.mean((1, 2))
        yaw = 96 * (columns * across).sum(1) / columns.sum(1)
        return euler_to_matrix(torch.stack([yaw, torch.zeros_like(yaw), torch.zeros_like(yaw)], 1))


def dot(side: int, place: float, width: int = 6) -> np.ndarray:
    """An image uint8 (side, side, 3), black but for a white square, `place` pixels to the right of the middle."""
    image = np.zeros((side, side, 3), np.uint8)
    left, top = round(side / 2 + place - width / 2), (side - width) // 2
    image[top : top + width, left : left + width] = 255
    return image


class Files:
    """Crops of dots with their split; every label is the yaw that is read in this window."""

    def __init__(self, folder: Path, window: float) -> None:
        self.folder = folder
        self.crops, self.split, self.output = folder / "crops.h5", folder / "split.json", folder / "output"
        poses = {f"dot{n}": (place, 96 * place / (SIZE * window)) for n, place in enumerate(PLACES[window])}
        crops = [
            Crop(name, dot(STORED, place), f"person of {name}", euler_to_matrix(label), label)
            for name, (place, yaw) in poses.items()
            for label in [np.array([yaw, 0.0, 0.0])]
        ]
        rule = {"size": SIZE, "context": 0.25, "box": "given_box", "border": "constant", "margin": 0.0}
        write_crops(self.crops, crops, len(crops), "dots", "{}", rule)
        parts, people = (
            {"train": of, "validation": of, "test": of} for of in (list(poses), [c.subject for c in crops])
        )
        write_split(self.split, Split(**parts, subjects=Parts(**people), left_out=0))

    def recipe(self, step: str, params: dict) -> Path:
        path = self.folder / f"{step}.json"
        job = {"study": "dots", "arm": "reader", "seed": 0, "dataset": "dots"}
        path.write_text(Recipe(step=step, job=job, params=params).text())
        return path


@pytest.fixture(autouse=True)
def _a_network_that_reads_dots(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADPOSE_TRACKING", "off")
    about = {"image_size": str(SIZE), "backbone": "resnet18", "pose_head": "rotation_6d"}
    crop = {"crop": json.dumps({"box": "given_box", "border": "constant", "margin": 0.0})}
    for step in (evaluate, export_model):
        monkeypatch.setattr(step, "load_model", lambda _: (DotReader().eval(), about | crop))
    monkeypatch.setattr(finetune, "build_network", lambda *_: DotReader())


def predicted(files: Files, window: float) -> pd.DataFrame:
    params = {"seed": 0, "evaluate": {"bootstrap": 100}, "window": window}
    evaluate.evaluate(files.recipe("evaluate", params), files.folder / "none", files.crops, files.split, files.output)
    return pd.read_parquet(files.output / "predictions.parquet")


@pytest.mark.parametrize(("window", "degrees"), [(0.5, 6), (1.0, 3), (1.5, 2)])
def test_a_test_shows_the_window_of_its_recipe(tmp_path: Path, window: float, degrees: float):
    table = predicted(Files(tmp_path, window), window)
    np.testing.assert_allclose(table["pred_yaw"], degrees * np.array(PLACES[window]), atol=0.5)
    assert json.loads((tmp_path / "output/metrics.json").read_text())["mae"] < 0.2


@pytest.mark.parametrize(("scale", "error"), [([0.4, 0.6], 0.0), ([1.0, 1.0], 3.0)])
def test_a_training_validates_by_the_middle_of_its_windows(tmp_path: Path, scale: list[float], error: float):
    """Labels are those of half the side; in whole crops yaws are half of them, and off by 12, 6 and 9 degrees."""
    files = Files(tmp_path, 0.5)
    training = {"epochs": 1, "batch_size": 4, "learning_rate": 1e-3, "augmentation": {"scale": scale}}
    params = {
        **{"seed": 0, "network": {"backbone": "resnet18", "pose_head": "rotation_6d"}, "init": "random"},
        **{"auxiliary": {}, "views": "siamese", "weighting": "fixed", "auxiliary_on": "labelled", "labels": {}},
        **{"training": training | {"precision": "float32"}},
    }
    recipe = files.recipe("finetune", params)
    finetune.finetune(recipe, files.crops, files.split, files.output, tmp_path / "checkpoints")
    (epoch,) = pd.read_csv(files.output / "history.csv").to_dict("records")
    assert epoch["val_mae_deg"] == pytest.approx(error, abs=0.15)
    assert epoch["val_geodesic_deg"] == pytest.approx(3 * error, abs=0.45)


def exported(files: Files, window: float) -> HeadPose:
    training = files.folder / "training"
    training.mkdir()
    (training / "model.safetensors").write_bytes(b"weights")
    (training / "run.json").write_text(json.dumps({"arm": "reader", "chosen_epoch": 1}))
    (training / "history.csv").write_text("epoch,val_geodesic_deg\n1,0.0\n")
    (training / "recipe.json").write_text(files.recipe("finetune", {}).read_text())
    card = {"dataset": "dots", "record": None, "images": 3, "subjects": 3, "pose": {}}
    (files.folder / "card.json").write_text(json.dumps(card))
    recipe = files.recipe("export_model", {"seed": 0, "detail": None, "window": window})
    export_model.export_model(recipe, training, files.crops, files.split, [files.folder], files.output)
    return HeadPose.load(files.output / "model.onnx", threads=1)


@pytest.mark.parametrize("window", [0.5, 1.5])
def test_an_exported_model_shows_the_window_of_its_recipe(tmp_path: Path, window: float):
    """In crops, and in a picture around a crop as large as the face box: 64 pixels, all in it being twice as large."""
    model = exported(Files(tmp_path, window), window)
    card, facts = (tmp_path / "output/README.md").read_text(), json.loads((tmp_path / "output/export.json").read_text())
    assert facts["window"] == window
    assert facts["model_geodesic_error"] == pytest.approx(0, abs=0.5), "on the crops that it was checked on"
    assert f"{100 * window:g}% of the crop's side" in card
    assert ("what is around it" in card) == (window > 1)
    model.place, face = FacePlace(np.zeros((10, 3))), np.array([100.0, 60.0, 164.0, 124.0])
    model._detector = lambda _: Detections(face[None], np.array([0.9]))
    for place in PLACES[window]:
        picture = np.zeros((200, 300, 3), np.uint8)
        picture[92 - 64 : 92 + 64, 132 - 64 : 132 + 64] = dot(128, 2 * place, 12)
        seen = [(model(Image.fromarray(picture)), face)]
        if abs(place) < SIZE / 2 - 3:
            seen.append((model(dot(SIZE, place), whole_image=True), np.array([0, 0, SIZE, SIZE])))
        for (pose,), crop in seen:
            assert pose.yaw == pytest.approx(96 * place / (SIZE * window), abs=0.5)
            np.testing.assert_allclose(pose.box, crop)
