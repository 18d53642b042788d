"""The data card's checks of labels, by the steps' own commands, on stand-ins of 300W-LP whose labels were spoilt."""

import io
import json
import re
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy.io import loadmat, savemat
from scipy.spatial.transform import Rotation

from pipeline_steps.checks.labels import check_labels
from pipeline_steps.crop_faces import crop_faces
from pipeline_steps.datasets.w300lp import W300Lp
from pipeline_steps.describe_dataset import describe_dataset
from pipeline_steps.images.crop_file import Crop, CropFile, write_crops
from pipeline_steps.job.recipe import JobInput, Recipe
from pipeline_steps.pose.landmarks import MEAN_FACE, poses_of_landmarks
from stand_ins.w300lp import write_w300lp

POSE, BOX, MIRROR = "pose against landmarks", "box against landmarks", "mirror image against original"

Spoil = Callable[[str, dict[str, np.ndarray], dict[str, dict[str, np.ndarray]]], None]


@pytest.fixture(scope="module")
def stand_in(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four people, three views each and their mirror images, as a folder."""
    folder = tmp_path_factory.mktemp("w300lp")
    write_w300lp(folder / "300W-LP.zip", subjects=4, images=3, seed=0, size=120)
    with zipfile.ZipFile(folder / "300W-LP.zip") as archive:
        archive.extractall(folder)
    return folder / "300W_LP"


def described(stand_in: Path, folder: Path, spoil: Spoil | None = None, **crop: object) -> dict:
    """The card of the stand-in after `spoil` has changed the fields of each annotation, given those of all others."""
    copy, raw = shutil.copytree(stand_in, folder / "set"), folder / "raw"
    views = [path for path in copy.glob("*/*.mat") if path.parent.name != "landmarks"]
    all_fields = {str(p.relative_to(copy)): loadmat(io.BytesIO(p.read_bytes()), appendmat=False) for p in views}
    for path in views if spoil else []:
        name = str(path.relative_to(copy))
        fields = {k: np.array(v) for k, v in all_fields[name].items() if not k.startswith("__")}
        spoil(name, fields, all_fields)
        savemat(path, fields)
    raw.mkdir()
    W300Lp().acquire(raw, copy)
    values = {"source": {"kind": "w300lp"}, "crop": {"box": "landmarks_loose"} | crop, "crops": {"size": 32}}
    cropping = Recipe(step="crop_faces", job={"dataset": "w300lp"}, params=values)
    inputs = {"crops": JobInput(fingerprint=cropping.fingerprint)}
    describing = Recipe(step="describe_dataset", job={"dataset": "w300lp"}, params={"record": None}, inputs=inputs)
    for recipe in (cropping, describing):
        (folder / f"{recipe.step}.json").write_text(recipe.text())
    crop_faces(folder / "crop_faces.json", raw, folder / "crops", 1)
    describe_dataset(folder / "describe_dataset.json", folder / "crops", folder / "card")
    return json.loads((folder / "card/card.json").read_text())


def test_sound_labels_agree(stand_in: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture):
    card = described(stand_in, tmp_path)
    assert {name: (check["images"], check["disagree"]) for name, check in card["checks"].items()} == {
        POSE: (24, 0),
        BOX: (24, 0),
        MIRROR: (12, 0),
    }
    assert card["hidden_landmarks"] == 0
    assert "disagree" not in caplog.text


def test_landmarks_of_another_view_disagree_with_the_pose(
    stand_in: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    """The first view's landmarks in all views of a face: those whose pose is far from its are found."""
    turned = []

    def share(name: str, fields: dict, others: dict) -> None:
        first = others[re.sub(r"_\d+\.mat$", "_0.mat", name)]
        a, b = (Rotation.from_euler("XYZ", -of["Pose_Para"][0, :3]) for of in (fields, first))
        turned.append(np.degrees((a.inv() * b).magnitude()))
        fields["pt2d"] = first["pt2d"]

    card = described(stand_in, tmp_path, share)
    check = card["checks"][POSE]
    far, near = np.sum(np.array(turned) > 30), np.sum(np.array(turned) > 10)
    assert 0 < far <= check["disagree"] <= near
    assert len(check["worst"]) == 3
    assert f"w300lp: {POSE}: {check['disagree']} of 24 images disagree, such as {check['worst'][0]}" in caplog.text
    page = (tmp_path / "card/card.html").read_text()
    assert POSE in page
    assert check["worst"][0] in page


def test_a_mirror_image_with_another_pose_disagrees_with_its_original(stand_in: Path, tmp_path: Path):
    def turn(name: str, fields: dict, others: dict) -> None:
        if "_Flip" in name:
            fields["Pose_Para"][0, :3] += np.radians(10)

    card = described(stand_in, tmp_path, turn)
    check = card["checks"][MIRROR]
    assert (check["images"], check["disagree"]) == (12, 12)
    assert all("_Flip/" in name for name in check["worst"])
    assert 10 < check["median_deg"] < 20


def test_hidden_landmarks_are_left_out_of_boxes(stand_in: Path, tmp_path: Path):
    def hide(name: str, fields: dict, others: dict) -> None:
        fields["pt2d"][:, 20:25] = -1  # the inner ends of the brows, which are not at the edge of any face

    card = described(stand_in, tmp_path / "hidden", hide, box="landmarks_tight")
    assert card["hidden_landmarks"] == 24
    assert {name: check["disagree"] for name, check in card["checks"].items()} == dict.fromkeys([POSE, BOX, MIRROR], 0)
    described(stand_in, tmp_path / "whole", box="landmarks_tight")
    hidden, whole = (CropFile(tmp_path / name / "crops/crops.h5") for name in ("hidden", "whole"))
    rows = np.arange(24)
    same = (hidden.read(rows) == whole.read(rows)).all((1, 2, 3))
    assert same.mean() > 0.7, "where a brow is no face's highest point, the crop is the same to the pixel"
    assert np.isnan(hidden.landmarks[:, 20:25]).all()


def crops_with(path: Path, landmarks: np.ndarray, margin: float = 0.0) -> dict:
    rule = {"size": 16, "context": 0.0, "margin": margin}
    image = np.zeros((16, 16, 3), np.uint8)
    crops = [Crop(str(n), image, "a", np.eye(3), np.zeros(3), points) for n, points in enumerate(landmarks)]
    write_crops(path, crops, len(crops), "x", "{}", rule)
    with CropFile(path) as file:
        return check_labels(file)


def frontal(side: float, centre: float = 0.5) -> np.ndarray:
    """The mean face from the front, its longer side a share of the crop's (68, 2)."""
    flat = MEAN_FACE[:, :2] * [1, -1]
    middle, extent = (flat.max(0) + flat.min(0)) / 2, np.ptp(flat, 0).max()
    return centre + (flat - middle) / extent * side


@pytest.mark.parametrize(
    ("side", "centre", "margin", "disagrees"),
    [
        (0.6, 0.5, 0.0, False),
        (0.2, 0.5, 0.0, True),  # a small face in a large box
        (0.6, 0.9, 0.0, True),  # beside the box
        (3.0, 0.5, 0.0, True),  # a part of the face
        (0.2, 0.5, 0.5, False),  # of the box without its margin, which is half of the crop's side, 0.4
        (0.98, 0.5, 0.1, True),  # the face reaches into the margin by more than a tenth of its points
    ],
)
def test_a_box_disagrees_with_landmarks_outside_it_or_much_smaller(tmp_path, side, centre, margin, disagrees):
    check = crops_with(tmp_path / "crops.h5", frontal(side, centre)[None], margin)[BOX]
    assert (check["images"], check["disagree"]) == (1, int(disagrees))


def test_a_data_set_without_landmarks_has_no_checks(tmp_path):
    assert crops_with(tmp_path / "crops.h5", [None]) == {}


@pytest.mark.parametrize("angles", [(0, 0, 0), (40, 0, 0), (0, 30, 0), (0, 0, -35), (-60, 20, 10)])
def test_the_pose_of_projected_landmarks_is_found(angles):
    """The mean face, turned by SciPy and seen from far away: the pose is found from all points and without some."""
    yaw, pitch, roll = angles
    expected = Rotation.from_euler("XYZ", [-pitch, -yaw, -roll], degrees=True)
    seen = expected.apply(MEAN_FACE)[:, :2] * [1.0, -1.0] * 0.37 + [200, 120]
    seen[[3, 40, 50]] = np.nan
    for found in poses_of_landmarks(seen):
        assert np.degrees((expected.inv() * Rotation.from_matrix(found)).magnitude()) < 1e-3
    seen[:64] = np.nan
    assert np.isnan(poses_of_landmarks(seen)).all()


def test_the_mean_face_is_symmetric_and_turned_to_the_front():
    left, right = MEAN_FACE[:8], MEAN_FACE[16:8:-1]
    np.testing.assert_allclose(left * [-1, 1, 1], right)
    assert MEAN_FACE[30, 2] == MEAN_FACE[:, 2].max(), "the tip of the nose is in front"
    assert MEAN_FACE[36, 0] < 0 < MEAN_FACE[45, 0], "landmark 36 is on the image's left"
    assert MEAN_FACE[8, 1] == MEAN_FACE[:, 1].min(), "the chin is lowest"
