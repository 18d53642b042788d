"""Cut a square around every head, resize it, and store all crops with their labels in one HDF5 file.

python -m pipeline_steps.crop_faces --recipe RECIPE --raw data/raw/NAME --output data/crops/NAME
"""

import csv
import re
import shutil
from collections import Counter, deque
from collections.abc import Iterator
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
from typer import Option

from pipeline_steps.datasets.base import SOURCE, Entry, Sample
from pipeline_steps.images.boxes import head_box, square_around
from pipeline_steps.images.crop_file import Crop, Rejected, stored_size, write_crops
from pipeline_steps.images.pictures import UNREADABLE, cut_from_file
from pipeline_steps.job.command_line import main
from pipeline_steps.job.errors import UserError, brief
from pipeline_steps.job.files import whole_file
from pipeline_steps.job.progress import track
from pipeline_steps.job.recipe import read_recipe, seal
from pipeline_steps.job.worker_pool import worker_pool
from pipeline_steps.params.steps import CropParams
from pipeline_steps.pose.geometry import is_rotation, matrix_to_euler

UNKNOWN = np.full((3, 3), np.nan)
_NAME = re.compile(r"[^\0-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]{1,1000}")
"""What can be stored, printed and looked up: no control characters or line breaks, no bytes that are not UTF-8."""


def checked_label(sample: Sample) -> tuple[np.ndarray, np.ndarray]:
    """Rotation (3, 3) and yaw, pitch, roll (3,) in degrees, NaN where unknown; ValueError where they are no label."""
    if sample.rotation is not None and not is_rotation(sample.rotation):
        raise ValueError("the label is not a rotation")
    if not _NAME.fullmatch(sample.subject):
        raise ValueError(f"{sample.subject!r} cannot be a subject's name")
    rotation = UNKNOWN if sample.rotation is None else sample.rotation
    euler_deg = matrix_to_euler(rotation) if sample.euler_deg is None else sample.euler_deg
    if (np.abs(euler_deg) > 180).any():
        raise ValueError(f"angles {np.round(euler_deg, 1).tolist()} beyond 180 degrees")
    return rotation, euler_deg


def crop(entry: Entry, params: CropParams) -> Crop | Rejected:
    """One picture's crop, or the reason why there is none."""
    rule, crops = params.crop, params.crops
    stored = stored_size(crops.size, crops.context)
    try:
        sample = params.source.read(entry)
        rotation, euler_deg = checked_label(sample)

        def square_with_context(width: int, height: int) -> np.ndarray:
            square = square_around(head_box(sample, rule.box, width, height), rule.margin, width, height)
            context = (stored / crops.size - 1) / 2 * (square[2] - square[0])
            grown: np.ndarray = square + np.array([-context, -context, context, context])
            return grown

        image = cut_from_file(entry.image, square_with_context, stored, crops.border)
    except UNREADABLE as error:
        return Rejected(entry.source_id, brief(str(error).replace(str(entry.image), entry.image.name)))
    return Crop(entry.source_id, image, sample.subject, rotation, euler_deg)


def _crop_all(entries: list[Entry], params: CropParams) -> list[Crop | Rejected]:
    return [crop(entry, params) for entry in entries]


def crops_of(entries: list[Entry], params: CropParams, processes: int) -> Iterator[Crop | Rejected]:
    """The crops in the entries' order, whatever the number of processes; some hundreds of them in memory at a time."""
    if processes == 1:
        yield from (crop(entry, params) for entry in entries)
        return
    work, together = partial(_crop_all, params=params), 16
    with worker_pool(processes) as pool:
        waiting: deque[Future[list[Crop | Rejected]]] = deque()
        for start in range(0, len(entries), together):
            waiting.append(pool.submit(work, entries[start : start + together]))
            if len(waiting) > 4 * processes:
                yield from waiting.popleft().result()
        while waiting:
            yield from waiting.popleft().result()


def list_entries(params: CropParams, raw: Path, dataset: str) -> list[Entry]:
    """Every picture of the data set; UserError where there is none, or a name cannot be stored or is taken twice."""
    entries = list(params.source.entries(raw))
    if not entries:
        raise UserError(f"{raw}: holds no pictures of the data set {dataset}; check its layout")
    if bad := [entry.source_id for entry in entries if not _NAME.fullmatch(entry.source_id)]:
        raise UserError(f"{raw}: a picture is called {brief(repr(bad[0]))}; rename it, in UTF-8 without line breaks")
    name, times = Counter(entry.source_id for entry in entries).most_common(1)[0]
    if times > 1:
        raise UserError(f"{raw}: {times} pictures are called {name}; rename them")
    return entries


def require_space(output: Path, count: int, size: int) -> None:
    """Raise UserError where the disk has no room for `count` crops of `size` pixels: known before the long work."""
    output.mkdir(parents=True, exist_ok=True)
    needed, free = count * size * size * 3 / 1e6, shutil.disk_usage(output).free / 1e6
    if needed > free:
        raise UserError(
            f"{output}: {count:,} crops need {needed:,.1f} MB and the disk has {free:,.1f} MB left; free some space, "
            "or lower crops.size or crops.context"
        )


def crop_faces(
    recipe: Annotated[Path, Option(help="parameters of this job")],
    raw: Annotated[Path, Option(help="folder that acquire_dataset filled")],
    output: Annotated[Path, Option(help="folder for crops.h5 and rejected.csv")],
    threads: Annotated[int, Option(min=1, help="processes")] = 1,
) -> None:
    """Crop every picture; unusable ones are listed with their reason."""
    asked = read_recipe(recipe)
    params, dataset = asked.params_as(CropParams), str(asked.job["dataset"])
    torch.set_num_threads(1)  # of every process
    entries = list_entries(params, raw, dataset)
    size = stored_size(params.crops.size, params.crops.context)
    require_space(output, len(entries), size)
    source = path.read_text() if (path := raw / SOURCE).exists() else "{}"
    rule = params.crop.model_dump() | params.crops.model_dump(exclude={"max_rejected"})
    with whole_file(output / "crops.h5") as temporary:
        crops = track(crops_of(entries, params, threads), f"crop {dataset}", len(entries))
        rejected = write_crops(temporary, crops, len(entries), dataset, source, rule)
        with whole_file(output / "rejected.csv") as table, table.open("w", encoding="utf-8", newline="") as rows:
            csv.writer(rows).writerows([("source_id", "reason"), *((r.source_id, r.reason) for r in rejected)])
        if len(rejected) > params.crops.max_rejected * len(entries) or len(rejected) == len(entries):
            raise UserError(
                f"{raw}: {len(rejected)} of {len(entries)} images are unusable, more than crops.max_rejected = "
                f"{params.crops.max_rejected}; the first: {rejected[0].source_id}: {rejected[0].reason}; "
                f"mend or remove those in {output / 'rejected.csv'}, or raise that share"
            )
    seal(asked, output / "recipe.json")


if __name__ == "__main__":
    main(crop_faces)
