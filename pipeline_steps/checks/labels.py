"""Whether the labels of a data set agree with one another: pose, landmarks, crop box, and mirror images.

Nothing is changed or left out; the data card says how many images disagree. The limits: docs/data.md.
"""

from typing import Any

import numpy as np

from pipeline_steps.images.boxes import box_of
from pipeline_steps.images.crop_file import CropFile
from pipeline_steps.pose.geometry import geodesic_distance_deg, mirror_rotation
from pipeline_steps.pose.landmarks import poses_of_landmarks

POSE_LIMIT_DEG = 20.0
"""Between a label and the pose that the landmarks show: at most 12.3 in 300 images of AFLW2000-3D, half of them 3.9."""

MIRROR_LIMIT_DEG = 10.0
"""Between the label of a mirror image and the mirrored label of its original: 300W-LP fits mirror images anew, and they
differ by 3.5 in the one real pair known.
"""

SMALLEST_FACE, LEAST_INSIDE = 0.25, 0.9
"""Longer side of the landmarks' box as a share of the crop box's, and the share of the landmarks that are inside it."""

_NAMED = 3
"""Source ids given of the images that disagree."""


def check_labels(crops: CropFile) -> dict[str, dict[str, Any]]:
    """By the name of each check that the data set allows: how many images it concerns and how many disagree.

    images, disagree: numbers of images; worst: source ids of up to three that disagree; limit: what agreeing means, in
    words. Where the check measures an angle, median_deg is its median over all images in degrees.
    """
    checks: dict[str, dict[str, Any]] = {}
    if crops.landmarks is not None:
        pose = _pose_errors(crops.rotation, crops.landmarks)
        checks["pose against landmarks"] = _angles(crops, pose, POSE_LIMIT_DEG)
        outside = _box_errors(crops.landmarks, float(crops.crop_rule.get("margin", 0.0)))
        limit = f"{LEAST_INSIDE:.0%} of the landmarks inside the box, and at least {SMALLEST_FACE:g} of its side wide"
        checks["box against landmarks"] = _counted(crops, outside, 0.0) | {"limit": limit}
    if any(crops.mirror_of):
        checks["mirror image against original"] = _angles(crops, _mirror_errors(crops), MIRROR_LIMIT_DEG)
    return {name: check for name, check in checks.items() if check["images"]}


def hidden_landmarks(crops: CropFile) -> int:
    """In how many images some, but not all, of the landmarks are hidden."""
    if crops.landmarks is None:
        return 0
    known = np.isfinite(crops.landmarks).all(2)
    return int((known.any(1) & ~known.all(1)).sum())


def _counted(crops: CropFile, errors: np.ndarray, limit: float) -> dict[str, Any]:
    """Of errors (N,), NaN where an image has none: how many there are, how many are above the limit, and of which."""
    known = np.flatnonzero(np.isfinite(errors))
    worst = known[np.argsort(-errors[known], kind="stable")]
    above = worst[errors[worst] > limit]
    return {
        "images": len(known),
        "disagree": len(above),
        "worst": [crops.source_ids[row] for row in above[:_NAMED]],
    }


def _angles(crops: CropFile, errors: np.ndarray, limit: float) -> dict[str, Any]:
    counted = _counted(crops, errors, limit)
    known = errors[np.isfinite(errors)]
    median = {"median_deg": round(float(np.median(known)), 2)} if len(known) else {}
    return counted | {"limit": f"{limit:g} degree{'' if limit == 1 else 's'}"} | median


def _pose_errors(rotation: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
    """Degrees (N,) from each label to the pose of its landmarks, to the nearer of the two that are fitted."""
    errors = np.full(len(rotation), np.nan)
    for row in np.flatnonzero(np.isfinite(rotation).all((1, 2))):
        shown = geodesic_distance_deg(poses_of_landmarks(landmarks[row]), rotation[row].astype(float))
        if np.isfinite(shown).any():
            errors[row] = np.nanmin(shown)
    return errors


def _box_errors(landmarks: np.ndarray, margin: float) -> np.ndarray:
    """Per image (N,) 1 where box and landmarks disagree, 0 where they agree, NaN where there are no landmarks."""
    in_box = 0.5 + (landmarks.astype(float) - 0.5) * (1 + 2 * margin)  # shares of the box instead of the crop around it
    errors = np.full(len(in_box), np.nan)
    for row, points in enumerate(in_box):
        known = points[np.isfinite(points).all(1)]
        if len(known):
            box = box_of(known)
            inside = ((known > -1e-3) & (known < 1 + 1e-3)).all(1).mean()
            errors[row] = inside < LEAST_INSIDE or (box[2:] - box[:2]).max() < SMALLEST_FACE
    return errors


def _mirror_errors(crops: CropFile) -> np.ndarray:
    """Degrees (N,) from the label of each mirror image to the mirrored label of its original, NaN for other images."""
    rows = {source_id: row for row, source_id in enumerate(crops.source_ids)}
    errors = np.full(len(crops), np.nan)
    for row, original in enumerate(crops.mirror_of):
        if original in rows:
            expected = mirror_rotation(crops.rotation[rows[original]].astype(float))
            errors[row] = geodesic_distance_deg(crops.rotation[row].astype(float), expected)
    return errors
