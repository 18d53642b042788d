"""Limiting the detail of crops to that of the training images."""

import numpy as np
import pytest
from PIL import Image

from pipeline_steps.images.detail import limit_detail

CROPS = np.random.default_rng(0).integers(0, 256, (5, 48, 48, 3), np.uint8)


@pytest.mark.parametrize("batch_size", [2, 256])
def test_crops_are_shrunk_and_enlarged_as_pillow_does(batch_size: int):
    limited = limit_detail(CROPS, 20, batch_size)
    assert limited.dtype == np.uint8
    bicubic = Image.Resampling.BICUBIC
    expected = [Image.fromarray(crop).resize((20, 20), bicubic).resize((48, 48), bicubic) for crop in CROPS]
    np.testing.assert_allclose(limited.astype(int), np.stack(expected).astype(int), atol=2)
    assert limited.std() < 0.6 * CROPS.std()


@pytest.mark.parametrize("side", [None, 48, 224])
def test_a_limit_of_the_crop_size_or_more_changes_nothing(side: int | None):
    np.testing.assert_array_equal(limit_detail(CROPS, side), CROPS)
