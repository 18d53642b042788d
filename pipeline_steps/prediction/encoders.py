"""Films that browsers play: H.264 with the source's sound by the program ffmpeg, or VP8 without sound by OpenCV."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np

from pipeline_steps.job.errors import brief
from pipeline_steps.prediction.frames import SourceFailed


class Encoder(Protocol):
    """Writes images uint8 (H, W, 3), RGB, of one size as a film."""

    def write(self, pixels: np.ndarray) -> None:
        """Add an image."""

    def close(self) -> None:
        """Complete the film."""

    def abandon(self) -> None:
        """Let go of a film that nobody needs."""


class H264:
    """H.264 in MP4 by the program ffmpeg, with the sound of the film `sound`, if any."""

    def __init__(self, program: str, path: Path, size: tuple[int, int], rate: float, sound: Path | None) -> None:
        width, height = size
        command = [program, "-nostdin", "-loglevel", "error", "-y", "-f", "rawvideo", "-pixel_format", "rgb24"]
        command += ["-video_size", f"{width}x{height}", "-framerate", f"{rate:.6f}", "-i", "pipe:0"]
        command += ["-map", "0:v"] if sound is None else ["-i", f"file:{sound}", "-map", "0:v", "-map", "1:a?"]
        # browsers play no other sampling of colours, and it takes even sides
        command += ["-vf", "pad=ceil(iw/2)*2:ceil(ih/2)*2,format=yuv420p", "-movflags", "+faststart", f"file:{path}"]
        self.told = tempfile.TemporaryFile()  # noqa: SIM115 - read once the program has ended
        # in a session of its own: Ctrl-C, which ends a camera, must leave it time to complete the film
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=self.told, start_new_session=True)

    def write(self, pixels: np.ndarray) -> None:
        """Add an image; raises SourceFailed where the program has given up."""
        assert self.process.stdin
        try:
            self.process.stdin.write(pixels.tobytes())
        except BrokenPipeError:
            self.close()

    def close(self) -> None:
        """Complete the film; raises SourceFailed where the program fails."""
        with suppress(BrokenPipeError):
            self.process.communicate()
        if self.process.returncode:
            self.told.seek(0)
            lines = self.told.read().decode(errors="replace").strip().splitlines()
            raise SourceFailed(f"no copy: ffmpeg: {brief(lines[-1] if lines else self.process.returncode)}")

    def abandon(self) -> None:
        """Let go of a film that nobody needs."""
        self.process.kill()
        with suppress(BrokenPipeError):
            self.process.communicate()


class VP8:
    """VP8 in WebM by OpenCV, which has no encoder for H.264 and drops the last column or row of odd sides."""

    def __init__(self, path: Path, size: tuple[int, int], rate: float) -> None:
        with _quiet():  # OpenCV says that WebM has no such codec, and writes it
            self.writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"VP80"), rate, size)
        if not self.writer.isOpened():
            raise SourceFailed(f"no copy: it cannot be written; check {path.parent}, or omit --draw")

    def write(self, pixels: np.ndarray) -> None:
        """Add an image."""
        self.writer.write(cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR))

    def close(self) -> None:
        """Complete the film."""
        self.writer.release()

    abandon = close


def keeps_sound() -> bool:
    """Whether films keep the sound of their sources: where the program ffmpeg is installed."""
    return shutil.which("ffmpeg") is not None


def ending() -> str:
    """How the name of a film ends."""
    return ".mp4" if keeps_sound() else ".webm"


def encoder(path: Path, size: tuple[int, int], rate: float, sound: Path | None) -> Encoder:
    """The encoder of a film whose name ends as `ending` says.

    size: width and height in pixels; rate: images per second; sound: the film whose sound is kept, where it can be.
    Raises SourceFailed where the film cannot be written.
    """
    program = shutil.which("ffmpeg")
    return VP8(path, size, rate) if program is None else H264(program, path, size, rate, sound)


@contextmanager
def _quiet() -> Iterator[None]:
    """Silences what native code writes to standard error."""
    kept, nothing = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nothing, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nothing)
