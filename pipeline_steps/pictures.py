"""Pictures as the field stores them: opened the right way up in 8-bit RGB, cut square, and drawn upon."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageOps

from pipeline_steps.pose.geometry import euler_to_matrix

UNREADABLE = (OSError, ValueError, SyntaxError, Image.DecompressionBombError)
"""What Pillow raises on a damaged or hostile file; its message is the reason."""


def open_rgb(path: Path) -> Image.Image:
    """A picture in mode RGB, turned as its EXIF orientation says, so that boxes and labels refer to what one sees.

    16-bit grey levels are scaled to 8 bits, CMYK and palettes converted, an alpha channel dropped. Raises one of
    UNREADABLE where the file is damaged, cut off, empty, too large, or of floating-point values.
    """
    with Image.open(path) as file:
        file.load()
        picture: Image.Image = file
        ImageOps.exif_transpose(picture, in_place=True)
        if picture.mode == "F":
            raise ValueError("floating-point grey levels have no defined range")
        if picture.mode.startswith("I"):  # convert("RGB") would clip at 255 instead of scaling
            levels = np.asarray(picture).astype(np.int64).clip(0, 65535)
            picture = Image.fromarray((levels // 257).astype(np.uint8))
        return picture if picture.mode == "RGB" else picture.convert("RGB")


def cut_square(picture: Image.Image, square: np.ndarray, size: int, border: str) -> np.ndarray:
    """The square x0, y0, x1, y1 (4,) in pixels of an RGB picture, resized to uint8 (size, size, 3).

    border: what lies beyond the picture's edge, `reflect` (its mirror image) or `constant` (black).
    """
    x0, y0 = np.floor(square[:2]).astype(int)
    x1, y1 = np.ceil(square[2:]).astype(int)
    if x0 < 0 or y0 < 0 or x1 > picture.width or y1 > picture.height:
        picture = _with_border(np.asarray(picture), (x0, y0, x1, y1), border)
        square = square - [x0, y0, x0, y0]
    # the box may miss the edge by a rounding error, which Pillow refuses
    box = np.clip(square, 0, [picture.width, picture.height] * 2)
    return np.asarray(picture.resize((size, size), Image.Resampling.BICUBIC, box=tuple(box)))


def _with_border(pixels: np.ndarray, window: tuple[int, int, int, int], border: str) -> Image.Image:
    """The window of whole pixels x0, y0, x1, y1, which reaches beyond the edge."""
    x0, y0, x1, y1 = window
    rows, columns = np.arange(y0, y1), np.arange(x0, x1)
    height, width = pixels.shape[:2]
    cut = pixels[_mirrored(rows, height)[:, None], _mirrored(columns, width)]
    if border == "constant":
        cut[(rows < 0) | (rows >= height)] = 0
        cut[:, (columns < 0) | (columns >= width)] = 0
    return Image.fromarray(cut)


def _mirrored(indices: np.ndarray, count: int) -> np.ndarray:
    """Indices beyond 0 .. count - 1 reflected into it, the edge pixel repeated."""
    folded = indices % (2 * count)
    return np.where(folded < count, folded, 2 * count - 1 - folded)


def draw_axes(picture: Image.Image, rotation: np.ndarray) -> None:
    """Draw the head's axes, the columns of the matrix: sideways red, up green, nose blue. Nothing where it is NaN."""
    if not np.isfinite(rotation).all():
        return
    pen, half = ImageDraw.Draw(picture), np.array(picture.size) / 2
    for axis, colour in zip(rotation.T, ("#d55e00", "#009e73", "#0072b2"), strict=True):
        tip = half + 0.45 * half.min() * axis[:2] * [1, -1]
        pen.line([tuple(half), tuple(tip)], fill=colour, width=max(1, picture.width // 40))


def shown_rotation(rotation: np.ndarray, euler_deg: np.ndarray) -> np.ndarray:
    """What is drawn for a label: its rotation (3, 3) or, where only some angles are known, theirs, the others zero.

    euler_deg: (3,) yaw, pitch, roll in degrees. NaN where nothing is known.
    """
    if np.isfinite(rotation).all() or np.isnan(euler_deg).all():
        return rotation
    return np.asarray(euler_to_matrix(np.nan_to_num(euler_deg)))
