"""The pose that the 68 landmarks of a face show, which says roughly whether a label can be right.

Frames and rotations: `pipeline_steps.pose.geometry`.
"""

import numpy as np

MEAN_FACE = np.array([
    # jaw
    (-71, 0, 0), (-70, -21, 4), (-67, -42, 7), (-63, -58, 10), (-57, -76, 12), (-46, -91, 21),
    (-34, -100, 40), (-20, -105, 57), (0, -108, 64), (20, -105, 57), (34, -100, 40), (46, -91, 21),
    (57, -76, 12), (63, -58, 10), (67, -42, 7), (70, -21, 4), (71, 0, 0),
    # brows
    (-56, 22, 53), (-47, 27, 63), (-38, 28, 70), (-28, 26, 74), (-19, 22, 75), (19, 22, 75), (28, 26, 74),
    (38, 28, 70), (47, 27, 63), (56, 22, 53),
    # bridge of the nose, nostrils
    (0, 1, 75), (0, -14, 83), (0, -27, 93), (0, -35, 95), (-14, -41, 76), (-9, -40, 79), (0, -44, 83),
    (9, -40, 79), (14, -41, 76),
    # eyes
    (-44, 6, 58), (-35, 10, 66), (-26, 9, 66), (-18, 3, 63), (-27, 1, 62), (-37, 0, 64), (18, 3, 63),
    (26, 9, 66), (35, 10, 66), (44, 6, 58), (37, 0, 64), (27, 1, 62),
    # outer lips
    (-23, -65, 72), (-15, -62, 80), (-5, -58, 85), (0, -58, 86), (5, -58, 85), (15, -62, 80),
    (23, -65, 72), (17, -72, 77), (9, -76, 80), (0, -77, 82), (-9, -76, 80), (-17, -72, 77),
    # inner lips
    (-21, -65, 73), (-9, -64, 79), (0, -64, 81), (9, -64, 79), (21, -65, 73), (8, -67, 79), (0, -67, 81),
    (-8, -67, 79),
], float)  # fmt: skip
"""Landmarks (68, 3) of a mean face in millimetres: x to the image's right in a frontal view, y up, z out of the nose.

The mean of 200 people of the body model `anny`, as `rendering.subjects.draw_shape` draws them: no photograph is in it.
The origin is midway between the ends of the jaw. The order is that of iBUG.
"""

_CHEEKS = 17
"""Landmarks 0 to 16 follow the jaw, in some data sets its visible outline, which no fixed points on a head are."""

_FEWEST = 6
"""Points from which a rotation is fitted."""


def poses_of_landmarks(landmarks: np.ndarray) -> np.ndarray:
    """Rotations (2, 3, 3) under which the mean face, seen from far away, has its landmarks where they are in an image.

    landmarks: (68, 2) pixels or any multiple of them, x to the right, y down, NaN where a point is hidden. The first
    rotation is fitted to all of them, the second to those without the jaw; NaN where too few are left. Faces differ
    from the mean face and cameras are near, so that both are some 5 degrees off: docs/data.md has the numbers.
    """
    return np.stack([_fitted(landmarks, MEAN_FACE), _fitted(landmarks[_CHEEKS:], MEAN_FACE[_CHEEKS:])])


def _fitted(points: np.ndarray, face: np.ndarray) -> np.ndarray:
    """Least-squares affine camera that takes the face (K, 3) to the points (K, 2), and the rotation nearest to it."""
    known = np.isfinite(points).all(1)
    if known.sum() < _FEWEST:
        return np.full((3, 3), np.nan)
    points, face = points[known] * [1.0, -1.0], face[known]
    camera = np.linalg.lstsq(face - face.mean(0), points - points.mean(0), rcond=None)[0].T
    u, _, vt = np.linalg.svd(camera)
    rows = u @ np.eye(2, 3) @ vt
    return np.vstack([rows, np.cross(*rows)])
