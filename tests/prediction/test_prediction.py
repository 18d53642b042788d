"""Export and prediction: what leaves the pipeline says the same as what was trained."""

import csv
import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from scipy.spatial.transform import Rotation

from pipeline_steps.images.crop_file import CropFile
from pipeline_steps.images.image_files import open_rgb
from pipeline_steps.job.errors import UserError
from pipeline_steps.network.inference import load_model
from pipeline_steps.predict import COLUMNS, HeadPose
from pipeline_steps.predict import predict as predict_command
from pipeline_steps.prediction.head_pose import FacePlace, Pose
from pipeline_steps.prediction.smoothing import OneEuroFilter, Smoother
from tests.conftest import ROOT, Repository, World, export

pytestmark = pytest.mark.workflow
COPY = ".mp4" if shutil.which("ffmpeg") else ".webm"
"""How names of films with axes end here."""


@pytest.fixture(scope="module")
def crops(finished: World) -> np.ndarray:
    with CropFile(finished.folder / "data/crops/rendered-32px/crops.h5") as file:
        return file.read(np.arange(len(file)))


def predict(*arguments: object) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "pipeline_steps.predict", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, text=True, capture_output=True, check=False)


def angle_deg(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.degrees((Rotation.from_matrix(a).inv() * Rotation.from_matrix(b)).magnitude())


def test_all_exports_predict_what_the_trained_network_predicts(finished: World, exported: Path, crops: np.ndarray):
    network, _ = load_model(finished.folder / "results/tiny/default/finetune/hybrid/seed0/model.safetensors")
    with torch.inference_mode():
        trained = network(torch.from_numpy(crops).permute(0, 3, 1, 2).float() / 255).double().numpy()
        program = torch.export.load(exported / "model.pt2").module()(torch.from_numpy(crops[:3])).double().numpy()
    assert angle_deg(program, trained[:3]).max() < 0.01
    measured = json.loads((exported / "export.json").read_text())
    for name, allowed in (("model", 0.01), ("model_int8", 15)):
        alone = HeadPose.load(exported / f"{name}.onnx").model
        together = alone(crops)
        assert angle_deg(together, trained).max() < allowed
        np.testing.assert_allclose(alone(crops[:1]), together[:1], atol=1e-5)
    assert measured["model_from_torch_worst"] < 0.01 < measured["model_int8_from_torch_worst"]
    sizes = [(exported / f"{name}.onnx").stat().st_size for name in ("model", "model_int8")]
    assert sizes[1] < sizes[0] / 3


def test_the_model_card_says_what_was_measured(finished: World, exported: Path):
    card = (exported / "README.md").read_text()
    errors = json.loads(
        (finished.folder / "results/tiny/default/evaluate/test/rendered/hybrid/seed0/metrics.json").read_text()
    )
    assert "On `rendered` (rendered heads), 8 test images, in degrees:" in card
    assert f"| this model | {errors['mae']:.2f} | {errors['yaw']:.2f} |" in card
    assert "| always frontal | " in card
    assert "| always the mean pose | " in card
    assert "**It was not tested on photographs.**" in card
    assert f"{json.loads((exported / 'export.json').read_text())['model_int8_from_torch_worst']:.2f}" in card
    assert "In 8 of these crops `predict` looked for a face." in card
    assert "given_box" in card
    assert "MakeHuman" in card, "the terms of the data"


def test_crops_are_predicted_from_the_command_line(exported: Path, crops: np.ndarray, tmp_path: Path):
    for place in (0, 1):
        Image.fromarray(crops[place]).save(tmp_path / f"{place}.png")
    done = predict(exported / "model.onnx", tmp_path / "*.png", "--whole-image", "--draw", tmp_path / "drawn")
    assert done.returncode == 0, done.stderr
    assert done.stderr.startswith(f"{exported / 'model.onnx'}: mean absolute error ")
    measured = json.loads((exported / "export.json").read_text())
    found, own = (measured[f"{box}_box_median_geodesic_error"] for box in ("found", "own"))
    assert (
        f"; not tested on photographs; median geodesic error {found:.1f} degrees where heads are cropped by found "
        f"faces, {own:.1f} by the data's own boxes"
    ) in done.stderr
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    assert list(rows[0]) == COLUMNS
    expected = HeadPose.load(exported / "model.onnx").model(crops[:2])
    for row, rotation in zip(rows, expected, strict=True):
        matrix = np.array([float(row[f"r{i}{j}"]) for i in (1, 2, 3) for j in (1, 2, 3)]).reshape(3, 3)
        np.testing.assert_allclose(matrix, rotation, atol=1e-4)
        pitch, yaw, roll = (float(row[name]) for name in ("pitch", "yaw", "roll"))
        told = Rotation.from_euler("XYZ", [-pitch, -yaw, -roll], degrees=True).as_matrix()
        np.testing.assert_allclose(told, rotation, atol=1e-4)
        assert [float(row[name]) for name in ("x0", "y0", "x1", "y1")] == [0, 0, 32, 32]
    drawn = np.asarray(Image.open(tmp_path / "drawn/0.png"))
    assert (drawn != crops[0]).any(2).sum() > 5
    lines = predict(exported / "model.onnx", tmp_path, "--whole-image", "--format", "jsonl").stdout.splitlines()
    shown = json.loads(lines[0])
    np.testing.assert_allclose(shown["matrix"], expected[0], atol=1e-4)


def test_the_flip_test_looks_at_the_mirror_image_too(exported: Path, crops: np.ndarray, tmp_path: Path):
    Image.fromarray(crops[0]).save(tmp_path / "0.png")
    options = "--whole-image", "--flip-test", "--format", "jsonl"
    (line,) = predict(exported / "model.onnx", tmp_path / "0.png", *options).stdout.splitlines()
    model = HeadPose.load(exported / "model.onnx").model
    seen, mirrored = Rotation.from_matrix(model(np.stack([crops[0], crops[0][:, ::-1]])))
    x, y, z = mirrored.as_rotvec()  # of a turn in the mirror, the part about the mirror's normal alone stays
    mean = Rotation.concatenate([seen, Rotation.from_rotvec([x, -y, -z])]).mean()
    np.testing.assert_allclose(json.loads(line)["matrix"], mean.as_matrix(), atol=1e-4)


def test_a_model_is_described_and_limited_as_it_was_evaluated(
    finished: World, exported: Path, crops: np.ndarray, tmp_path: Path
):
    recipe = json.loads(
        (finished.folder / "results/tiny/default/evaluate/test/rendered/hybrid/seed0/recipe.json").read_text()
    )
    recipe["params"]["evaluate"] |= {"flip_test": True, "part": "validation"}
    shutil.copytree(
        finished.folder / "results/tiny/default/evaluate/test/rendered/hybrid/seed0", tmp_path / "evaluated"
    )
    (tmp_path / "evaluated/recipe.json").write_text(json.dumps(recipe))
    export(finished, tmp_path, detail=16, evaluation=str(tmp_path / "evaluated"))
    card = (tmp_path / "made/README.md").read_text()
    assert "are shrunk to 16 pixels" in card
    assert "8 validation images with the flip test" in card
    assert "are shrunk to" not in (exported / "README.md").read_text()
    limited, free = (HeadPose.load(folder / "model.onnx") for folder in (tmp_path / "made", exported))
    for crop in crops[:2]:
        small = Image.fromarray(crop).resize((16, 16), Image.Resampling.BICUBIC)
        (seen,), (sharp,), (soft,) = (
            limited(crop, whole_image=True),
            free(crop, whole_image=True),
            free(small.resize((32, 32), Image.Resampling.BICUBIC), whole_image=True),
        )
        assert angle_deg(seen.matrix, soft.matrix) < 0.3 < angle_deg(seen.matrix, sharp.matrix)


def write_film(path: Path, crops: np.ndarray, rate: float) -> None:
    film = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), rate, (32, 32))
    for crop in crops:
        film.write(cv2.cvtColor(crop, cv2.COLOR_RGB2BGR))
    film.release()


