"""Stand-in archives: official names and formats, and labels that agree with the images.

This file reads them with code of its own; the last tests use the pipeline's readers.
"""

import io
import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy.io import loadmat, whosmat
from scipy.spatial.transform import Rotation

from pipeline_steps.datasets.aflw2000 import Aflw2000
from pipeline_steps.datasets.base import HeadPoseDataset, Sample
from pipeline_steps.datasets.biwi import Biwi
from pipeline_steps.datasets.pointing04 import Pointing04
from pipeline_steps.datasets.w300lp import W300Lp
from pipeline_steps.job.errors import UserError
from pipeline_steps.rendering.heads import HeadModel
from pipeline_steps.rendering.scenes import draw_light
from stand_ins.aflw2000 import write_aflw2000
from stand_ins.biwi import recordings, write_biwi
from stand_ins.camera import OffCentreView, make_posable
from stand_ins.pointing04 import write_pointing04
from stand_ins.w300lp import write_w300lp
from tests.conftest import ROOT

WRITERS = {"w300lp": write_w300lp, "aflw2000": write_aflw2000, "biwi": write_biwi, "pointing04": write_pointing04}
COUNTS = {"w300lp": (4, 2), "aflw2000": (3, 2), "biwi": (2, 2), "pointing04": (1, 3)}
SIZES = {"w300lp": 120, "aflw2000": 120, "biwi": 160, "pointing04": 96}
SUFFIX = {"w300lp": "zip", "aflw2000": "zip", "biwi": "tgz", "pointing04": "tar.gz"}

# names, shapes and MATLAB types of the fields in the real files
PARAMETERS = {
    "roi": ((1, 4), "int16"),
    "Illum_Para": ((1, 10), "double"),
    "Color_Para": ((1, 7), "single"),
    "Tex_Para": ((199, 1), "double"),
    "Shape_Para": ((199, 1), "double"),
    "Exp_Para": ((29, 1), "double"),
    "Pose_Para": ((1, 7), "single"),
}
W300LP_FIELDS = PARAMETERS | {"pt2d": ((2, 68), "double")}
AFLW2000_FIELDS = PARAMETERS | {"pt2d": ((2, 21), "double"), "pt3d_68": ((3, 68), "single")}
W300LP_NAMES = r"(AFW/AFW_\d+_1|HELEN/HELEN_\d+_1|IBUG/IBUG_image_\d{3}_1|LFPW/LFPW_image_train_\d{4})_\d+"


class Written:
    """A stand-in archive: its members and its ground truth, both by the member's name."""

    def __init__(self, path: Path, truth: pd.DataFrame) -> None:
        self.path = path
        self.truth = {row["member"]: row for row in truth.to_dict("records")}
        self.members: dict[str, bytes] = {}
        if path.suffix == ".zip":
            with zipfile.ZipFile(path) as archive:
                self.members = {name: archive.read(name) for name in archive.namelist()}
        else:
            with tarfile.open(path) as archive:
                files = [member for member in archive if member.isfile()]
                self.members = {member.name: archive.extractfile(member).read() for member in files}

    def mat(self, image: str) -> dict[str, np.ndarray]:
        return loadmat(io.BytesIO(self.members[image.replace(".jpg", ".mat")]))

    def image(self, name: str) -> np.ndarray:
        return np.asarray(Image.open(io.BytesIO(self.members[name])))


@pytest.fixture(scope="module")
def model() -> HeadModel:
    return make_posable("aflw2000", 0, 0).model


@pytest.fixture(scope="module")
def archives(model: HeadModel, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Written]:
    folder, made = tmp_path_factory.mktemp("stand_ins"), {}
    for layout, write in WRITERS.items():
        path = folder / f"{layout}.{SUFFIX[layout]}"
        made[layout] = Written(path, write(path, *COUNTS[layout], 7, SIZES[layout]))
    return made


