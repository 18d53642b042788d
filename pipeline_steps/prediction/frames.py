"""Images from files, folders, patterns, videos and cameras, one after the other."""

import glob
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from pipeline_steps.images.image_files import UNREADABLE, open_rgb
from pipeline_steps.job.errors import UserError, brief
from pipeline_steps.job.progress import logger

IMAGES = {".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"}
VIDEOS = {".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v"}


class Frame(NamedTuple):
    """image: uint8 (H, W, 3), RGB, None where it cannot be read.

    seconds: since the beginning, by the clock for a camera; rate: frames per second of the video. Both are 0 for an
    image.
    """

    source: str
    number: int
    seconds: float
    rate: float
    image: np.ndarray | None


def is_camera(source: str) -> bool:
    """Whether a source is a camera."""
    return source.startswith("camera:")


def is_video(source: str) -> bool:
    """Whether a source has many frames: a video file or a camera."""
    return is_camera(source) or Path(source).suffix.lower() in VIDEOS


def sources(names: list[str]) -> list[str]:
    """The files that the names, folders and patterns denote; UserError where there are none."""
    found: list[str] = []
    for name in names:
        path = Path(name)
        if is_camera(name):
            found.append(name)
        elif path.is_dir():
            inside = sorted(str(p) for p in path.rglob("*") if p.suffix.lower() in IMAGES | VIDEOS)
            if not inside:
                raise UserError(f"{name}: no image or video in this folder ({', '.join(sorted(IMAGES | VIDEOS))})")
            found += inside
        elif path.exists():
            found.append(name)
        elif matching := sorted(glob.glob(name, recursive=True)):  # noqa: PTH207 - Path.glob takes no absolute ones
            found += matching
        else:
            raise UserError(f"{name}: no such file; give images, folders, patterns, videos, or camera:0")
    return found


def frames(source: str) -> Iterator[Frame]:
    """The frames of one source of `sources`; an image is its only frame."""
    if is_video(source):
        yield from _video(source)
        return
    try:
        yield Frame(source, 0, 0.0, 0.0, np.asarray(open_rgb(Path(source))))
    except UNREADABLE as error:
        logger.warning("%s: skipped: %s", source, brief(error))
        yield Frame(source, 0, 0.0, 0.0, None)


def _video(source: str) -> Iterator[Frame]:
    camera, number = is_camera(source), source.removeprefix("camera:")
    if camera and not number.isdigit():
        raise UserError(f"{source}: not a camera; the first is camera:0")
    video = cv2.VideoCapture(int(number) if camera else source)
    try:
        if not video.isOpened():
            raise UserError(f"{source}: cannot be opened; is it a video, or a camera that no other program uses?")
        rate, frame, begun = video.get(cv2.CAP_PROP_FPS) or 25.0, 0, time.monotonic()
        while True:
            found, image = video.read()
            if not found:
                if not frame:
                    raise UserError(f"{source}: contains no image that can be decoded; convert it to MP4 with H.264")
                return
            seconds = time.monotonic() - begun if camera else frame / rate
            yield Frame(source, frame, seconds, rate, cv2.cvtColor(image, cv2.COLOR_BGR2RGB))
            frame += 1
    finally:
        video.release()
