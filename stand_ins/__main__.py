"""Write a stand-in archive: rendered heads in the official layout of a data set.

python -m stand_ins LAYOUT OUTPUT --subjects N --images M --seed S [--size PX]
"""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from pipeline_steps.job.command_line import main
from pipeline_steps.job.progress import logger
from stand_ins.aflw2000 import write_aflw2000
from stand_ins.biwi import write_biwi
from stand_ins.pointing04 import write_pointing04
from stand_ins.w300lp import write_w300lp


class Layout(StrEnum):
    """Data sets whose layout can be written."""

    AFLW2000 = "aflw2000"
    BIWI = "biwi"
    POINTING04 = "pointing04"
    W300LP = "w300lp"


_WRITERS = {
    Layout.AFLW2000: (write_aflw2000, 450),
    Layout.BIWI: (write_biwi, 640),
    Layout.POINTING04: (write_pointing04, 384),
    Layout.W300LP: (write_w300lp, 450),
}


def stand_in(
    layout: Annotated[Layout, Argument(help="data set whose layout to write")],
    output: Annotated[Path, Argument(help="archive to write: a zip for aflw2000 and w300lp, otherwise a gzipped tar")],
    subjects: Annotated[int, Option(help="number of subjects; biwi records four of its 20 twice")],
    images: Annotated[
        int,
        Option(
            help="number of images of each subject; for biwi and pointing04, of each recording or series; w300lp adds "
            "mirror images"
        ),
    ],
    seed: Annotated[int, Option(min=0, help="the same seed gives the same bytes")] = 0,
    size: Annotated[int | None, Option(min=48, max=2048, help="width in pixels; by default the official one")] = None,
) -> None:
    """Render the heads and write the archive."""
    write, official = _WRITERS[layout]
    truth = write(output, subjects, images, seed, official if size is None else size)
    logger.info("%s: %d images of %d subjects", output, len(truth), truth["subject"].nunique())


if __name__ == "__main__":
    main(stand_in)