def reprojection_error(row: dict, rotation: np.ndarray, points: np.ndarray) -> float:
    """Largest distance in pixels between points (68, 2) and the landmarks projected with the rotation (3, 3).

    The position is the least-squares solution of the pinhole equations, independent of the renderer.
    """
    turned = np.reshape(row["landmarks_head"], (68, 3)) @ rotation.T
    x, y = ((points - row["principal_point"]) * [1, -1] / row["focal"]).T  # X / -Z and Y / -Z
    zero, one = np.zeros(68), np.ones(68)
    equations = np.concatenate([np.stack([one, zero, x], 1), np.stack([zero, one, y], 1)])
    known = -np.concatenate([turned[:, 0] + x * turned[:, 2], turned[:, 1] + y * turned[:, 2]])
    position = np.linalg.lstsq(equations, known, rcond=None)[0]
    camera = turned + position
    assert (camera[:, 2] < 0).all()
    pixels = row["principal_point"] + row["focal"] * camera[:, :2] / -camera[:, 2:] * [1, -1]
    return float(np.abs(pixels - points).max())


def pose_para_rotation(fields: dict[str, np.ndarray]) -> np.ndarray:
    """The label's rotation Rx Ry Rz as a product of elementary matrices."""
    pitch, yaw, roll = fields["Pose_Para"][0, :3].astype(float)
    (cx, cy, cz), (sx, sy, sz) = np.cos([pitch, yaw, roll]), np.sin([pitch, yaw, roll])
    rx = np.array([[1, 0, 0], [0, cx, sx], [0, -sx, cx]])
    ry = np.array([[cy, 0, -sy], [0, 1, 0], [sy, 0, cy]])
    rz = np.array([[cz, sz, 0], [-sz, cz, 0], [0, 0, 1]])
    return rx @ ry @ rz


@pytest.mark.parametrize("layout", WRITERS)
def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(archives, layout, tmp_path):
    path = tmp_path / archives[layout].path.name
    WRITERS[layout](path, *COUNTS[layout], 7, SIZES[layout])
    assert path.read_bytes() == archives[layout].path.read_bytes()
    WRITERS[layout](path, *COUNTS[layout], 8, SIZES[layout])
    assert path.read_bytes() != archives[layout].path.read_bytes()
    assert [p.name for p in tmp_path.iterdir()] == [path.name], "nothing temporary stays"


@pytest.mark.parametrize(("layout", "subjects", "images"), [("biwi", 21, 1), ("pointing04", 16, 1), ("w300lp", 1, 0)])
def test_more_than_the_layout_has_room_for_is_refused(layout, subjects, images, tmp_path):
    with pytest.raises(UserError, match="in this layout"):
        WRITERS[layout](tmp_path / "archive", subjects, images, 0)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("layout", WRITERS)
def test_labels_agree_with_projected_landmarks_and_faces_with_the_template(archives, model, layout):
    for row in archives[layout].truth.values():
        rotation = np.reshape(row.get("rotation_colour", row["rotation"]), (3, 3))
        points = np.reshape(row["landmarks"], (68, 2))
        assert reprojection_error(row, rotation, points) < 1e-6
        wrong = rotation @ Rotation.from_euler("y", 3, degrees=True).as_matrix()
        assert reprojection_error(row, wrong, points) > 0.2, "and only with them"
        face = np.reshape(row["landmarks_head"], (68, 3))
        tilt, _ = Rotation.align_vectors(face - face.mean(0), model.landmarks - model.landmarks.mean(0))
        assert tilt.magnitude() < np.radians(8), "expressions move the landmarks but not the head's frame"
        x0, y0, x1, y1 = row["box"]
        inner = points[17:]
        assert (inner > [x0 - 1, y0 - 1]).all()
        assert (inner < [x1 + 1, y1 + 1]).all()


