"""From stored bytes to what networks compute with: the range 0 to 1, which backbones normalise as for ImageNet."""

from torch import Tensor

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
"""Of the red, green and blue values of ImageNet's training images, which range from 0 to 1."""


def to_unit_range(images: Tensor) -> Tensor:
    """Images uint8, of any shape and memory layout, as float32 from 0 to 1."""
    return images.float().div(255)
