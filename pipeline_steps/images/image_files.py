"""Image files of every kind: opened upright in 8-bit RGB, and cut square."""

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
"""Exceptions that a corrupt or hostile file raises; their message is the reason."""

LARGEST_SQUARE = 20_000
"""Pixels; a square may reach beyond the image, and the pixels invented there must not exhaust the memory."""

_PILLOW_ERRORS = (TypeError, LookupError, EOFError, OverflowError, struct.error, zlib.error)
"""What Pillow's readers also raise on corrupt files, found by changing bytes at random."""


@contextmanager
def _opened(path: Path | IO[bytes]) -> Iterator[Image.Image]:
    try:
        with Image.open(path) as file:
            yield file
    except _PILLOW_ERRORS as error:
        raise ValueError(f"corrupt image file ({error})") from error


def open_rgb(path: Path | IO[bytes]) -> Image.Image:
    """An image in mode RGB, rotated as its EXIF orientation says: boxes and labels refer to the image as displayed.

    16-bit grey levels are scaled to 8 bits, CMYK and palettes converted, an alpha channel dropped. path: a file's path,
    or an open file. Raises one of UNREADABLE where the file is corrupt, empty or too large, or has floating-point
    values.
    """
    with _opened(path) as file:
        return _upright_rgb(file)


def cut_from_file(path: Path, square_of: Callable[[int, int], np.ndarray], size: int, border: str) -> np.ndarray:
    """Like `cut_square` of `open_rgb`, but decodes a JPEG at 1/2, 1/4 or 1/8 where that leaves twice the size needed.

    square_of: from the width and height of the upright image to the square (4,) in its pixels. Decoding is most of the
    work, and the crop differs by less than one grey level on average.
    """
    with _opened(path) as file:
        orientation = file.getexif().get(ExifTags.Base.Orientation, 1)
        width, height = file.size if orientation < 5 else file.size[::-1]
        square, shrink = square_of(width, height), 1
        if square[2] - square[0] > LARGEST_SQUARE:
            raise ValueError(f"a square of {square[2] - square[0]:,.0f} pixels is too large; check the box")
        if orientation == 1 and file.format == "JPEG":
            room = (square[2] - square[0]) / (2 * size)
            shrink = max((factor for factor in (1, 2, 4, 8) if factor <= room), default=1)
            file.draft(None, (width // shrink, height // shrink))
        image = _upright_rgb(file)
    return cut_square(image, square / shrink, size, border)


def _upright_rgb(file: Image.Image) -> Image.Image:
    file.load()
    ImageOps.exif_transpose(file, in_place=True)
    if file.mode == "F":
        raise ValueError("floating-point grey levels have no defined range")
    if file.mode.startswith("I"):  # convert("RGB") would clip at 255 instead of scaling
        levels = np.asarray(file).astype(np.int64).clip(0, 65535)
        file = Image.fromarray((levels // 257).astype(np.uint8))
    return file if file.mode == "RGB" else file.convert("RGB")


def cut_square(image: Image.Image, square: np.ndarray, size: int, border: str) -> np.ndarray:
    """The square x0, y0, x1, y1 (4,) in pixels of an RGB image, resized to uint8 (size, size, 3).

    Cut at whole pixels, and resized by antialiased bicubic interpolation: torch's, which is several times as fast as
    Pillow's and differs from it by at most one grey level. border: how pixels beyond the image's edge are filled,
    `reflect` (its mirror image) or `constant` (black). Raises ValueError where the square and the image do not overlap.
    """
    x0, y0 = np.rint(square[:2]).astype(int)
    side = max(int(np.rint(square[2] - square[0])), 1)
    if x0 >= image.width or y0 >= image.height or x0 + side <= 0 or y0 + side <= 0:
        raise ValueError(
            f"the box is completely outside the image of {image.width} x {image.height} pixels: "
            f"its crop starts at x {x0}, y {y0} with a side of {side}"
        )
    pixels = np.asarray(image)
    if x0 < 0 or y0 < 0 or x0 + side > image.width or y0 + side > image.height:
        pixels = _with_border(pixels, (x0, y0, x0 + side, y0 + side), border)
    else:
        pixels = pixels[y0 : y0 + side, x0 : x0 + side].copy()
    channels_first = torch.from_numpy(pixels).permute(2, 0, 1)[None]
    resized = F.interpolate(channels_first, (size, size), mode="bicubic", antialias=True)
    return resized[0].permute(1, 2, 0).contiguous().numpy()


def _with_border(pixels: np.ndarray, window: tuple[int, int, int, int], border: str) -> np.ndarray:
    """The window x0, y0, x1, y1 in whole pixels, which reaches beyond the image's edge."""
    x0, y0, x1, y1 = window
    height, width = pixels.shape[:2]
    rows, columns = np.arange(y0, y1), np.arange(x0, x1)
    top, bottom = np.searchsorted(rows, [0, height])
    left, right = np.searchsorted(columns, [0, width])
    cut = np.zeros((len(rows), len(columns), 3), np.uint8)
    inside = slice(top, bottom), slice(left, right)
    cut[inside] = pixels[max(y0, 0) : y1, max(x0, 0) : x1]
    if border == "reflect":
        rows, columns = _reflected(rows, height), _reflected(columns, width)
        strips = [(slice(top), slice(None)), (slice(bottom, None), slice(None))]
        strips += [(inside[0], slice(left)), (inside[0], slice(right, None))]
        for strip in strips:
            cut[strip] = pixels.take(rows[strip[0]], 0).take(columns[strip[1]], 1)
    return cut


def _reflected(indices: np.ndarray, count: int) -> np.ndarray:
    """Indices beyond 0 .. count - 1 reflected into that range; the edge pixel is repeated."""
    folded = indices % (2 * count)
    return np.where(folded < count, folded, 2 * count - 1 - folded)