def test_an_image_covers_the_mesh_off_the_optical_axis(model):
    subject = make_posable("aflw2000", 0, 0)
    posed = subject.pose({}, np.zeros(2), np.eye(3))
    rotation = Rotation.from_euler("XYZ", [15, -30, 5], degrees=True).as_matrix()
    view = OffCentreView(rotation, np.array([-0.15, 0.12, -1.0]), 120.0, 160, 120, np.array([71.0, 64.5]))
    light = draw_light(np.random.default_rng(0), view)
    shot = subject.shoot(posed, view, light)
    camera = posed @ rotation.T + view.position
    pixels = np.stack([71.0 + 120 * camera[:, 0] / -camera[:, 2], 64.5 - 120 * camera[:, 1] / -camera[:, 2]], 1)
    inside = ((pixels > 0) & (pixels < [160, 120])).all(1)
    column, row = pixels[inside].astype(int).T
    assert (shot.light[row, column, 3] > 0.5).mean() > 0.95
    rows, columns = np.nonzero(shot.light[..., 3] > 0.5)
    low, high = pixels[inside].min(0), pixels[inside].max(0)
    assert np.abs([columns.min() - low[0], rows.min() - low[1]]).max() < 2
    assert np.abs([columns.max() + 1 - high[0], rows.max() + 1 - high[1]]).max() < 2


def test_w300lp_has_the_official_members_and_fields(archives):
    made = archives["w300lp"]
    images = [name for name in made.members if name.endswith(".jpg")]
    assert len(images) == len(made.truth) == 4 * 2 * 2
    for name in images:
        folder, stem = re.fullmatch(r"300W_LP/(\w+?)(?:_Flip)?/(\w+)\.jpg", name).groups()
        assert re.fullmatch(W300LP_NAMES, f"{folder}/{stem}"), name
        schema = whosmat(io.BytesIO(made.members[name.replace(".jpg", ".mat")]))
        assert {field: (shape, kind) for field, shape, kind in schema} == W300LP_FIELDS
        points = loadmat(io.BytesIO(made.members[f"300W_LP/landmarks/{folder}/{stem}_pts.mat"]))
        assert points["pts_2d"].shape == points["pts_3d"].shape == (68, 2)
    assert {name.split("/")[1] for name in made.members} == {
        *(f"{part}{flip}" for part in ("AFW", "HELEN", "IBUG", "LFPW") for flip in ("", "_Flip")),
        *("landmarks", "Code"),
    }
    assert len({row["subject"] for row in made.truth.values()}) == 4


@pytest.mark.parametrize("layout", ["w300lp", "aflw2000"])
def test_pose_para_is_the_rotation_and_the_position(archives, layout):
    made = archives[layout]
    for name, row in made.truth.items():
        fields = made.mat(name)
        rotation = pose_para_rotation(fields)
        np.testing.assert_allclose(rotation.ravel(), row["rotation"], atol=1e-6)
        points = (fields["pt2d"] if layout == "w300lp" else fields["pt3d_68"][:2]).T - 0.5
        assert reprojection_error(row, rotation, points) < 1e-3
        x, y, _, scale = fields["Pose_Para"][0, 3:]
        jaw_ends = points[[0, 16]].mean(0) + 0.5
        assert np.abs(jaw_ends - [x, SIZES[layout] + 1 - y]).max() < 6
        height = np.ptp(np.reshape(row["landmarks_head"], (68, 3)) @ rotation.T, axis=0)[1]
        assert np.ptp(points[:, 1]) == pytest.approx(1e6 * scale * height, rel=0.25), "except for the perspective"


def test_the_flip_is_the_mirror_image(archives):
    made = archives["w300lp"]
    order = [*range(16, -1, -1), *range(26, 16, -1), 27, 28, 29, 30, *range(35, 30, -1)]
    order += [45, 44, 43, 42, 47, 46, 39, 38, 37, 36, 41, 40]
    order += [*range(54, 47, -1), *range(59, 54, -1), *range(64, 59, -1), 67, 66, 65]
    for name in (name for name, row in made.truth.items() if not row["flipped"]):
        twin = re.sub(r"/(\w+)/", r"/\1_Flip/", name, count=1)
        assert made.truth[twin]["flipped"]
        pixels, mirrored = made.image(name).astype(float), made.image(twin)[:, ::-1].astype(float)
        assert np.abs(pixels - mirrored).mean() < 4, "except for JPEG artefacts"
        fields, other = made.mat(name), made.mat(twin)
        np.testing.assert_allclose(other["pt2d"][0], SIZES["w300lp"] + 1 - fields["pt2d"][0, order])
        np.testing.assert_allclose(other["pt2d"][1], fields["pt2d"][1, order])
        pitch, yaw, roll = fields["Pose_Para"][0, :3]
        np.testing.assert_allclose(other["Pose_Para"][0, :3], [pitch, -yaw, -roll], atol=1e-6)
        np.testing.assert_allclose(other["Shape_Para"], fields["Shape_Para"])


