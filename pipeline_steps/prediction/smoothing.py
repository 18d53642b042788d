"""Smoothing of rotations over time: still heads do not tremble, quick turns do not lag."""

import math

import numpy as np
from scipy.spatial.transform import Rotation

from pipeline_steps.pose.geometry import matrix_to_euler
from pipeline_steps.prediction.head_pose import Pose


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


class Smoother:
    """Smooths every head of a video by itself; a head is the one whose box overlaps its last box most."""

    def __init__(self) -> None:
        self.tracks: list[tuple[np.ndarray, float, OneEuroFilter]] = []

    def __call__(self, poses: list[Pose], seconds: float) -> list[Pose]:
        """The poses with smoothed rotations; a head that was gone for a second begins anew."""
        self.tracks = [track for track in self.tracks if seconds - track[1] < 1]
        free, smoothed = list(range(len(self.tracks))), []
        for pose in poses:
            best = max(free, key=lambda place: overlap(self.tracks[place][0], pose.box), default=None)
            if best is None or overlap(self.tracks[best][0], pose.box) < 0.3:
                best = len(self.tracks)
                self.tracks.append((pose.box, seconds, OneEuroFilter()))
            else:
                free.remove(best)
            turned = self.tracks[best][2]
            matrix = turned(pose.matrix, seconds)
            self.tracks[best] = pose.box, seconds, turned
            yaw, pitch, roll = np.asarray(matrix_to_euler(matrix)).tolist()
            smoothed.append(pose._replace(matrix=matrix, yaw=yaw, pitch=pitch, roll=roll))
        return smoothed


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    """Intersection over union of two boxes (4,) x0, y0, x1, y1."""
    width, height = np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])
    shared = max(width, 0.0) * max(height, 0.0)
    union = (a[2:] - a[:2]).prod() + (b[2:] - b[:2]).prod() - shared
    return float(shared / union)