def length_and_rate(film: Path) -> tuple[int, float]:
    opened = cv2.VideoCapture(str(film))
    return int(opened.get(cv2.CAP_PROP_FRAME_COUNT)), opened.get(cv2.CAP_PROP_FPS)


def test_a_video_is_predicted_frame_by_frame(exported: Path, crops: np.ndarray, tmp_path: Path):
    write_film(tmp_path / "film.avi", crops[:4], 10.0)
    drawn = "--draw", tmp_path / "drawn"
    done = predict(exported / "model.onnx", tmp_path / "film.avi", "--whole-image", "--smooth", *drawn)
    assert done.returncode == 0, done.stderr
    assert [row["frame"] for row in csv.DictReader(io.StringIO(done.stdout))] == ["0", "1", "2", "3"]
    (copy,) = (tmp_path / "drawn").iterdir()
    assert copy.name == f"film.avi{COPY}"
    assert length_and_rate(copy) == (4, 10.0)


def test_copies_are_nested_as_their_sources_and_never_take_their_place(
    exported: Path, crops: np.ndarray, tmp_path: Path
):
    sources = [tmp_path / "photos" / name for name in ("one/face.png", "two/face.png", "two/face.gif")]
    for path, crop in zip(sources, crops, strict=False):
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(crop).save(path)
    before = [path.read_bytes() for path in sources]
    arguments = exported / "model.onnx", tmp_path / "photos", sources[2], "--whole-image", "--draw"
    done = predict(*arguments, tmp_path / "photos")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        f"error: --draw: {tmp_path / 'photos'}: {sources[0]} would be overwritten; give another folder"
    )
    assert [path.read_bytes() for path in sources] == before
    assert predict(*arguments, tmp_path / "drawn").returncode == 0
    copies = {str(path.relative_to(tmp_path / "drawn")) for path in (tmp_path / "drawn").rglob("*.*")}
    assert copies == {"one/face.png", "two/face.png", "two/face.gif"}


