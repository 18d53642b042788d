"""Smoothing of rotations over time: still heads do not tremble, quick turns do not lag."""

import math

import numpy as np
from scipy.spatial.transform import Rotation


class OneEuroFilter:
    """The 1 Euro filter on rotations: the slower the head turns, the lower the cut-off frequency.

    Casiez, Roussel, Vogel: 1 Euro Filter, CHI 2012, https://gery.casiez.net/1euro. Values become rotations, weighted
    means become steps along the geodesic, speeds are in degrees a second. minimum_cutoff, speed_cutoff: in Hz;
    beta: Hz for each degree a second.
    """

    def __init__(self, minimum_cutoff: float = 1.0, beta: float = 0.02, speed_cutoff: float = 1.0) -> None:
        self.minimum_cutoff, self.beta, self.speed_cutoff = minimum_cutoff, beta, speed_cutoff
        self.rotation: np.ndarray | None = None
        self.time = self.speed = 0.0

    def __call__(self, rotation: np.ndarray, seconds: float) -> np.ndarray:
        """The smoothed rotation (3, 3) at a moment later than the last one."""
        if self.rotation is None or seconds <= self.time:
            self.rotation, self.time = rotation, seconds
            return rotation
        passed = seconds - self.time
        turn = Rotation.from_matrix(self.rotation.T @ rotation).as_rotvec(degrees=True)
        share = _share(self.speed_cutoff, passed)
        self.speed = share * float(np.linalg.norm(turn)) / passed + (1 - share) * self.speed
        step = _share(self.minimum_cutoff + self.beta * self.speed, passed) * turn
        self.rotation, self.time = self.rotation @ Rotation.from_rotvec(step, degrees=True).as_matrix(), seconds
        return self.rotation


def _share(cutoff: float, seconds: float) -> float:
    """Weight of the newest value in exponential smoothing with a cut-off frequency in Hz."""
    return 1 / (1 + 1 / (2 * math.pi * cutoff * seconds))
