"""Poses drawn on images."""

import numpy as np
from PIL import Image, ImageDraw

from pipeline_steps.pose.geometry import euler_to_matrix


def draw_axes(
    image: Image.Image, rotation: np.ndarray, centre: np.ndarray | None = None, side: float | None = None
) -> None:
    """Draw the head's axes: sideways red, up green, nose blue; nothing where the rotation (3, 3) is NaN.

    centre: (2,) and side: of the head's square, in pixels; by default those of the entire image.
    """
    if not np.isfinite(rotation).all():
        return
    pen, size = ImageDraw.Draw(image), np.array(image.size)
    start, length = size / 2 if centre is None else centre, float(size.min()) if side is None else side
    for axis, colour in zip(rotation.T, ("#d55e00", "#009e73", "#0072b2"), strict=True):
        tip = start + 0.225 * length * axis[:2] * [1, -1]
        pen.line([tuple(start), tuple(tip)], fill=colour, width=max(1, int(length) // 40))


def shown_rotation(rotation: np.ndarray, euler_deg: np.ndarray) -> np.ndarray:
    """The rotation (3, 3) to draw for a label; where only some angles are known, that of these with the others zero.

    euler_deg: (3,) yaw, pitch, roll in degrees. NaN where nothing is known.
    """
    if np.isfinite(rotation).all() or np.isnan(euler_deg).all():
        return rotation
    return np.asarray(euler_to_matrix(np.nan_to_num(euler_deg)))
