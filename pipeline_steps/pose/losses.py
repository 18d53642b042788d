"""Losses between rotations."""

import math

from torch import Tensor


def geodesic_loss(predicted: Tensor, rotation: Tensor) -> Tensor:
    """Mean geodesic distance, in radians, of rotations (B, 3, 3) (6DRepNet: arXiv 2202.12555, equation 6).

    Computed from the chord |a - b|_F = sqrt(8) sin(angle / 2); a small constant keeps its square root away from zero,
    where it has no gradient.
    """
    chord = ((predicted - rotation) ** 2).sum((1, 2)).add(1e-8).sqrt()
    return 2 * (chord / math.sqrt(8)).clamp(max=1 - 1e-6).asin().mean()
