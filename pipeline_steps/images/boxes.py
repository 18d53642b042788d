"""Which part of an image is the head, by a named rule. The crop is the square around that box, never stretched."""

from typing import Literal

import numpy as np
from pydantic import Field

from pipeline_steps.datasets.base import Sample
from pipeline_steps.job.strict import Strict

BoxRule = Literal["landmarks_loose", "landmarks_tight", "literature", "projected_head", "given_box", "whole_image"]


class CropBox(Strict):
    """Which square is cut out around a head."""

    box: BoxRule = Field(
        description="landmarks_loose: the landmarks' bounding box enlarged by forehead and cheeks; "
        "landmarks_tight: the bounding box itself; literature: the square that Hopenet and 6DRepNet cut out of 300W-LP "
        "in training and of AFLW2000-3D in tests; projected_head: the recorded head position projected by the "
        "calibrated camera (BIWI); given_box: the data set's own head box; whole_image: the image is already a crop"
    )
    margin: float = Field(
        default=0.0, ge=-0.4, le=2, description="added on each side, as a share of the box's longer side"
    )

    def square(self, sample: Sample, width: int, height: int) -> np.ndarray:
        """The square (4,) x0, y0, x1, y1 in pixels to cut out of an image of `width` x `height`.

        Raises ValueError where the sample lacks what the rule needs, or where its box is unusable.
        """
        return square_around(head_box(sample, self.box, width, height), self.margin, width, height)


def head_box(sample: Sample, rule: BoxRule, width: int, height: int) -> np.ndarray:
    """The head's box (4,) x0, y0, x1, y1 in pixels of an image of `width` x `height`.

    landmarks_tight: the bounding box of the landmarks, brows to chin, without hidden ones. landmarks_loose: that box
    with the margins of Hopenet and 6DRepNet for AFLW2000-3D (github.com/natanielruiz/deep-head-pose, code/datasets.py):
    with k = 0.2, by 2k of its width to the left and of its height above, then by 2k of the new width to the right and
    0.6k of the new height below. literature: what these two cut out, which is around other points, in other margins for
    300W-LP, and not as long as the box (`pipeline_steps.datasets._literature`). projected_head: the recorded position
    of the head in space, projected by the calibrated camera. given_box: the data set's own. whole_image: the image is
    already a crop.
    Raises ValueError where the sample lacks what the rule needs.
    """
    match rule:
        case "whole_image":
            return np.array([0, 0, width, height], float)
        case "given_box":
            return _needed(sample.given_box, "head box")
        case "literature":
            return _needed(sample.literature_box, "pt2d, around which the literature crops")
        case "projected_head":
            return _needed(sample.projected_head, "calibrated head position")
    landmarks = _needed(sample.landmarks, "landmarks")
    x0, y0, x1, y1 = tight = box_of(landmarks)
    if rule == "landmarks_tight":
        return tight
    k = 0.2
    x0, y0 = x0 - 2 * k * (x1 - x0), y0 - 2 * k * (y1 - y0)
    return np.array([x0, y0, x1 + 2 * k * (x1 - x0), y1 + 0.6 * k * (y1 - y0)])


def box_of(points: np.ndarray) -> np.ndarray:
    """The bounding box (4,) x0, y0, x1, y1 of points (K, 2), without those that are NaN; all NaN where none is left."""
    known = points[np.isfinite(points).all(1)]
    return np.concatenate([known.min(0), known.max(0)]) if len(known) else np.full(4, np.nan)


def _needed(value: np.ndarray | None, name: str) -> np.ndarray:
    if value is None:
        raise ValueError(f"the data set gives no {name}; choose another crop.box")
    return np.asarray(value, float)


def square_around(box: np.ndarray, margin: float, width: int, height: int) -> np.ndarray:
    """The square (4,) around a box's centre; `margin` is added on each side, as a share of the box's longer side.

    Raises ValueError where the box is not finite, empty, smaller than 4 pixels, ten times as large as the image, or
    centred outside it.
    """
    centre, side = (box[:2] + box[2:]) / 2, (box[2:] - box[:2]).max() * (1 + 2 * margin)
    if not np.isfinite(box).all() or (box[2:] <= box[:2]).any() or not 4 <= side <= 10 * max(width, height):
        raise ValueError(f"unusable box {box.round(1).tolist()}")
    if (centre < 0).any() or centre[0] > width or centre[1] > height:
        raise ValueError(f"box {box.round(1).tolist()} is outside the {width}x{height} image")
    return np.concatenate([centre - side / 2, centre + side / 2])