def test_aflw2000_has_the_official_members_and_fields(archives):
    made = archives["aflw2000"]
    numbers = [re.fullmatch(r"AFLW2000/image(\d{5})\.jpg", name) for name in made.truth]
    assert len({number.group(1) for number in numbers}) == 6
    assert any(name.startswith("AFLW2000/Code/") for name in made.members)
    for name, row in made.truth.items():
        schema = whosmat(io.BytesIO(made.members[name.replace(".jpg", ".mat")]))
        assert {field: (shape, kind) for field, shape, kind in schema} == AFLW2000_FIELDS
        points, all_points = made.mat(name)["pt2d"], made.mat(name)["pt3d_68"][:2]
        hidden = points[0] == -1
        assert (points[1, hidden] == SIZES["aflw2000"] + 2).all()
        for few, many in ((0, 17), (5, 26), (6, 36), (11, 45), (14, 30), (17, 48), (20, 8)):
            assert hidden[few] or np.allclose(points[:, few], all_points[:, many], atol=1e-3)
            assert hidden[few] != row["visible"][many]


def test_the_far_side_of_a_turned_face_is_hidden(archives):
    image_left, image_right = [0, 1, 2, 17, 36], [14, 15, 16, 26, 45]
    turned = 0
    for row in archives["aflw2000"].truth.values():
        nose = np.reshape(row["rotation"], (3, 3))[:, 2]
        if abs(nose[0]) > 0.6:
            near, far = (image_left, image_right) if nose[0] > 0 else (image_right, image_left)
            assert row["visible"][near].sum() > row["visible"][far].sum()
            turned += 1
    assert turned


