"""Colours are jittered as torchvision does it: brightness multiplies, contrast blends with the mean grey."""

import pytest
import torch
from torch import Tensor
from torchvision.transforms.v2 import functional as reference

from pipeline_steps.images.augmentation import Augmentation, BatchAugmentation

COUNT, SIZE = 256, 16


def jittered(images: Tensor, **colours: float) -> Tensor:
    """Images (B, 3, S, S) after nothing but the given changes of colour."""
    torch.manual_seed(0)
    seen, _ = BatchAugmentation(Augmentation(flip=0.0, **colours), images.shape[-1])(images)
    return seen


def uniform(value: float) -> Tensor:
    """Grey images (COUNT, 3, SIZE, SIZE)."""
    return torch.full((COUNT, 3, SIZE, SIZE), value)


def photographs() -> Tensor:
    """Images (COUNT, 3, 32, 32) of a slanting gradient with fine texture, which spans 0.05 to 0.95."""
    generator = torch.Generator().manual_seed(0)
    ramp = torch.linspace(0.15, 0.85, 32)
    gradient = (ramp + ramp[:, None]) / 2
    texture = 0.2 * torch.rand(COUNT, 3, 32, 32, generator=generator) - 0.1
    return gradient + texture


def test_brightness_multiplies_by_one_factor_per_image():
    seen = jittered(uniform(0.5), brightness=0.4)
    factors = seen[:, 0, 0, 0] / 0.5
    assert 0.6 <= factors.min() < 0.62
    assert 1.38 < factors.max() <= 1.4
    torch.testing.assert_close(seen, 0.5 * factors[:, None, None, None].expand_as(seen))
    twice_as_dark = jittered(uniform(0.25), brightness=0.4)
    torch.testing.assert_close(twice_as_dark, seen / 2)
    assert not jittered(uniform(0.0), brightness=0.4).any(), "black stays black"


def test_contrast_leaves_a_uniform_grey_as_it_is():
    torch.testing.assert_close(jittered(uniform(0.3), contrast=0.4), uniform(0.3), atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    ("name", "adjust", "factor_of"),
    [
        ("contrast", reference.adjust_contrast, lambda before, after: (after.std() / before.std()).item()),
        (
            "saturation",
            reference.adjust_saturation,
            lambda before, after: ((after[0] - after[1]).std() / (before[0] - before[1]).std()).item(),
        ),
    ],
)
def test_contrast_and_saturation_are_torchvisions(name, adjust, factor_of):
    """Both multiply differences: between pixels or between channels. The factor is read off those."""
    images = 0.4 + 0.2 * torch.rand(8, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(1))
    if name == "contrast":  # differences between channels would count as differences between pixels
        images = images[:, :1].expand(-1, 3, -1, -1)
    factors = []
    for before, after in zip(images, jittered(images, **{name: 0.4}), strict=True):
        factors.append(factor_of(before, after))
        torch.testing.assert_close(after, adjust(before, factors[-1]), atol=1e-3, rtol=0)
    assert 0.6 <= min(factors) < 0.9
    assert 1.1 < max(factors) <= 1.4001


def test_few_pixels_of_a_photograph_saturate():
    images = photographs()
    assert images.min() >= 0.05
    assert images.max() <= 0.95
    seen = jittered(images, brightness=0.4, contrast=0.4)
    assert ((seen <= 0) | (seen >= 1)).float().mean() < 0.06


def test_the_seed_says_which_colours_come_out():
    images = torch.rand(4, 3, SIZE, SIZE)
    colours = {"brightness": 0.4, "contrast": 0.4, "saturation": 0.4, "hue": 0.1}
    assert torch.equal(jittered(images, **colours), jittered(images, **colours))
