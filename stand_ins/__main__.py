"""Write a stand-in archive: rendered heads in a data set's official layout.

python -m stand_ins LAYOUT OUTPUT --people N --images M --seed S [--size PX]
"""

import logging
from enum import StrEnum
from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from pipeline_steps.job.command_line import main
from stand_ins.aflw2000 import write_aflw2000
from stand_ins.biwi import write_biwi
from stand_ins.pointing04 import write_pointing04
from stand_ins.w300lp import write_w300lp


class Layout(StrEnum):
    """Names of the layouts."""

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
    layout: Annotated[Layout, Argument(help="whose layout")],
    output: Annotated[Path, Argument(help="the archive: a zip for aflw2000 and w300lp, else a gzipped tar")],
    people: Annotated[int, Option(help="how many people; biwi records four of its 20 twice")],
    images: Annotated[
        int,
        Option(
            help="pictures of each person; w300lp adds mirror images; biwi and pointing04 "
            "count them in each recording or series"
        ),
    ],
    seed: Annotated[int, Option(min=0, help="the same seed gives the same bytes")] = 0,
    size: Annotated[int | None, Option(min=48, max=2048, help="width in pixels; the official one if not given")] = None,
) -> None:
    """Render the heads and write the archive, which is whole or not there."""
    write, official = _WRITERS[layout]
    truth = write(output, people, images, seed, official if size is None else size)
    logging.getLogger("headpose").info("%s: %d pictures of %d people", output, len(truth), truth["subject"].nunique())


if __name__ == "__main__":
    main(stand_in)