class Camera:
    """Three pictures, one every quarter of a second, by a device that says ten a second; then somebody presses Ctrl-C.

    Stands in for OpenCV's camera and for the clock.
    """

    def __init__(self, pictures: np.ndarray) -> None:
        self.pictures, self.time = list(pictures), 100.0

    def read(self) -> tuple[bool, np.ndarray]:
        if not self.pictures:
            raise KeyboardInterrupt
        self.time += 0.25
        return True, self.pictures.pop(0)

    def get(self, what: int) -> float:
        return {cv2.CAP_PROP_FPS: 10.0}[what]

    def isOpened(self) -> bool:
        return True

    def release(self) -> None:
        pass


def test_a_camera_that_is_ended_by_hand_leaves_its_poses_and_a_film_of_true_length(
    exported: Path, crops: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    camera = Camera(crops[:3])
    with monkeypatch.context() as patched:
        patched.setattr(cv2, "VideoCapture", lambda number: camera)
        patched.setattr("pipeline_steps.prediction.frames.time.monotonic", lambda: camera.time)
        poses, copies = tmp_path / "poses.csv", tmp_path / "drawn"
        predict_command(exported / "model.onnx", ["camera:0"], output=poses, draw=copies, whole_image=True)
    assert pd.read_csv(tmp_path / "poses.csv")["frame"].tolist() == [0, 1, 2]
    (copy,) = (tmp_path / "drawn").iterdir()
    assert copy.name == f"camera0{COPY}"
    assert length_and_rate(copy) == (9, 10.0), "the last picture came after 0.75 s"


def test_bad_input_ends_in_one_line_that_names_it(exported: Path, tmp_path: Path):
    (tmp_path / "broken.onnx").write_bytes(b"no model")
    (tmp_path / "broken.png").write_bytes(b"no picture")
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    (tmp_path / "empty").mkdir()
    model = exported / "model.onnx"
    done = predict(tmp_path / "broken.onnx", tmp_path / "broken.png")
    assert done.returncode == 1
    assert "not a model of export_model" in done.stderr.splitlines()[-1]
    assert done.stderr.splitlines()[-1].startswith("error: ")
    done = predict(tmp_path / "absent.onnx", tmp_path / "broken.png")
    absent = f"error: {tmp_path / 'absent.onnx'}: no such file; `make export` makes a model.onnx and prints its folder"
    assert (done.returncode, done.stderr) == (1, f"{absent}\n")
    inputs = [tmp_path / "nothing.png", tmp_path / "empty", "camera:front", tmp_path / "broken.mp4"]
    done = predict(model, *inputs)
    assert done.returncode == 1
    for name, reason in zip(
        inputs,
        ("no such file", "no image or video in this folder", "not a camera", "cannot be opened"),
        strict=True,
    ):
        assert f"{name}: skipped: {reason}" in done.stderr
    assert done.stderr.splitlines()[-1] == "error: 4 of 4 inputs failed, as said above; all other poses are written"
    done = predict(model, tmp_path / "broken.png", "--whole-image", "--output", tmp_path / "poses.csv")
    assert done.returncode == 1
    assert "broken.png: skipped" in done.stderr
    assert (tmp_path / "poses.csv").read_text().splitlines() == [",".join(COLUMNS)]


def test_faces_are_cut_where_training_crops_of_their_pose_had_them():
    """Faces that move to the side by a fifth of the crop's as the head turns, with one in ten detected elsewhere."""
    random = np.random.default_rng(0)
    yaws = random.uniform(-60, 60, 200)
    rotations = Rotation.from_euler("y", yaws[:, None], degrees=True).as_matrix()
    centres = np.column_stack([0.2 * np.sin(np.radians(yaws)), np.full(200, -0.1)]) * 64
    centres[::10] = random.uniform(-32, 32, (20, 2))
    half_sides = np.array([12, 16])
    boxes = np.concatenate([centres - half_sides, centres + half_sides], 1)
    place = FacePlace.fitted(boxes, rotations, 64)
    half = 50 * np.sin(np.radians(30))
    face = np.array([[100.0, 200.0, 140.0, 250.0]])
    (square,) = place.squares(face, Rotation.from_euler("y", [[30]], degrees=True).as_matrix())
    assert square[2] - square[0] == pytest.approx(100, rel=0.03), "the longer side is half of the crop"
    centre = (square[:2] + square[2:]) / 2
    np.testing.assert_allclose((np.array([120, 225]) - centre) / 100, [0.2 * half / 50, -0.1], atol=0.02)


def test_a_model_that_never_saw_a_face_asks_for_crops(exported: Path):
    blind = HeadPose.load(exported / "model.onnx")
    blind.place = None
    with pytest.raises(UserError, match="--whole-image"):
        blind(np.zeros((64, 64, 3), np.uint8))


def one_euro(values: list[float], rate: float, cutoff: float, beta: float, speed_cutoff: float) -> list[float]:
    """The filter of the paper's listing, on numbers."""

    def alpha(frequency: float) -> float:
        return 1.0 / (1.0 + (1.0 / (2 * np.pi * frequency)) * rate)

    smooth, speed, out = values[0], 0.0, [values[0]]
    for value in values[1:]:
        share = alpha(speed_cutoff)
        speed = share * abs(value - smooth) * rate + (1 - share) * speed
        share = alpha(cutoff + beta * speed)
        smooth = share * value + (1 - share) * smooth
        out.append(smooth)
    return out


def test_the_one_euro_filter_is_the_papers_where_the_head_turns_about_one_axis():
    values = [0.0, 1.0, -0.5, 0.3, 12.0, 25.0, 40.0, 40.2, 39.9]
    smoother = OneEuroFilter(1.0, 0.02, 1.0)
    turned = [
        smoother(Rotation.from_euler("y", value, degrees=True).as_matrix(), place / 30)
        for place, value in enumerate(values)
    ]
    shown = [Rotation.from_matrix(matrix).as_euler("yxz", degrees=True)[0] for matrix in turned]
    np.testing.assert_allclose(shown, one_euro(values, 30, 1.0, 0.02, 1.0), atol=1e-9)


def test_two_heads_are_smoothed_apart():
    def pose(x: float, yaw: float) -> Pose:
        matrix = Rotation.from_euler("y", yaw, degrees=True).as_matrix()
        return Pose(np.array([x, 0, x + 10, 10]), yaw, 0, 0, matrix, 1.0)

    smoother = Smoother()
    smoother([pose(0, 10), pose(100, -40)], 0.0)
    right, left = smoother([pose(100, -40), pose(1, 10)], 0.04)
    for smoothed, yaw in ((right, -40), (left, 10)):
        assert angle_deg(smoothed.matrix, pose(0, yaw).matrix) < 1e-4


@pytest.mark.parametrize(("shift", "is_same_head"), [(5, True), (6, False)], ids=["a third", "a quarter"])
def test_a_head_is_followed_while_its_boxes_overlap_by_three_tenths(shift: float, is_same_head: bool):
    """Boxes 10 wide, shifted by 5, share 5 of 15; shifted by 6, 4 of 16."""
    smoother = Smoother()
    poses = [
        Pose(np.array([x, 0.0, x + 10, 10]), yaw, 0, 0, Rotation.from_euler("y", yaw, degrees=True).as_matrix(), 1.0)
        for x, yaw in ((0, 0.0), (shift, 3.0))
    ]
    smoother(poses[:1], 0.0)
    (smoothed,) = smoother(poses[1:], 0.04)
    assert (angle_deg(smoothed.matrix, poses[1].matrix) > 0.1) == is_same_head, "a new head is not smoothed"


@pytest.mark.realdata
def test_faces_of_photographs_are_found(exported: Path, tmp_path: Path):
    folder = os.environ.get("HEADPOSE_REAL_DATA")
    if folder is None:
        pytest.skip("HEADPOSE_REAL_DATA names no folder with real photographs")
    archive = Path(folder) / "aflw2000_dev300.tar.gz"
    subprocess.run(["tar", "--extract", "--file", archive, "--directory", tmp_path], check=True)
    pictures = sorted(tmp_path.rglob("*.jpg"))[::15]
    head_pose = HeadPose.load(exported / "model.onnx")
    found = [head_pose(Image.open(path)) for path in pictures]
    assert sum(bool(poses) for poses in found) >= 0.9 * len(pictures)


SERVED = """
import json, sys, mlflow, pandas as pd
model = mlflow.pyfunc.load_model("models:/headpose-tiny@best")
pictures = pd.DataFrame({"image": [open(path, "rb").read() for path in sys.argv[1:]]})
print(json.dumps(model.predict(pictures, params={"whole_image": True, "flip_test": True})))
"""


def test_the_best_version_in_the_registry_predicts_in_a_process_of_its_own(
    exported: Path, crops: np.ndarray, tmp_path: Path
):
    paths = [tmp_path / f"{place}.png" for place in range(2)]
    for path, crop in zip(paths, crops[:2], strict=True):
        Image.fromarray(crop).save(path)
    store = {"MLFLOW_TRACKING_URI": f"sqlite:///{exported.parent}/mlflow.db"}
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | store
    command = [sys.executable, "-c", SERVED, *map(str, paths)]
    done = subprocess.run(command, cwd=tmp_path, env=environment, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    alone = HeadPose.load(exported / "model.onnx")
    expected = [[pose.record() for pose in alone(open_rgb(path), whole_image=True, flip_test=True)] for path in paths]
    assert json.loads(done.stdout.splitlines()[-1]) == expected


def test_make_export_takes_the_best_model_by_validation_error(finished: World, tmp_path: Path):
    repository = Repository(tmp_path)
    for name in ("data", "results"):
        shutil.copytree(finished.folder / name, tmp_path / name)
    told = repository("make", "export", f"BIN={Path(sys.executable).parent}")
    (made,) = (tmp_path / "results/tiny/default/export").glob("*/seed*/export.json")
    assert f"model    {made.parent.relative_to(tmp_path)}/" in told
    errors = {
        path.parent: pd.read_csv(path).set_index("epoch")["val_geodesic_deg"].iloc[-1]
        for path in (tmp_path / "results/tiny/default/finetune").glob("*/seed0/history.csv")
    }
    best = min(errors, key=errors.__getitem__)
    assert made.parent.parts[-2:] == best.parts[-2:]
