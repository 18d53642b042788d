"""Pictures as the field stores them: opened the right way up in 8-bit RGB, and cut square."""

import struct
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import numpy as np
import torch
import torch.nn.functional as F
from PIL import ExifTags, Image, ImageOps

UNREADABLE = (OSError, ValueError, SyntaxError, Image.DecompressionBombError)
"""What a damaged or hostile file ends in; the message is the reason."""

LARGEST_SQUARE = 20_000
"""Pixels; what lies beyond a picture's edge is made up, and must not fill the memory."""

_STUMBLES = (TypeError, LookupError, EOFError, OverflowError, struct.error, zlib.error)
"""What Pillow's readers also raise on damaged files, found by changing bytes at random."""


@contextmanager
def _opened(path: Path | IO[bytes]) -> Iterator[Image.Image]:
    try:
        with Image.open(path) as file:
            yield file
    except _STUMBLES as error:
        raise ValueError(f"damaged picture file ({error})") from error


def open_rgb(path: Path | IO[bytes]) -> Image.Image:
    """A picture in mode RGB, turned as its EXIF orientation says, so that boxes and labels refer to what one sees.

    16-bit grey levels are scaled to 8 bits, CMYK and palettes converted, an alpha channel dropped. path: of a file, or
    an open one. Raises one of UNREADABLE where it is damaged, cut off, empty, too large, or of floating-point values.
    """
    with _opened(path) as file:
        return _upright_rgb(file)


def cut_from_file(path: Path, square_of: Callable[[int, int], np.ndarray], size: int, border: str) -> np.ndarray:
    """As `cut_square` of `open_rgb`, but a JPEG is decoded at 1/2, 1/4 or 1/8 where that leaves twice the size needed.

    square_of: from the width and height of the upright picture to the square (4,) in its pixels. Decoding is most of
    the work, and the crop differs by less than a grey level on average.
    """
    with _opened(path) as file:
        orientation = file.getexif().get(ExifTags.Base.Orientation, 1)
        width, height = file.size if orientation < 5 else file.size[::-1]
        square, shrink = square_of(width, height), 1
        if square[2] - square[0] > LARGEST_SQUARE:
            raise ValueError(f"a square of {square[2] - square[0]:,.0f} pixels is larger than any picture of a head")
        if orientation == 1 and file.format == "JPEG":
            room = (square[2] - square[0]) / (2 * size)
            shrink = max((factor for factor in (1, 2, 4, 8) if factor <= room), default=1)
            file.draft(None, (width // shrink, height // shrink))
        picture = _upright_rgb(file)
    return cut_square(picture, square / shrink, size, border)


def _upright_rgb(file: Image.Image) -> Image.Image:
    file.load()
    ImageOps.exif_transpose(file, in_place=True)
    if file.mode == "F":
        raise ValueError("floating-point grey levels have no defined range")
    if file.mode.startswith("I"):  # convert("RGB") would clip at 255 instead of scaling
        levels = np.asarray(file).astype(np.int64).clip(0, 65535)
        file = Image.fromarray((levels // 257).astype(np.uint8))
    return file if file.mode == "RGB" else file.convert("RGB")


def cut_square(picture: Image.Image, square: np.ndarray, size: int, border: str) -> np.ndarray:
    """The square x0, y0, x1, y1 (4,) in pixels of an RGB picture, resized to uint8 (size, size, 3).

    Cut at whole pixels, and resized by antialiased bicubic interpolation: torch's, which is several times as fast as
    Pillow's and differs from it by one grey level at most. border: what lies beyond the picture's edge, `reflect` (its
    mirror image) or `constant` (black). Raises ValueError where the square lies beside the picture altogether.
    """
    x0, y0 = np.rint(square[:2]).astype(int)
    side = max(int(np.rint(square[2] - square[0])), 1)
    if x0 >= picture.width or y0 >= picture.height or x0 + side <= 0 or y0 + side <= 0:
        raise ValueError(
            f"the box lies wholly outside the picture of {picture.width} x {picture.height} pixels: "
            f"its crop begins at x {x0}, y {y0} with a side of {side}"
        )
    pixels = np.asarray(picture)
    if x0 < 0 or y0 < 0 or x0 + side > picture.width or y0 + side > picture.height:
        pixels = _with_border(pixels, (x0, y0, x0 + side, y0 + side), border)
    else:
        pixels = pixels[y0 : y0 + side, x0 : x0 + side].copy()
    channels_last = torch.from_numpy(pixels).permute(2, 0, 1)[None]
    resized = F.interpolate(channels_last, (size, size), mode="bicubic", antialias=True)
    return resized[0].permute(1, 2, 0).contiguous().numpy()


def _with_border(pixels: np.ndarray, window: tuple[int, int, int, int], border: str) -> np.ndarray:
    """The window of whole pixels x0, y0, x1, y1, which reaches beyond the edge."""
    x0, y0, x1, y1 = window
    height, width = pixels.shape[:2]
    rows, columns = np.arange(y0, y1), np.arange(x0, x1)
    top, bottom = np.searchsorted(rows, [0, height])
    left, right = np.searchsorted(columns, [0, width])
    cut = np.zeros((len(rows), len(columns), 3), np.uint8)
    inside = slice(top, bottom), slice(left, right)
    cut[inside] = pixels[max(y0, 0) : y1, max(x0, 0) : x1]
    if border == "reflect":
        rows, columns = _mirrored(rows, height), _mirrored(columns, width)
        strips = [(slice(top), slice(None)), (slice(bottom, None), slice(None))]
        strips += [(inside[0], slice(left)), (inside[0], slice(right, None))]
        for strip in strips:
            cut[strip] = pixels.take(rows[strip[0]], 0).take(columns[strip[1]], 1)
    return cut


def _mirrored(indices: np.ndarray, count: int) -> np.ndarray:
    """Indices beyond 0 .. count - 1 reflected into it, the edge pixel repeated."""
    folded = indices % (2 * count)
    return np.where(folded < count, folded, 2 * count - 1 - folded)