def read_cal(content: bytes) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Intrinsics, rotation, translation and size, by line as in the real file of 13 lines."""
    lines = [line.split() for line in content.decode().split("\n")]
    assert [len(line) for line in lines] == [3, 3, 3, 0, 4, 0, 3, 3, 3, 0, 3, 0, 2]
    matrix, rotation, translation, size = lines[:3], lines[6:9], lines[10], lines[12]
    return np.array(matrix, float), np.array(rotation, float), np.array(translation, float), np.array(size, int)


def read_depth(content: bytes) -> np.ndarray:
    """Depth in mm (height, width)."""
    width, height = np.frombuffer(content, "<i4", 2)
    values, place, found = np.zeros(width * height, int), 8, 0
    while found < len(values):
        empty, full = np.frombuffer(content, "<i4", 2, place)
        values[found + empty : found + empty + full] = np.frombuffer(content, "<i2", full, place + 8)
        found += empty + full
        place += 8 + 2 * full
    assert place == len(content)
    return values.reshape(height, width)


def read_pose(content: bytes) -> tuple[np.ndarray, np.ndarray]:
    lines = [line.split() for line in content.decode().split("\n")]
    assert [len(line) for line in lines[:5]] == [3, 3, 3, 0, 3]
    return np.array(lines[:3], float), np.array(lines[4], float)


def test_biwi_has_the_official_members(archives):
    made = archives["biwi"]
    patterns = r"readme\.txt|\d\d\.obj|\d\d/(rgb|depth)\.cal|\d\d/frame_\d{5}_(rgb\.png|pose\.txt|depth\.bin)"
    assert all(re.fullmatch(f"hpdb/({patterns})", name) for name in made.members)
    with tarfile.open(made.path) as archive:
        assert archive.getmember("hpdb/02").isdir()
    subjects = {row["recording"]: row["subject"] for row in made.truth.values()}
    assert subjects == {"01": "01", "02": "02", "21": "02"}, "the second subject was recorded twice"
    everyone = recordings(20)
    assert [number for number, _ in everyone] == list(range(1, 25))
    assert {pair for pair in everyone if pair[0] != pair[1]} == {(15, 3), (18, 5), (21, 2), (22, 7)}


def test_biwi_labels_pictures_depth_maps_and_calibrations_agree(archives):
    made, flip = archives["biwi"], np.diag([1.0, -1.0, -1.0])
    for name, row in made.truth.items():
        folder = name.rpartition("/")[0]
        rotation, centre = read_pose(made.members[name.replace("rgb.png", "pose.txt")])
        np.testing.assert_allclose(flip @ rotation @ flip, np.reshape(row["rotation"], (3, 3)), atol=1e-5)
        np.testing.assert_allclose(centre, row["centre_mm"], atol=1e-2)
        colour, turn, shift, size = read_cal(made.members[f"{folder}/rgb.cal"])
        assert made.image(name).shape == (size[1], size[0], 3) == (120, 160, 3)
        assert 0.01 < np.degrees(Rotation.from_matrix(turn).magnitude()) < 0.5
        assert 20 < np.linalg.norm(shift) < 35
        np.testing.assert_allclose(flip @ turn @ rotation @ flip, np.reshape(row["rotation_colour"], (3, 3)), atol=1e-5)

        x, y, z = colour @ (turn @ centre + shift)
        x0, y0, x1, y1 = row["box"]
        assert x0 < x / z < x1
        assert y0 < y / z < y1
        assert reprojection_error(row, flip @ turn @ rotation @ flip, np.reshape(row["landmarks"], (68, 2))) < 1e-2

        matrix, identity, zero, _ = read_cal(made.members[f"{folder}/depth.cal"])
        np.testing.assert_array_equal(np.c_[identity, zero], np.eye(3, 4))
        depth = read_depth(made.members[name.replace("rgb.png", "depth.bin")])
        x, y, z = matrix @ centre
        assert depth.shape == (120, 160)
        surface = depth[int(y / z), int(x / z)]
        assert 10 < centre[2] - surface < 130, "the head's surface is before its centre"
        assert not depth[0].any()
        assert not depth[:, 0].any()
        # every depth pixel, seen by the colour camera, lies on the body that the colour picture shows
        rows, columns = np.nonzero(depth)
        points = depth[rows, columns] * (np.linalg.inv(matrix) @ [columns + 0.5, rows + 0.5, np.ones(len(rows))])
        near = np.linalg.norm(points.T - centre, axis=1) < 160
        u, v, w = colour @ (turn @ points[:, near] + shift[:, None])
        np.testing.assert_allclose([(u / w).min(), (u / w).max()], [x0, x1], atol=6)
        assert abs((v / w).min() - y0) < 6


def test_pointing04_has_the_official_names_and_faces(archives):
    made = archives["pointing04"]
    name_of = r"Person01/person01([12])(\d\d)([+-]\d+)([+-]\d+)\.jpg"
    assert len(made.truth) == 2 * 3
    for name, row in made.truth.items():
        series, number, tilt, pan = map(int, re.fullmatch(name_of, name).groups())
        assert (series, tilt, pan) == (row["series"], row["tilt"], row["pan"])
        step = (number - 1) // 13 - 3  # the official browsing program's arithmetic
        assert (tilt, pan) == ({-3: -60, 3: 60}.get(step, 15 * step), ((number - 1) % 13 - 6) * 15)
        assert made.image(name).shape == (72, 96, 3)
        nose = np.reshape(row["rotation"], (3, 3))[:, 2]
        assert np.degrees(np.arcsin(nose[1])) == pytest.approx(tilt), "+tilt looks up"
        assert np.degrees(np.arctan2(-nose[0], nose[2])) == pytest.approx(pan), "+pan looks to the image's left"
        lines = made.members[name.replace(".jpg", ".txt")].decode().split("\n")
        assert lines[:3] == [name.rpartition("/")[2], "", "Face"]
        x, y, width, height = map(int, lines[3:7])
        box = [x - width / 2, y - height / 2, x + width / 2, y + height / 2]
        np.testing.assert_allclose(box, row["box"], atol=1.5)
    fronts = {name: content for name, content in made.members.items() if name.startswith("Front/")}
    assert list(fronts) == ["Front/personne01146+0+0.jpg", "Front/personne01246+0+0.jpg"]
    for name, content in fronts.items():
        assert content == made.members[name.replace("Front/personne", "Person01/person")]


def test_the_command_line_names_the_wrong_option(tmp_path):
    command = [sys.executable, "-m", "stand_ins", "biwi", str(tmp_path / "a.tgz")]
    done = subprocess.run(
        [*command, "--subjects", "30", "--images", "1"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr.strip().endswith("error: --subjects: 1 to 20 in this layout, got 30")
    assert not list(tmp_path.iterdir())


def read_with(source: HeadPoseDataset, archive: Path, raw: Path) -> dict[str, Sample]:
    """Samples by source id, through the pipeline's reader."""
    raw.mkdir()
    source.acquire(raw, archive)
    return {entry.source_id: source.read(entry) for entry in source.entries(raw)}


