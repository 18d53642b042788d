"""The mean of several predicted rotations, and the flip test: the mean over an image and its mirror image."""

from collections.abc import Callable

import numpy as np

from pipeline_steps.pose.geometry import mirror_rotation

Predict = Callable[[np.ndarray], np.ndarray]
"""Crops uint8 (N, S, S, 3) to rotations (N, 3, 3)."""


def mean_rotation(rotations: np.ndarray) -> np.ndarray:
    """Means (N, 3, 3) of rotations (K, N, 3, 3) over the first axis: the rotations closest to the elementwise means.

    The chordal L2 mean (Hartley et al., Rotation Averaging, IJCV 2013), by singular value decomposition.
    """
    left, _, right = np.linalg.svd(rotations.mean(0))
    left[..., -1] *= np.linalg.det(left @ right)[..., None]
    result: np.ndarray = left @ right
    return result


def flip_tested(predict: Predict, images: np.ndarray) -> np.ndarray:
    """Mean of the rotations (N, 3, 3) predicted for crops uint8 (N, S, S, 3) and, mirrored back, their mirror images.

    The usual test-time augmentation of human pose estimation, under its usual name.
    """
    mirrored = np.ascontiguousarray(images[:, :, ::-1])
    return mean_rotation(np.stack([predict(images), mirror_rotation(predict(mirrored))]))
