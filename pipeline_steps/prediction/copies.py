"""Copies of images and videos with the axes of every head drawn at the centre of its box."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from pipeline_steps.images.drawing import draw_axes
from pipeline_steps.job.errors import UserError
from pipeline_steps.job.files import atomic_write, put_in_place
from pipeline_steps.prediction.frames import Frame, is_camera, is_video
from pipeline_steps.prediction.head_pose import Pose

DrawCopy = Callable[[Frame, list[Pose]], None]
"""Draws one frame of a source."""


def _drawn(frame: Frame, poses: list[Pose]) -> Image.Image:
    assert frame.image is not None
    copy = Image.fromarray(frame.image)
    for pose in poses:
        centre, side = (pose.box[:2] + pose.box[2:]) / 2, float(pose.box[2] - pose.box[0])
        draw_axes(copy, pose.matrix, centre, side)
    return copy


def _format(path: Path) -> str | None:
    """Pillow's name of the format that the file name denotes; None where it cannot write it."""
    name = Image.registered_extensions().get(path.suffix.lower())
    return name if name in Image.SAVE else None


def _copy_name(path: Path) -> str:
    """The source's own name; a video becomes an MP4, an image whose format cannot be written a PNG."""
    if is_video(path.name):
        return path.name if path.suffix.lower() == ".mp4" else f"{path.name}.mp4"
    return path.name if _format(path) else f"{path.name}.png"


class _Video:
    """An MP4 that is as long as the frames took."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.writer: cv2.VideoWriter | None = None
        self.written = 0

    def draw(self, frame: Frame, poses: list[Pose]) -> None:
        """Add a frame as often as is needed to reach its time, and not at all where earlier ones are past it."""
        image = _drawn(frame, poses)
        if self.writer is None:
            code = cv2.VideoWriter.fourcc(*"mp4v")
            self.writer = cv2.VideoWriter(str(self.path), code, frame.rate, image.size)
            if not self.writer.isOpened():
                raise UserError(f"--draw: {self.path.parent}: no MP4 can be written there; check it, or omit --draw")
        pixels = cv2.cvtColor(np.asarray(image), cv2.COLOR_RGB2BGR)
        for _ in range(round(frame.seconds * frame.rate) + 1 - self.written):
            self.writer.write(pixels)
            self.written += 1


class Copies:
    """Copies in a folder, nested as the sources are below their common folder.

    Raises UserError where a copy would overwrite a source.
    """

    def __init__(self, folder: Path, sources: list[str]) -> None:
        files = {source: Path(os.path.abspath(source)) for source in sources if not is_camera(source)}  # noqa: PTH100
        common = os.path.commonpath([path.parent for path in files.values()]) if files else ""
        self.places = {
            source: folder / path.parent.relative_to(common) / _copy_name(path) for source, path in files.items()
        }
        originals = {path.resolve() for path in files.values()}
        for source, place in self.places.items():
            if place.resolve() in originals:
                raise UserError(f"--draw: {folder}: {source} would be overwritten; give another folder")
        self.places |= {source: folder / f"{source.replace(':', '')}.mp4" for source in sources if is_camera(source)}

    @contextmanager
    def of(self, source: str) -> Iterator[DrawCopy]:
        """A function that draws a source's frames; the copy is in place once all of them are drawn."""
        place = self.places[source]
        place.parent.mkdir(parents=True, exist_ok=True)
        if not is_video(source):
            yield lambda frame, poses: _save(_drawn(frame, poses), place)
            return
        temporary = place.with_name(f".{place.stem}.{os.getpid()}.tmp.mp4")  # OpenCV derives the format from the name
        video = _Video(temporary)
        try:
            yield video.draw
            if video.writer is not None:
                video.writer.release()
                put_in_place(video.path, place)
        finally:
            video.path.unlink(missing_ok=True)


def _save(image: Image.Image, place: Path) -> None:
    with atomic_write(place) as temporary:
        image.save(temporary, _format(place))