def test_the_biwi_reader_finds_every_frame_pose_and_head(archives, tmp_path):
    samples = read_with(Biwi(), archives["biwi"].path, tmp_path / "raw")
    truth = archives["biwi"].truth
    assert len(samples) == len(truth)
    for source_id, sample in samples.items():
        row = truth[f"hpdb/{source_id}_rgb.png"]
        np.testing.assert_allclose(sample.rotation.ravel(), row["rotation"], atol=1e-5)
    subjects = {source_id.split("/")[0]: sample.subject for source_id, sample in samples.items()}
    assert subjects["02"] == subjects["21"] != subjects["01"]


def seen_from_far_away(points: np.ndarray, face: np.ndarray) -> Rotation:
    """Rotation of the affine camera that fits a face (68, 3) best to its points (68, 2) in an image, y down."""
    image = (points - points.mean(0)) * [1.0, -1.0]
    camera = np.linalg.lstsq(face - face.mean(0), image, rcond=None)[0].T
    u, _, vt = np.linalg.svd(camera)
    rows = u @ np.eye(2, 3) @ vt
    return Rotation.from_matrix(np.vstack([rows, np.cross(*rows)]))


def test_biwi_labels_about_the_view_ray_are_the_poses_that_pictures_of_heads_show(archives, tmp_path):
    """By each head's own landmarks in the picture; the camera is near, which changes that by 1 or 2 degrees."""
    errors = {}
    for labels in ("camera", "view_ray"):
        samples, errors[labels] = read_with(Biwi(labels=labels), archives["biwi"].path, tmp_path / labels), []
        for source_id, sample in samples.items():
            row = archives["biwi"].truth[f"hpdb/{source_id}_rgb.png"]
            points, face = np.reshape(row["landmarks"], (68, 2)), np.reshape(row["landmarks_head"], (68, 3))
            turn = seen_from_far_away(points, face).inv() * Rotation.from_matrix(sample.rotation)
            errors[labels].append(np.degrees(turn.magnitude()))
    assert max(errors["view_ray"]) < 3
    assert np.mean(errors["camera"]) > 2 * np.mean(errors["view_ray"])


@pytest.mark.parametrize(("layout", "source"), [("aflw2000", Aflw2000()), ("w300lp", W300Lp())])
def test_the_mat_readers_find_every_picture_pose_and_landmark(archives, layout, source, tmp_path):
    samples = read_with(source, archives[layout].path, tmp_path / "raw")
    truth = archives[layout].truth
    assert len(samples) == len(truth)
    folder = {"aflw2000": "AFLW2000", "w300lp": "300W_LP"}[layout]
    for source_id, sample in samples.items():
        row = truth[f"{folder}/{source_id}.jpg"]
        np.testing.assert_allclose(sample.rotation.ravel(), row["rotation"], atol=1e-6)
        np.testing.assert_allclose(sample.landmarks, np.reshape(row["landmarks"], (68, 2)), atol=0.6)


def test_the_pointing04_reader_finds_every_picture_once(archives, tmp_path):
    samples = read_with(Pointing04(), archives["pointing04"].path, tmp_path / "raw")
    truth = archives["pointing04"].truth
    assert {f"{source_id}.jpg" for source_id in samples} == set(truth)
    for source_id, sample in samples.items():
        row = truth[f"{source_id}.jpg"]
        np.testing.assert_allclose(sample.given_box, row["box"], atol=1.5)
        yaw, pitch, _ = sample.euler_deg
        assert (pitch, yaw) == (row["tilt"], row["pan"])
