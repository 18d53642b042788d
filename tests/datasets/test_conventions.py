"""Real photographs: the poses that the readers return agree with the landmarks.

None of the project's own conversions is used: rotations come from the raw fields through SciPy, and again from
Procrustes fits of the 68 landmarks.
"""

import itertools
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.io import loadmat
from scipy.spatial.transform import Rotation

from pipeline_steps.checks.head_size import require_heads
from pipeline_steps.checks.labels import check_labels
from pipeline_steps.datasets.aflw2000 import Aflw2000
from pipeline_steps.datasets.base import Entry, HeadPoseDataset, Sample
from pipeline_steps.datasets.biwi import Biwi
from pipeline_steps.datasets.image_folder import ImageFolder
from pipeline_steps.datasets.w300lp import W300Lp
from pipeline_steps.images.boxes import CropBox, head_box, square_around
from pipeline_steps.images.crop_file import CropFile, write_crops
from pipeline_steps.images.cropping import CropFormat, Cropper, checked_label
from pipeline_steps.images.image_files import open_rgb
from pipeline_steps.images.rejected_file import Rejected
from pipeline_steps.job.errors import UserError
from pipeline_steps.pose.geometry import geodesic_distance_deg, mirror_rotation
from pipeline_steps.pose.landmarks import poses_of_landmarks
from tests.datasets.test_datasets import literature_euler

pytestmark = [
    pytest.mark.realdata,
    pytest.mark.skipif("HEADPOSE_REAL_DATA" not in os.environ, reason="HEADPOSE_REAL_DATA is not set"),
]

# the index of each of the 68 iBUG landmarks in the mirror image of a face
_RUNS = [  # jaw, brows, bridge, nostrils, right and left eye, outer and inner lips
    *((16, -1), (26, 16)),
    *((27, 28), (28, 29), (29, 30), (30, 31)),
    *((35, 30), (45, 41), (47, 45), (39, 35), (41, 39), (54, 47), (59, 54), (64, 59), (67, 64)),
]
MIRROR = np.concatenate([np.arange(first, last, 1 if last > first else -1) for first, last in _RUNS])
INNER = np.arange(17, 68)  # without the cheeks, whose points follow the visible outline in 300W-LP


def read(source: HeadPoseDataset, raw: Path, archive: str) -> dict[str, tuple[Path, Sample]]:
    raw.mkdir()
    source.acquire(raw, Path(os.environ["HEADPOSE_REAL_DATA"]) / archive)
    return {entry.source_id: (entry.image, source.read(entry)) for entry in source.entries(raw)}


@pytest.fixture(scope="module")
def aflw2000(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, Sample]]:
    return read(Aflw2000(), tmp_path_factory.mktemp("aflw2000") / "raw", "aflw2000_dev300.tar.gz")


@pytest.mark.parametrize(
    ("source", "archive", "box", "step"),
    [
        (Aflw2000(), "aflw2000_dev300.tar.gz", "landmarks_loose", 1),
        (Aflw2000(), "aflw2000_dev300.tar.gz", "literature", 1),
        (Biwi(labels="view_ray"), "biwi_face_crops.tar.gz", "whole_image", 20),
    ],
    ids=["aflw2000", "aflw2000-literature", "biwi"],
)
def test_no_real_image_is_rejected(tmp_path, source, archive, box, step):
    source.acquire(tmp_path, Path(os.environ["HEADPOSE_REAL_DATA"]) / archive)
    cropper = Cropper(source, CropBox(box=box), CropFormat(size=64, context=0.1))
    cropped = [cropper.crop(entry) for entry in list(source.entries(tmp_path))[::step]]
    assert not [item for item in cropped if isinstance(item, Rejected)]


def test_no_real_image_of_aflw2000_is_said_to_disagree_with_its_landmarks(tmp_path):
    """The limit of the data card's check is well above what sound labels show: docs/data.md."""
    source = Aflw2000()
    source.acquire(tmp_path, Path(os.environ["HEADPOSE_REAL_DATA"]) / "aflw2000_dev300.tar.gz")
    cropper = Cropper(source, CropBox(box="landmarks_tight", margin=0.1), CropFormat(size=16))
    crops = [cropper.crop(entry) for entry in source.entries(tmp_path)]
    write_crops(tmp_path / "crops.h5", crops, len(crops), "aflw2000", "{}", cropper.rule)
    with CropFile(tmp_path / "crops.h5") as file:
        checks = check_labels(file)
        errors = [
            min(geodesic_distance_deg(poses_of_landmarks(points), rotation))
            for points, rotation in zip(file.landmarks, file.rotation, strict=True)
        ]
    assert [(check["images"], check["disagree"]) for check in checks.values()] == [(300, 0), (300, 0)]
    assert checks["pose against landmarks"]["median_deg"] < 5
    assert max(errors) < 15


