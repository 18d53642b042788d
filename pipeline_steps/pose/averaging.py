"""Several predictions for one head made one, and the flip test, which is that of a picture and its mirror image."""

from collections.abc import Callable

import numpy as np

from pipeline_steps.pose.geometry import mirror_rotation

Predict = Callable[[np.ndarray], np.ndarray]
"""Crops uint8 (N, S, S, 3) to rotations (N, 3, 3)."""


def mean_rotation(rotations: np.ndarray) -> np.ndarray:
    """The rotations (N, 3, 3) closest, by their elements, to the mean of (K, N, 3, 3) over the first axis."""
    left, _, right = np.linalg.svd(rotations.mean(0))
    left[..., -1] *= np.linalg.det(left @ right)[..., None]
    result: np.ndarray = left @ right
    return result


def flip_tested(predict: Predict, images: np.ndarray) -> np.ndarray:
    """Mean of the rotations (N, 3, 3) seen in crops uint8 (N, S, S, 3) and in their mirror images, mirrored back.

    Human pose estimation's usual test-time augmentation, under its usual name.
    """
    mirrored = np.ascontiguousarray(images[:, :, ::-1])
    return mean_rotation(np.stack([predict(images), mirror_rotation(predict(mirrored))]))
