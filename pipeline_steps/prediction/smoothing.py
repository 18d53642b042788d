"""Smoothing of rotations over time, without jitter of still heads and without lag in quick turns."""

import math
from typing import NamedTuple

import numpy as np
import torch
from scipy.spatial.transform import Rotation
from torchvision.ops import box_iou

from pipeline_steps.pose.geometry import matrix_to_euler
from pipeline_steps.prediction.head_pose import Pose

LEAST_OVERLAP = 0.3
"""Intersection over union of a head's boxes in consecutive frames, below which it counts as another head."""


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


class Track(NamedTuple):
    """A head: its last box (4,), when it was seen, and its filter."""

    box: np.ndarray
    seconds: float
    smooth: OneEuroFilter


class Smoother:
    """Smooths every head of a video separately; a head is followed by the overlap of its boxes."""

    def __init__(self) -> None:
        self.tracks: list[Track] = []

    def __call__(self, poses: list[Pose], seconds: float) -> list[Pose]:
        """The poses with smoothed rotations; a head that was absent for a second starts a new track."""
        known = [track for track in self.tracks if seconds - track.seconds < 1]
        overlaps = _overlaps([pose.box for pose in poses], [track.box for track in known])
        free, self.tracks, smoothed = list(range(len(known))), [], []
        for pose, of_pose in zip(poses, overlaps, strict=True):
            best = max(free, key=of_pose.__getitem__, default=None)
            if best is None or of_pose[best] < LEAST_OVERLAP:
                smooth = OneEuroFilter()
            else:
                free.remove(best)
                smooth = known[best].smooth
            self.tracks.append(Track(pose.box, seconds, smooth))
            matrix = smooth(pose.matrix, seconds)
            yaw, pitch, roll = np.asarray(matrix_to_euler(matrix)).tolist()
            smoothed.append(pose._replace(matrix=matrix, yaw=yaw, pitch=pitch, roll=roll))
        self.tracks += [known[place] for place in free]
        return smoothed


def _overlaps(boxes: list[np.ndarray], others: list[np.ndarray]) -> np.ndarray:
    """Intersection over union (N, M) of boxes (4,) x0, y0, x1, y1."""
    first, second = (torch.from_numpy(np.array(of, float).reshape(-1, 4)) for of in (boxes, others))
    found: np.ndarray = box_iou(first, second).numpy()
    return found