def test_real_face_crops_are_accepted_as_crops_and_not_within_a_room(biwi, tmp_path):
    """Faces of BIWI, and the same faces in the middle of a grey picture of the official size."""
    names = list(biwi)[::1000]
    faces = [Entry(name, biwi[name][0]) for name in names]
    require_heads(ImageFolder(labels=None), CropBox(box="whole_image"), [replace(e, label={}) for e in faces], "biwi")
    rooms = []
    for number, entry in enumerate(faces):
        room = Image.new("RGB", (640, 480), "grey")
        room.paste(Image.open(entry.image), (260, 180))
        room.save(tmp_path / f"{number}.png")
        rooms.append(Entry(f"{number}.png", tmp_path / f"{number}.png", {}))
    with pytest.raises(UserError, match=r"datasets\.biwi\.crop\.box: whole_image is for images"):
        require_heads(ImageFolder(labels=None), CropBox(box="whole_image"), rooms, "biwi")


def centred(points: np.ndarray) -> np.ndarray:
    points = points - points.mean(0)
    return points / np.linalg.norm(points)


def raw_points(image: Path) -> np.ndarray:
    """The 68 points (68, 3) of the annotation with y turned up, centred, of norm 1."""
    return centred(loadmat(image.with_suffix(".mat"))["pt3d_68"].T * [1.0, -1.0, 1.0])


def within_99(samples: dict[str, tuple[Path, Sample]]) -> list[tuple[Path, Sample]]:
    return [(image, s) for image, s in samples.values() if (np.abs(s.euler_deg) <= 99).all()]


def scipy_rotation(image: Path) -> Rotation:
    """Pose_Para as 300W-LP defines it: R = Rx(pitch) Ry(yaw) Rz(roll), each turning against SciPy's sense."""
    pitch, yaw, roll = loadmat(image.with_suffix(".mat"))["Pose_Para"][0, :3]
    return Rotation.from_euler("XYZ", [-pitch, -yaw, -roll])


@pytest.fixture(scope="module")
def mean_face(aflw2000: dict[str, tuple[Path, Sample]]) -> np.ndarray:
    """The mean of all faces turned to the front (68, 3)."""
    kept = within_99(aflw2000)
    return centred(np.mean([scipy_rotation(image).inv().apply(raw_points(image)) for image, _ in kept], axis=0))


def angle(a: Rotation, b: Rotation) -> float:
    return float(np.degrees((a.inv() * b).magnitude()))


def seen_rotation(points: np.ndarray, face: np.ndarray) -> Rotation:
    """Rotation under which the face (K, 3), seen from far away, has its points at (K, 2), x right, y up."""
    linear = np.linalg.lstsq(face - face.mean(0), points - points.mean(0), rcond=None)[0].T
    u, _, vt = np.linalg.svd(linear)
    rows = u @ np.eye(2, 3) @ vt
    return Rotation.from_matrix(np.vstack([rows, np.cross(*rows)]))


def test_aflw2000_labels_equal_scipys_rotations_of_the_raw_angles(aflw2000):
    assert len(aflw2000) == 300
    for image, sample in aflw2000.values():
        assert angle(Rotation.from_matrix(sample.rotation), scipy_rotation(image)) < 1e-4
        checked_label(sample)


def test_aflw2000_labels_agree_with_the_landmarks_in_space_and_in_the_image(aflw2000, mean_face):
    space, plane, wrong = [], [], []
    for image, sample in within_99(aflw2000):
        label, points = Rotation.from_matrix(sample.rotation), raw_points(image)
        space.append(angle(Rotation.align_vectors(points, mean_face)[0], label))
        plane.append(angle(seen_rotation(points[:, :2], mean_face), label))
        yaw, pitch, roll = np.radians(sample.euler_deg)
        wrong.append(
            angle(Rotation.align_vectors(points, mean_face)[0], Rotation.from_euler("ZYX", [-roll, -yaw, -pitch]))
        )
    assert np.median(space) < 2
    assert np.median(plane) < 2
    assert np.percentile(space, 95) < 4 < np.percentile(wrong, 95), "the order Rz Ry Rx would not fit"


def test_the_mirror_image_of_a_real_face_has_the_mirrored_label(aflw2000, mean_face):
    np.testing.assert_allclose(mean_face[MIRROR] * [-1, 1, 1], mean_face, atol=0.02)
    errors = []
    for image, sample in within_99(aflw2000):
        mirrored = raw_points(image)[MIRROR] * [-1, 1, 1]
        fitted = Rotation.align_vectors(mirrored, mean_face)[0]
        errors.append(angle(fitted, Rotation.from_matrix(mirror_rotation(sample.rotation))))
    assert np.median(errors) < 2


