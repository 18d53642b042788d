"""Head poses of the people in pictures, folders, videos or before a camera.

python -m pipeline_steps.predict model.onnx PATH... [--format csv|jsonl] [--output FILE] [--draw FOLDER]

PATH: pictures, folders, patterns, videos, camera:0. A model comes from `export_model`. From Python:

from pipeline_steps.predict import HeadPose
poses = HeadPose.load("model.onnx")(picture)
"""

import csv
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Protocol, TextIO

import cv2
import numpy as np
from PIL import Image
from tqdm import tqdm
from typer import Argument, Exit, Option

from pipeline_steps.drawing import draw_axes
from pipeline_steps.files import whole_file
from pipeline_steps.pose.geometry import matrix_to_euler
from pipeline_steps.prediction.frames import PICTURES, Frame, frames, sources
from pipeline_steps.prediction.head_pose import HeadPose, Pose
from pipeline_steps.prediction.one_euro import OneEuroFilter
from pipeline_steps.step import main

__all__ = ["HeadPose", "Pose", "predict"]

MATRIX = [f"r{row}{column}" for row in (1, 2, 3) for column in (1, 2, 3)]
COLUMNS = ["file", "frame", "x0", "y0", "x1", "y1", "yaw", "pitch", "roll", *MATRIX, "confidence"]


class Format(StrEnum):
    """How poses are written: CSV with a head line, or one JSON object a line."""

    CSV = "csv"
    JSONL = "jsonl"


class Write(Protocol):
    """Writes the poses of one frame."""

    def __call__(self, frame: Frame, poses: list[Pose]) -> None: ...


def writer(file: TextIO, form: Format) -> Write:
    """What writes poses into an open file."""
    if form is Format.CSV:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(COLUMNS)

    def write(frame: Frame, poses: list[Pose]) -> None:
        for pose in poses:
            where, record = {"file": frame.source, "frame": frame.number}, pose.record()
            if form is Format.CSV:
                flat = [value for row in record.pop("matrix") for value in row]
                box, confidence = record.pop("box"), record.pop("confidence")
                rows.writerow([*where.values(), *box, *record.values(), *flat, confidence])
            else:
                file.write(json.dumps(where | record) + "\n")
        file.flush()

    return write


class Smoother:
    """Smooths every head of a video by itself; a head is the one whose box overlaps its last box most."""

    def __init__(self) -> None:
        self.tracks: list[tuple[np.ndarray, float, OneEuroFilter]] = []

    def __call__(self, poses: list[Pose], seconds: float) -> list[Pose]:
        """The poses with smoothed rotations; a head that was gone for a second begins anew."""
        self.tracks = [track for track in self.tracks if seconds - track[1] < 1]
        free, smoothed = list(range(len(self.tracks))), []
        for pose in poses:
            best = max(free, key=lambda place: overlap(self.tracks[place][0], pose.box), default=None)
            if best is None or overlap(self.tracks[best][0], pose.box) < 0.3:
                best = len(self.tracks)
                self.tracks.append((pose.box, seconds, OneEuroFilter()))
            else:
                free.remove(best)
            turned = self.tracks[best][2]
            matrix = turned(pose.matrix, seconds)
            self.tracks[best] = pose.box, seconds, turned
            yaw, pitch, roll = np.asarray(matrix_to_euler(matrix)).tolist()
            smoothed.append(pose._replace(matrix=matrix, yaw=yaw, pitch=pitch, roll=roll))
        return smoothed


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    """Intersection over union of two boxes (4,) x0, y0, x1, y1."""
    width, height = np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])
    shared = max(width, 0.0) * max(height, 0.0)
    union = (a[2:] - a[:2]).prod() + (b[2:] - b[:2]).prod() - shared
    return float(shared / union)


def drawn(picture: np.ndarray, poses: list[Pose]) -> Image.Image:
    """A copy of the picture uint8 (H, W, 3) with every head's axes drawn at the middle of its box."""
    copy = Image.fromarray(picture)
    for pose in poses:
        centre, side = (pose.box[:2] + pose.box[2:]) / 2, float(pose.box[2] - pose.box[0])
        draw_axes(copy, pose.matrix, centre, side)
    return copy


class Drawings:
    """Copies with axes in a folder, under the names of their sources; a video becomes an MP4."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.film: cv2.VideoWriter | None = None

    def __call__(self, frame: Frame, poses: list[Pose]) -> None:
        """Draw one frame."""
        if frame.picture is None:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        picture, source = drawn(frame.picture, poses), Path(frame.source.replace(":", ""))
        if source.suffix.lower() in PICTURES:
            with whole_file(self.folder / source.name) as temporary:
                picture.save(temporary, Image.registered_extensions()[source.suffix.lower()])
            return
        if self.film is None:
            code = cv2.VideoWriter.fourcc(*"mp4v")
            self.film = cv2.VideoWriter(str(self.folder / f"{source.stem}.mp4"), code, 25.0, picture.size)
        self.film.write(cv2.cvtColor(np.asarray(picture), cv2.COLOR_RGB2BGR))

    def end(self) -> None:
        """Close a video's file."""
        if self.film is not None:
            self.film.release()
            self.film = None


@contextmanager
def _opened(output: Path) -> Iterator[TextIO]:
    with whole_file(output) as temporary, temporary.open("w", encoding="utf-8") as file:
        yield file


def predict(
    model: Annotated[Path, Argument(help="model.onnx or model_int8.onnx of export_model")],
    path: Annotated[list[str], Argument(help="pictures, folders, patterns, videos, or camera:0")],
    form: Annotated[Format, Option("--format", help="how to write the poses")] = Format.CSV,
    output: Annotated[Path | None, Option(help="file to write to, instead of standard output")] = None,
    draw: Annotated[Path | None, Option(help="folder for copies with the heads' axes")] = None,
    whole_image: Annotated[bool, Option(help="pictures are crops of one head each: look for no face")] = False,
    smooth: Annotated[bool, Option(help="smooth the rotations over a video's time")] = False,
    threads: Annotated[int, Option(min=0, help="CPU threads, 0 for as many as there are cores")] = 0,
) -> None:
    """Print file, frame, box, yaw, pitch, roll (degrees), rotation matrix and confidence of every head."""
    found, head_pose, unread = sources(path), HeadPose.load(model, threads), 0
    drawings = Drawings(draw) if draw else None
    with nullcontext(sys.stdout) if output is None else _opened(output) as file:
        write = writer(file, form)
        for source in tqdm(found, unit="file", disable=None, leave=False):
            smoother = Smoother() if smooth else None
            for frame in frames(source):
                if frame.picture is None:
                    unread += 1
                    continue
                poses = head_pose(frame.picture, whole_image)
                if smoother:
                    poses = smoother(poses, frame.seconds)
                write(frame, poses)
                if drawings:
                    drawings(frame, poses)
            if drawings:
                drawings.end()
    if unread:
        raise Exit(1)


if __name__ == "__main__":
    main(predict)
