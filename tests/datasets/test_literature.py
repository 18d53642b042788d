"""The squares that the literature cuts out of 300W-LP and AFLW2000-3D: worked out by hand, and by its own steps."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat
from torchvision.transforms import v2

from pipeline_steps.datasets.aflw2000 import Aflw2000
from pipeline_steps.datasets.base import HeadPoseDataset, Sample
from pipeline_steps.datasets.w300lp import W300Lp
from pipeline_steps.images.boxes import CropBox, head_box
from pipeline_steps.images.crop_file import Crop
from pipeline_steps.images.cropping import CropFormat, Cropper
from pipeline_steps.images.rejected_file import Rejected

POSE = np.array([[0.1, -0.5, 0.2, 0, 0, 0, 1]])
LITERATURE = CropBox(box="literature")


def aflw2000(folder: Path, pt2d: np.ndarray | None) -> Path:
    """An image with colours that change smoothly, and its annotation, in the layout of AFLW2000-3D."""
    target = folder / "raw/unpacked/AFLW2000"
    target.mkdir(parents=True)
    y, x = np.mgrid[:450, :450]
    waves = [127 + 120 * np.sin(a) for a in (x / 40, y / 30, (x + y) / 50)]
    Image.fromarray(np.stack(waves, 2).astype(np.uint8)).save(target / "image00002.jpg", quality=95)
    fields = {} if pt2d is None else {"pt2d": pt2d.T}
    savemat(target / "image00002.mat", {"Pose_Para": POSE, "pt3d_68": spread((90, 90), (260, 310)).T} | fields)
    return folder / "raw"


def w300lp(folder: Path, pt2d: np.ndarray) -> Path:
    target = folder / "raw/unpacked/AFW"
    target.mkdir(parents=True)
    Image.new("RGB", (450, 450)).save(target / "AFW_1_0.jpg")
    savemat(target / "AFW_1_0.mat", {"Pose_Para": POSE, "pt2d": pt2d.T})
    return folder / "raw"


def spread(first: tuple[float, float], last: tuple[float, float], points: int = 68) -> np.ndarray:
    return np.linspace(first, last, points)


def only_sample(source: HeadPoseDataset, raw: Path) -> Sample:
    (entry,) = source.entries(raw)
    return source.read(entry)


@pytest.mark.parametrize(
    ("hidden", "expected"),
    [
        # 100 x 60: 40 left, 24 above; 0.4 of 140 right, 0.12 of 84 below: 60, 96, 256, 190.08. The middle 94 px
        (None, [111, 96, 205, 190]),
        # -1 and 452 are taken for coordinates. -1 to 200 and 120 to 452: -81.4, -12.8, 312.56, 507.776. The middle 393
        ((-1, 452), [-81, 51, 312, 444]),
    ],
)
def test_the_square_of_a_test_image_is_the_middle_of_the_box_around_the_raw_points(tmp_path, hidden, expected):
    points = spread((100, 120), (200, 180), 21)
    if hidden:
        points[7] = hidden
    sample = only_sample(Aflw2000(), aflw2000(tmp_path, points))
    np.testing.assert_allclose(head_box(sample, "literature", 450, 450), expected)


@pytest.mark.parametrize(
    ("hidden", "expected"),
    [
        # 100 x 100, k = 0.3: 18 left, 60 above; 0.18 of 118 right, 0.18 of 160 below: 82, 140, 221.24, 328.8.
        # 224 / 240 of the shorter side, 139, around (151.5, 234)
        (None, [86.63, 169.13, 216.37, 298.87]),
        # from -1 to 200 and 300: -37.18, -181.6, 242.69, 386.69. 224 / 240 of 279 around (102.5, 102.5)
        ((-1, -1), [-27.7, -27.7, 232.7, 232.7]),
    ],
)
def test_the_square_of_a_training_image_has_the_mean_margins(tmp_path, hidden, expected):
    points = spread((100, 200), (200, 300))
    if hidden:
        points[7] = hidden
    sample = only_sample(W300Lp(), w300lp(tmp_path, points))
    np.testing.assert_allclose(head_box(sample, "literature", 450, 450), expected, atol=0.01)


def hopenet_test_image(image: Image.Image, pt2d: np.ndarray, size: int) -> np.ndarray:
    """Pixels of class AFLW2000 and test_hopenet.py of github.com/natanielruiz/deep-head-pose, step by step."""
    (x_min, y_min), (x_max, y_max) = pt2d.min(0), pt2d.max(0)
    k = 0.20
    x_min -= 2 * k * abs(x_max - x_min)
    y_min -= 2 * k * abs(y_max - y_min)
    x_max += 2 * k * abs(x_max - x_min)
    y_max += 0.6 * k * abs(y_max - y_min)
    image = image.crop((int(x_min), int(y_min), int(x_max), int(y_max)))
    return np.asarray(v2.Compose([v2.Resize(size), v2.CenterCrop(size)])(image))


@pytest.mark.parametrize("hidden", [False, True])
def test_a_test_crop_has_the_pixels_of_hopenet(tmp_path, hidden):
    points = spread((120, 130), (250, 300), 21)
    if hidden:
        points[3] = -1, 452
    raw, source = aflw2000(tmp_path, points), Aflw2000()
    (entry,) = source.entries(raw)
    crop = Cropper(source, LITERATURE, CropFormat(size=112, border="constant")).crop(entry)
    assert isinstance(crop, Crop)
    expected = hopenet_test_image(Image.open(entry.image), points, 112)
    difference = np.abs(crop.image.astype(float) - expected)
    assert difference.mean() < 3, "half a pixel of the image, which the colours change by 4 levels in"
    assert (expected == 0).all(2).mean() > 0.02 or not hidden, "the box reaches beyond the image, where it is black"
    loose = Cropper(source, CropBox(box="landmarks_loose"), CropFormat(size=112)).crop(entry)
    assert isinstance(loose, Crop)
    assert np.abs(loose.image.astype(float) - expected).mean() > 20


def test_training_windows_of_hopenet_are_as_large_and_where_the_square_is_on_average(tmp_path):
    points = spread((100, 200), (190, 300))
    x0, y0, x1, y1 = head_box(only_sample(W300Lp(), w300lp(tmp_path, points)), "literature", 450, 450)
    rng, windows = np.random.default_rng(0), []
    for _ in range(4000):  # class Pose_300W_LP and train_hopenet.py: Scale(240), RandomCrop(224)
        (x_min, y_min), (x_max, y_max) = points.min(0), points.max(0)
        k = rng.random() * 0.2 + 0.2
        x_min -= 0.6 * k * abs(x_max - x_min)
        y_min -= 2 * k * abs(y_max - y_min)
        x_max += 0.6 * k * abs(x_max - x_min)
        y_max += 0.6 * k * abs(y_max - y_min)
        pixel = min(int(x_max) - int(x_min), int(y_max) - int(y_min)) / 240
        side = 224 * pixel
        left = rng.uniform(int(x_min), int(x_max) - side)
        top = rng.uniform(int(y_min), int(y_max) - side)
        windows.append([side, left + side / 2, top + side / 2])
    sides, x, y = np.array(windows).T
    np.testing.assert_allclose([x1 - x0, (x0 + x1) / 2, (y0 + y1) / 2], [sides.mean(), x.mean(), y.mean()], atol=1)
    assert (sides.min() / (x1 - x0), sides.max() / (x1 - x0)) == pytest.approx((0.9, 1.1), abs=0.015)


@pytest.mark.parametrize("pt2d", [None, np.full((21, 2), -1.0), np.full((21, 2), np.nan)])
def test_an_image_without_usable_points_is_rejected_by_this_rule_alone(tmp_path, pt2d):
    raw, source = aflw2000(tmp_path, pt2d), Aflw2000()
    (entry,) = source.entries(raw)
    rejected = Cropper(source, LITERATURE, CropFormat(size=32)).crop(entry)
    assert isinstance(rejected, Rejected)
    assert "choose another crop.box" in rejected.reason or "unusable box" in rejected.reason
    assert isinstance(Cropper(source, CropBox(box="landmarks_loose"), CropFormat(size=32)).crop(entry), Crop)