def test_the_real_pair_of_300w_lp(tmp_path, mean_face):
    folder = tmp_path / "300W_LP/IBUG"
    folder.mkdir(parents=True)
    for ending in ("jpg", "mat"):
        name = f"IBUG_image_008_1_0.{ending}"
        (folder / name).write_bytes(Path(os.environ["HEADPOSE_REAL_DATA"], name).read_bytes())
    ((image, sample),) = read(W300Lp(), tmp_path / "raw", str(tmp_path / "300W_LP")).values()
    assert sample.subject == "IBUG_image_008_1"
    assert angle(Rotation.from_matrix(sample.rotation), scipy_rotation(image)) < 1e-4
    points = loadmat(image.with_suffix(".mat"))["pt2d"].T[INNER] * [1.0, -1.0]
    seen = seen_rotation(points, mean_face[INNER])
    pitch, yaw, roll = loadmat(image.with_suffix(".mat"))["Pose_Para"][0, :3]
    errors = {
        signs: angle(seen, Rotation.from_euler("XYZ", np.multiply(signs, [pitch, yaw, roll])))
        for signs in itertools.product([1, -1], repeat=3)
    }
    assert min(errors, key=lambda signs: errors[signs]) == (-1, -1, -1), "no other choice of signs fits better"
    assert errors[-1, -1, -1] < 4
    opened = open_rgb(image)
    for rule in ("landmarks_tight", "landmarks_loose"):
        x0, y0, x1, y1 = square_around(head_box(sample, rule, *opened.size), 0.0, *opened.size)
        x, y = sample.landmarks.T
        assert x0 <= x.min() <= x.max() <= x1, rule
        assert y0 <= y.min() <= y.max() <= y1, rule


@pytest.fixture(scope="module")
def biwi_raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("biwi") / "raw"


@pytest.fixture(scope="module")
def biwi(biwi_raw: Path) -> dict[str, tuple[Path, Sample]]:
    return read(Biwi(), biwi_raw, "biwi_face_crops.tar.gz")


def test_biwi_angles_are_those_of_the_literature(biwi):
    assert len(biwi) == 14344
    assert len({s.subject for _, s in biwi.values()}) == 20
    assert len({name.split("/")[0] for name in biwi}) == 24
    angles = []
    for image, sample in list(biwi.values())[::50]:
        pose = np.loadtxt(image.with_name(image.name.replace("_rgb.jpg", "_pose.txt")), max_rows=3)
        pitch, yaw, roll = -Rotation.from_matrix(sample.rotation).as_euler("XYZ", degrees=True)
        np.testing.assert_allclose([yaw, pitch, roll], literature_euler(pose), atol=1e-3)
        angles.append([yaw, pitch, roll])
    yaw, pitch, roll = np.abs(angles).max(0)
    assert 60 < yaw < 90
    assert 45 < pitch < 90
    assert roll < 75


def test_biwi_rays_differ_from_the_optical_axis_as_measured_by_hand(biwi, biwi_raw):
    """The rays of the head centres in pose.txt, and what they make of yaw and pitch: standard deviations in degrees."""
    source = Biwi(labels="view_ray")
    entries = list(source.entries(biwi_raw))[::4]
    published = np.array([biwi[entry.source_id][1].rotation for entry in entries])
    labels = np.array([source.read(entry).rotation for entry in entries])
    rays = (published @ np.swapaxes(labels, 1, 2))[:, :, 2]  # Q = R R_view^T takes the optical axis to the ray
    for entry, ray in list(zip(entries, rays, strict=True))[::100]:
        poses = entry.image.with_name(entry.image.name.replace("_rgb.jpg", "_pose.txt"))
        x, y, z = np.loadtxt(poses, skiprows=3)
        np.testing.assert_allclose(ray / ray[2], [-x / z, y / z, 1], atol=1e-4)
    beside, above = np.degrees(np.arctan2(rays[:, :2], rays[:, 2:])).T
    assert (beside.std(), above.std()) == pytest.approx((3.7, 3.5), abs=0.05)
    turned = [Rotation.from_matrix(r).as_euler("XYZ", degrees=True)[:, [1, 0]] for r in (published, labels)]
    assert (turned[1] - turned[0]).std(0) == pytest.approx((3.3, 4.1), abs=0.1)


def small_faces(pairs: list[tuple[Path, Sample]], box: str, margin: float) -> tuple[np.ndarray, np.ndarray]:
    """Grey faces of 24 x 24 pixels, standardised (N, 576), and their yaw in degrees (N,)."""
    faces, yaws = [], []
    for image, sample in pairs:
        image = Image.open(image).convert("L")
        square = square_around(head_box(sample, box, *image.size), margin, *image.size)
        grey = image.transform((96, 96), Image.Transform.EXTENT, tuple(square)).resize((24, 24), Image.Resampling.BOX)
        pixels = np.asarray(grey, float)
        faces.append(((pixels - pixels.mean()) / pixels.std()).ravel())
        yaws.append(-Rotation.from_matrix(sample.rotation).as_euler("XYZ", degrees=True)[1])
    return np.array(faces), np.array(yaws)


def test_a_yaw_regression_learned_on_aflw2000_works_on_biwi(biwi, aflw2000):
    """A ridge regression from pixels to yaw, fitted to one data set, correlates with the labels of the other."""
    faces, yaws = small_faces(within_99(aflw2000), "landmarks_tight", 0.1)
    weights = faces.T @ np.linalg.solve(faces @ faces.T + 1e4 * np.eye(len(faces)), yaws)
    others, expected = small_faces(list(biwi.values())[::40], "whole_image", 0.0)
    assert np.corrcoef(others @ weights, expected)[0, 1] > 0.7
