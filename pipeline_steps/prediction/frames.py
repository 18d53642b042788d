"""Images from files, folders, patterns, films and cameras, one after the other."""

import glob
import math
import os
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from pipeline_steps.images.image_files import UNREADABLE
from pipeline_steps.job.errors import brief
from pipeline_steps.job.progress import logger
from pipeline_steps.prediction.pictures import open_picture

IMAGES = {".jpg", ".jpeg", ".jfif", ".png", ".bmp", ".webp", ".tif", ".tiff", ".gif", ".avif", ".heic", ".heif"}
IMAGES |= {".apng", ".jp2", ".ppm", ".pgm"}
VIDEOS = {".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v", ".3gp", ".mpg", ".mpeg", ".mts", ".m2ts", ".ogv", ".wmv"}
VIDEOS |= {".flv"}
USUAL_RATE = 25.0
"""Frames per second where a film or a camera does not say."""


class SourceFailed(Exception):
    """A source that cannot be read, or not copied; the message says so and why, without the source's name."""


class Frame(NamedTuple):
    """image: uint8 (H, W, 3), RGB.

    seconds: since the first frame, by the film's own time stamps, or by the clock for a camera; rate: mean frames per
    second of the film. Both are 0 for a picture.
    """

    source: str
    number: int
    seconds: float
    rate: float
    image: np.ndarray


def is_camera(source: str) -> bool:
    """Whether a source is a camera."""
    return source.startswith("camera:")


def is_video(source: str) -> bool:
    """Whether a source has many frames: a film or a camera."""
    return is_camera(source) or Path(source).suffix.lower() in VIDEOS


def sources(names: list[str]) -> list[str]:
    """The files and cameras that the names, folders and patterns denote, each once.

    A name that denotes none stays as it is, for `frames` to say why. Files of other kinds in a folder are counted in
    the log.
    """
    found: list[str] = []
    for name in names:
        # os.path and glob, as Path raises where access is denied, and Path.glob takes no absolute patterns
        if is_camera(name) or os.path.exists(name):  # noqa: PTH110
            matching = [name]
        else:
            matching = sorted(glob.glob(name, recursive=True)) or [name]  # noqa: PTH207
        for match in matching:
            found += _inside(match) if os.path.isdir(match) and not is_camera(match) else [match]  # noqa: PTH112
    return list(dict.fromkeys(found))


def _inside(folder: str) -> list[str]:
    """Pictures and films in a folder and below; the folder itself where there are none."""
    taken: list[str] = []
    others: Counter[str] = Counter()
    for path in sorted(Path(folder).rglob("*")):
        if os.path.isdir(path):  # noqa: PTH112
            continue
        by_mac = path.name.startswith("._") or "__MACOSX" in path.parts  # not a picture, whatever its ending
        if path.suffix.lower() in IMAGES | VIDEOS and not by_mac:
            taken.append(str(path))
        else:
            others["._*" if by_mac else path.suffix.lower() or "without ending"] += 1
    if others:
        kinds = ", ".join(f"{count} {ending}" for ending, count in others.most_common(5))
        kinds += ", ..." if len(others) > 5 else ""
        logger.info("%s: %d files are no pictures or films, passed over (%s)", folder, others.total(), kinds)
    return taken or [folder]


def frames(source: str) -> Iterator[Frame]:
    """The frames of one source of `sources`; a picture is its only frame.

    Raises SourceFailed where it cannot be read. What a viewer would not expect, such as a film that ends early, is
    logged.
    """
    if not is_camera(source):
        _check_file(Path(source))
    if is_video(source):
        yield from _video(source)
        return
    try:
        image, remarks = open_picture(Path(source))
    except UNREADABLE as error:
        raise SourceFailed(f"skipped: {brief(error)}") from error
    for remark in remarks:
        logger.info("%s: %s", source, remark)
    yield Frame(source, 0, 0.0, 0.0, np.asarray(image))


def _check_file(path: Path) -> None:
    try:
        path.stat()
    except FileNotFoundError as error:
        raise SourceFailed("skipped: no such file; give images, folders, patterns, videos, or camera:0") from error
    except (OSError, ValueError) as error:
        raise SourceFailed(f"skipped: {brief(getattr(error, 'strerror', None) or error)}") from error
    if path.is_dir():
        raise SourceFailed(f"skipped: no image or video in this folder ({', '.join(sorted(IMAGES | VIDEOS))})")
    if not path.is_file():
        raise SourceFailed("skipped: a pipe or a device, no file; save its content as a file first")


def _video(source: str) -> Iterator[Frame]:
    camera, number = is_camera(source), source.removeprefix("camera:")
    if camera and not number.isdecimal():
        raise SourceFailed("skipped: not a camera; the first is camera:0")
    _hush()
    video = cv2.VideoCapture(int(number) if camera else source)
    try:
        if not video.isOpened():
            reason = "is it there, and does no other program use it?" if camera else "is it a video, and whole?"
            raise SourceFailed(f"skipped: cannot be opened; {reason}")
        rate = video.get(cv2.CAP_PROP_FPS)
        rate = rate if math.isfinite(rate) and rate > 0 else USUAL_RATE
        frame, seconds, begun = 0, 0.0, time.monotonic()
        while (read := video.read())[0]:
            stamp = time.monotonic() - begun if camera else video.get(cv2.CAP_PROP_POS_MSEC) / 1000
            # some films have no time stamps, or not for every frame
            seconds = stamp if stamp > seconds or not frame else seconds + 1 / rate
            yield Frame(source, frame, seconds, rate, cv2.cvtColor(read[1], cv2.COLOR_BGR2RGB))
            frame += 1
        if not frame:
            reason = "gives no image" if camera else "contains no image that can be decoded; convert it to MP4"
            raise SourceFailed(f"skipped: {reason}")
        if camera:
            logger.warning("%s: gave no more images after %.1f s", source, seconds)
            return
        _say_if_cut_off(source, seconds + 1 / rate, video.get(cv2.CAP_PROP_FRAME_COUNT) / rate)
    finally:
        video.release()


def _say_if_cut_off(source: str, lasted: float, announced: float) -> None:
    """Log where a film is shorter than its header says, in seconds; sound can make a header say a little more."""
    if announced - lasted > min(0.5, announced / 10):
        logger.warning(
            "%s: ends early, after %.1f s of the %.1f s that its header announces; its file may be cut off",
            *(source, lasted, announced),
        )


def _hush() -> None:
    """Keep OpenCV and FFmpeg from writing lines of their own to standard error; what matters is said here."""
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
