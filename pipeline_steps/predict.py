"""Head poses of the people in images, folders and videos, or in front of a camera.

python -m pipeline_steps.predict model.onnx PATH... [--format csv|jsonl] [--output FILE] [--draw FOLDER]

PATH: images, folders, patterns, videos, camera:0; what cannot be read is named and skipped. A model comes from
`export_model`. From Python:

from pipeline_steps.predict import HeadPose
poses = HeadPose.load("model.onnx")(image)
"""

import csv
import json
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from enum import StrEnum
from io import TextIOWrapper
from pathlib import Path
from typing import Annotated, Protocol, TextIO

from tqdm import tqdm
from typer import Argument, Option

from pipeline_steps.job.command_line import main
from pipeline_steps.job.errors import UserError, brief
from pipeline_steps.job.files import atomic_write
from pipeline_steps.job.progress import logger
from pipeline_steps.prediction.copies import Copies
from pipeline_steps.prediction.frames import Frame, SourceFailed, frames, is_camera, is_video, sources
from pipeline_steps.prediction.head_pose import HeadPose, Pose
from pipeline_steps.prediction.smoothing import Smoother
from pipeline_steps.prediction.tested import notice

__all__ = ["HeadPose", "Pose", "predict"]

MATRIX = [f"r{row}{column}" for row in (1, 2, 3) for column in (1, 2, 3)]
COLUMNS = ["file", "frame", "seconds", "x0", "y0", "x1", "y1", "yaw", "pitch", "roll", *MATRIX, "confidence"]

UNREADABLE_NAMES = "backslashreplace"
"""How bytes of file names that are no text are written."""


class Format(StrEnum):
    """How poses are written: CSV with a header, or one JSON object per line."""

    CSV = "csv"
    JSONL = "jsonl"


class Write(Protocol):
    """Writes the poses of one frame."""

    def __call__(self, frame: Frame, poses: list[Pose]) -> None: ...


def writer(file: TextIO, form: Format) -> Write:
    """A function that writes poses into an open file."""
    if form is Format.CSV:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(COLUMNS)

    def write(frame: Frame, poses: list[Pose]) -> None:
        for pose in poses:
            where = {"file": frame.source, "frame": frame.number, "seconds": round(frame.seconds, 3)}
            record = pose.record()
            if form is Format.CSV:
                flat = [value for row in record.pop("matrix") for value in row]
                box, confidence = record.pop("box"), record.pop("confidence")
                rows.writerow([*where.values(), *box, *record.values(), *flat, confidence])
            else:
                file.write(json.dumps(where | record) + "\n")
        file.flush()

    return write


@contextmanager
def _opened(output: Path) -> Iterator[TextIO]:
    with atomic_write(output) as temporary, temporary.open("w", encoding="utf-8", errors=UNREADABLE_NAMES) as file:
        yield file


def _ended_by_hand(source: str) -> AbstractContextManager[None]:
    """Lets Ctrl-C end a camera, which has no end of its own, without an error."""
    return suppress(KeyboardInterrupt) if is_camera(source) else nullcontext()


def predict(
    model: Annotated[Path, Argument(help="model.onnx or model_int8.onnx of export_model")],
    path: Annotated[list[str], Argument(help="images, folders, patterns, videos, or camera:0")],
    form: Annotated[Format, Option("--format", help="how to write the poses")] = Format.CSV,
    output: Annotated[Path | None, Option(help="file to write to, instead of standard output")] = None,
    draw: Annotated[Path | None, Option(help="folder for copies with the heads' axes drawn on them")] = None,
    whole_image: Annotated[bool, Option(help="images are crops of one head each; detect no faces")] = False,
    flip_test: Annotated[bool, Option(help="average with the mirror image's prediction, for twice the time")] = False,
    smooth: Annotated[bool, Option(help="smooth the rotations over a video's time")] = False,
    threads: Annotated[int, Option(min=0, help="CPU threads, 0 for as many as there are cores")] = 0,
) -> None:
    """Print file, frame, seconds, box, yaw, pitch, roll (degrees), rotation matrix and confidence of every head."""
    found, head_pose, failed = sources(path), HeadPose.load(model, threads), 0
    print(f"{model}: {notice(head_pose.model.about)}", file=sys.stderr)
    copies = Copies(draw, found) if draw else None
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors=UNREADABLE_NAMES)
    with nullcontext(sys.stdout) if output is None else _opened(output) as file:
        write = writer(file, form)
        for source in tqdm(found, unit="file", disable=None, leave=False):
            smoother, looked_at, without = Smoother() if smooth else None, 0, 0
            try:
                with copies.of(source) if copies else nullcontext() as draw_copy, _ended_by_hand(source):
                    for frame in frames(source):
                        poses = _poses(head_pose, frame, whole_image, flip_test)
                        if smoother:
                            poses = smoother(poses, frame.seconds)
                        write(frame, poses)
                        if draw_copy:
                            draw_copy(frame, poses)
                        looked_at, without = looked_at + 1, without + (not poses)
            except SourceFailed as failure:
                failed += 1
                logger.warning("%s: %s", source, failure)
            if without:
                where = f" in {without} of {looked_at} frames" if is_video(source) else ""
                logger.info("%s: no head found%s", source, where)
    if failed:
        raise UserError(f"{failed} of {len(found)} inputs failed, as said above; all other poses are written")


def _poses(head_pose: HeadPose, frame: Frame, whole_image: bool, flip_test: bool) -> list[Pose]:
    try:
        return head_pose(frame.image, whole_image, flip_test)
    except ValueError as error:  # heads that no crop can be cut around, as in a picture that is one long strip
        raise SourceFailed(f"skipped: frame {frame.number}: {brief(error)}") from error


if __name__ == "__main__":
    main(predict)
