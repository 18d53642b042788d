"""Picture files as people have them: opened as they are seen, and with a word on what is left out."""

from contextlib import suppress
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import IO, NamedTuple

import cv2
import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from pipeline_steps.images.image_files import open_rgb

HEIC_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}
"""Bytes 8 to 11 of a HEIC or HEIF file."""
SENSOR_BITS = 14
"""Most bits that cameras of less than 16 store in 16."""


class Picture(NamedTuple):
    """image: in mode RGB, upright. remarks: what a viewer of the file would not expect, a few words each."""

    image: Image.Image
    remarks: list[str]


def open_picture(file: Path | IO[bytes]) -> Picture:
    """A picture as `open_rgb` opens it, but levels of up to 14 bits in a file of 16 are scaled by the bits they use.

    HEIC is read where the package pillow-heif is installed. file: a file's path, or an open file. Raises one of
    `image_files.UNREADABLE`, whose message is the reason.
    """
    _read_heic_if_possible()
    try:
        image, remarks = open_rgb(file), []
    except UnidentifiedImageError as error:
        if _content(file, 12)[8:] in HEIC_BRANDS:
            raise ValueError("HEIC; install the package pillow-heif to read it, or convert it to JPEG") from error
        raise
    # whatever is wrong further back in the file, its picture was read
    with suppress(Exception), Image.open(file) as opened:
        count = getattr(opened, "n_frames", 1)
        if count > 1 and opened.format != "MPO":  # telephones keep depth or brightness in further images
            remarks.append(f"only the first of its {count} images is looked at; save them as a film to have all")
        levels = _levels(opened, file)
        bits = 0 if levels is None else int(levels.max()).bit_length()
        if levels is not None and 0 < bits <= SENSOR_BITS:
            orientation = opened.getexif().get(ExifTags.Base.Orientation, 1)
            image = Image.fromarray((levels >> max(bits - 8, 0)).astype(np.uint8)).convert("RGB")
            image.getexif()[ExifTags.Base.Orientation] = orientation
            ImageOps.exif_transpose(image, in_place=True)
            remarks.append(f"has 16 bits a channel and uses {bits}; read as a picture of {max(bits, 8)} bits")
    return Picture(image, remarks)


@cache
def _read_heic_if_possible() -> None:
    with suppress(ImportError):
        import_module("pillow_heif").register_heif_opener()


def _content(file: Path | IO[bytes], count: int = -1) -> bytes:
    """The first bytes of a file, or all."""
    if isinstance(file, Path):
        with file.open("rb") as opened:
            return opened.read(count)
    file.seek(0)
    return file.read(count)


def _levels(opened: Image.Image, file: Path | IO[bytes]) -> np.ndarray | None:
    """Levels (H, W) or (H, W, 3), RGB, of a picture with more than 8 bits a channel, not turned; None for others."""
    if opened.mode.startswith("I"):
        return np.asarray(opened).astype(np.int64).clip(0)
    if not any(mark in str(getattr(opened, "tile", "")) for mark in (";16", " 65535")):  # in PNG and TIFF, and in PPM
        return None
    # Pillow keeps the upper 8 bits alone
    flags = cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH | cv2.IMREAD_IGNORE_ORIENTATION
    levels = cv2.imdecode(np.frombuffer(_content(file), np.uint8), flags)
    return None if levels is None or levels.dtype != np.uint16 else levels[..., ::-1]
