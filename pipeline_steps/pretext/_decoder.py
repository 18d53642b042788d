"""The tasks that reconstruct masked pixels: how pixels are masked, a light decoder, a masked mean."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from pipeline_steps.images.normalisation import IMAGENET_MEAN
from pipeline_steps.pretext.base import Views


class Original(NamedTuple):
    """The images (B, 3, S, S) in 0..1 before masking, and the mask (B, 1, S, S), true where a pixel was masked."""

    images: Tensor
    mask: Tensor


def masked(images: Tensor, mask: Tensor) -> Views:
    """One view per image: masked pixels get ImageNet's mean colour, which the backbone normalises to zero."""
    colour = images.new_tensor(IMAGENET_MEAN).view(3, 1, 1)
    return Views(torch.where(mask, colour, images), Original(images, mask))


def decoder(features: int, width: int, doublings: int, channels: int) -> nn.Sequential:
    """From feature maps (B, features, h, w) to (B, channels, h * 2**doublings, w * 2**doublings).

    Every block doubles the resolution and halves the `width`, so that all blocks cost about the same. Upsampling is
    nearest-neighbour: on CUDA the gradient of bilinear upsampling is either not deterministic or slow.
    """
    layers: list[nn.Module] = [nn.Conv2d(features, width, 1)]
    for _ in range(doublings):
        convolution = nn.Conv2d(width, width // 2, 3, padding=1, bias=False)
        width //= 2
        layers += [nn.Upsample(scale_factor=2), convolution, nn.BatchNorm2d(width), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers, nn.Conv2d(width, channels, 1))


def weighted_mean(values: Tensor, weights: Tensor) -> Tensor:
    """Weighted mean of values (B, C, H, W) with weights (B, 1, H, W), of which at least one is not zero."""
    return (values.mean(1, keepdim=True) * weights).sum() / weights.sum()
