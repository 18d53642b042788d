"""Copies of pictures and films with the axes of every head drawn at the centre of its box."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image

from pipeline_steps.images.drawing import draw_axes
from pipeline_steps.job.errors import UserError
from pipeline_steps.job.files import atomic_write, put_in_place
from pipeline_steps.job.progress import logger
from pipeline_steps.prediction import encoders
from pipeline_steps.prediction.frames import Frame, SourceFailed, is_camera, is_video
from pipeline_steps.prediction.head_pose import Pose

DrawCopy = Callable[[Frame, list[Pose]], None]
"""Draws one frame of a source."""
HIGHEST_RATE = 120.0
"""Frames per second of a copy; films of uneven rates can say 1000."""


def _drawn(frame: Frame, poses: list[Pose]) -> Image.Image:
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
    """The source's own name; a film becomes an MP4 or WebM, an image whose format cannot be written a PNG."""
    if is_video(path.name):
        return path.name if path.suffix.lower() == encoders.ending() else path.name + encoders.ending()
    return path.name if _format(path) else f"{path.name}.png"


class _Film:
    """A film that is as long as the frames took, in even steps of time, and as large as its first frame."""

    def __init__(self, path: Path, source: str) -> None:
        self.path, self.source = path, source
        self.encoder: encoders.Encoder | None = None
        self.size, self.rate, self.written = (0, 0), 0.0, 0
        self.failure: SourceFailed | None = None

    def draw(self, frame: Frame, poses: list[Pose]) -> None:
        """Draw a frame; keeps what goes wrong for `close`, as poses are wanted without a copy too."""
        if self.failure is None:
            try:
                self._add(_drawn(frame, poses), frame)
            except SourceFailed as failure:
                self.failure = failure

    def _add(self, image: Image.Image, frame: Frame) -> None:
        """Add an image as often as is needed to reach its time, and not at all where earlier ones are past it."""
        if self.encoder is None:
            self.size, self.rate = image.size, min(frame.rate, HIGHEST_RATE)
            sound = None if is_camera(self.source) else Path(self.source)
            self.encoder = encoders.encoder(self.path, self.size, self.rate, sound)
        pixels = np.asarray(image if image.size == self.size else image.resize(self.size))
        for _ in range(round(frame.seconds * self.rate) + 1 - self.written):
            self.encoder.write(pixels)
            self.written += 1

    def close(self) -> bool:
        """Complete the film; false where it has no frames. Raises SourceFailed where it could not be written."""
        if self.failure:
            raise self.failure
        encoder, self.encoder = self.encoder, None
        if encoder:
            encoder.close()
        return encoder is not None

    def abandon(self) -> None:
        """Let go of a film that is not complete."""
        if self.encoder:
            self.encoder.abandon()


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
        originals = {os.path.realpath(path) for path in files.values()}  # Path.resolve raises where links go in circles
        for source, place in self.places.items():
            if os.path.realpath(place) in originals:
                raise UserError(f"--draw: {folder}: {source} would be overwritten; give another folder")
        cameras = filter(is_camera, sources)
        self.places |= {source: folder / f"{source.replace(':', '')}{encoders.ending()}" for source in cameras}
        if not encoders.keeps_sound() and any(map(is_video, sources)):
            logger.info(
                "--draw: films become WebM without sound; where the program ffmpeg is installed, MP4 with sound"
            )

    @contextmanager
    def of(self, source: str) -> Iterator[DrawCopy]:
        """A function that draws a source's frames; the copy is in place once all of them are drawn."""
        place = self.places[source]
        place.parent.mkdir(parents=True, exist_ok=True)
        if not is_video(source):
            yield lambda frame, poses: _save(_drawn(frame, poses), place)
            return
        temporary = place.with_name(f".{place.stem}.{os.getpid()}.tmp{place.suffix}")  # encoders go by the ending
        film = _Film(temporary, source)
        try:
            yield film.draw
            if film.close():
                put_in_place(temporary, place)
        finally:
            film.abandon()
            temporary.unlink(missing_ok=True)


def _save(image: Image.Image, place: Path) -> None:
    with atomic_write(place) as temporary:
        image.save(temporary, _format(place))
