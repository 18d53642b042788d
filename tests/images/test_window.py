"""The window in the middle of a crop, with values worked out by hand and by torch's interpolation."""

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from pipeline_steps.images.augmentation import RandomWindow
from pipeline_steps.images.crop_file import Crop, CropFile, write_crops
from pipeline_steps.images.window import as_seen, middle_window, read_as_seen, side_needed
from pipeline_steps.job.errors import UserError
from pipeline_steps.training.data import CropDataset

SIZE, STORED = 32, 64
NOISE = np.random.default_rng(0).integers(0, 256, (5, STORED, STORED, 3), np.uint8)


def interpolated(images: np.ndarray) -> np.ndarray:
    batch = torch.from_numpy(images).permute(0, 3, 1, 2).float()
    resized = F.interpolate(batch, (SIZE, SIZE), mode="bilinear", align_corners=False)
    return resized.permute(0, 2, 3, 1).numpy()


def middle(images: np.ndarray, side: int) -> np.ndarray:
    edge = (images.shape[1] - side) // 2
    return images[:, edge : edge + side, edge : edge + side]


@pytest.mark.parametrize("stored", [SIZE, 48, STORED])
def test_the_whole_crop_is_seen_to_the_bit(stored: int):
    np.testing.assert_array_equal(as_seen(middle(NOISE, stored), SIZE, 1.0), middle(NOISE, SIZE))


def test_a_window_twice_as_large_shows_means_of_four_pixels():
    blocks = NOISE.reshape(5, SIZE, 2, SIZE, 2, 3).mean((2, 4))
    np.testing.assert_allclose(as_seen(NOISE, SIZE, 2.0), blocks, atol=0.501)


def test_a_window_of_half_the_side_shows_the_middle_of_the_crop():
    seen = as_seen(NOISE, SIZE, 0.5).astype(float)
    expected = interpolated(middle(NOISE, SIZE // 2))
    inner = slice(
        1, -1
    )  # at its edge, the window shows what lies beyond, and interpolation of its pixels alone does not
    np.testing.assert_allclose(seen[:, inner, inner], expected[:, inner, inner], atol=0.501)


@pytest.mark.parametrize("batch_size", [2, 256])
def test_a_large_window_is_what_interpolation_makes_of_its_pixels(batch_size: int):
    seen = as_seen(NOISE, SIZE, 1.5, batch_size=batch_size)
    np.testing.assert_allclose(seen, interpolated(middle(NOISE, 48)), atol=0.501)


@pytest.mark.parametrize("window", [0.5, 0.9, 1.1, 1.73])
def test_tests_and_trainings_sample_windows_alike(window: float):
    images = torch.from_numpy(NOISE).permute(0, 3, 1, 2).float()
    trained_on, _ = RandomWindow(SIZE, (window, window), 0.0)(images)
    np.testing.assert_allclose(
        as_seen(NOISE, SIZE, window), trained_on.permute(0, 2, 3, 1).numpy(), atol=0.51, err_msg="but for whole levels"
    )


def test_detail_is_that_of_the_crop_whatever_its_window():
    """A crop of 32 pixels with 16 pixels' detail is 48 with 24 where it has its context."""
    bicubic = Image.Resampling.BICUBIC
    soft = [Image.fromarray(of).resize((24, 24), bicubic).resize((48, 48), bicubic) for of in middle(NOISE, 48)]
    seen = as_seen(NOISE, SIZE, 1.5, detail=16).astype(float)
    np.testing.assert_allclose(seen, interpolated(np.stack(soft)), atol=2.5)
    soft = [Image.fromarray(of).resize((16, 16), bicubic).resize((32, 32), bicubic) for of in middle(NOISE, 32)]
    np.testing.assert_allclose(as_seen(NOISE, SIZE, 1.0, detail=16).astype(float), np.stack(soft), atol=2.5)


@pytest.mark.parametrize(("window", "side"), [(0.1, 32), (1.0, 32), (1.05, 34), (1.1, 36), (1.5, 48), (2.0, 64)])
def test_no_more_context_is_needed_than_a_window_reaches(window: float, side: int):
    assert side_needed(SIZE, window) == side


@pytest.mark.parametrize(("scale", "window"), [((1.0, 1.0), 1), ((0.8, 1.0), 0.9), ((0.9, 1.1), 1), ((0.7, 1.0), 0.85)])
def test_the_middle_of_the_training_windows(scale: tuple[float, float], window: float):
    assert middle_window(scale) == window


def test_a_window_that_reaches_beyond_the_stored_context_is_refused(tmp_path: Path):
    path, rule = tmp_path / "crops.h5", {"size": SIZE, "context": 0.25}
    crops = [Crop("a", middle(NOISE, 48)[0], "p", np.eye(3), np.zeros(3))]
    write_crops(path, crops, 1, "heads", "{}", rule)
    with CropFile(path) as file:
        assert read_as_seen(file, np.array([0]), 1.5).shape == (1, SIZE, SIZE, 3)
        refusal = (
            r"crops.h5: a window of 1.6 times the crop reaches beyond what is stored, 1.5 times; raise crops.context"
        )
        with pytest.raises(UserError, match=refusal):
            read_as_seen(file, np.array([0]), 1.6)
    with pytest.raises(UserError, match=refusal):
        CropDataset(path, ["a"], window=1.6)
    with pytest.raises(ValueError, match=r"crops of 32 pixels, but a window of 1.5 is cut from 48"):
        as_seen(middle(NOISE, SIZE), SIZE, 1.5)


def test_images_to_validate_on_are_windows(tmp_path: Path):
    path, rule = tmp_path / "crops.h5", {"size": SIZE, "context": 0.5}
    write_crops(path, [Crop(str(n), NOISE[n], "p", np.eye(3), np.zeros(3)) for n in range(5)], 5, "heads", "{}", rule)
    whole, windows = (CropDataset(path, ["3", "1"], window=w).__getitems__([0, 1])["images"] for w in (1.0, 2.0))
    np.testing.assert_array_equal(whole.permute(0, 2, 3, 1), middle(NOISE, SIZE)[[3, 1]])
    blocks = NOISE.reshape(5, SIZE, 2, SIZE, 2, 3).mean((2, 4))
    np.testing.assert_allclose(windows.permute(0, 2, 3, 1), blocks[[3, 1]], atol=0.501)
