"""Cut a square around every head, resize it, and store all crops with their labels in one HDF5 file.

python -m pipeline_steps.crop_faces --recipe RECIPE --raw data/raw/NAME --output data/crops/NAME
"""

import csv
import json
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Annotated

import h5py
import numpy as np
from PIL import Image, ImageDraw
from typer import Option

from pipeline_steps.crops import SCHEMA_VERSION
from pipeline_steps.datasets.base import Sample
from pipeline_steps.errors import UserError
from pipeline_steps.files import whole_file
from pipeline_steps.params import CropParams, CropRule
from pipeline_steps.pose.geometry import is_rotation, matrix_to_euler
from pipeline_steps.progress import track
from pipeline_steps.recipe import Recipe, read_recipe, seal
from pipeline_steps.step import main


def square_around(sample: Sample, rule: CropRule, width: int, height: int) -> np.ndarray:
    """x0, y0, x1, y1 in pixels of the square to cut out; ValueError where the sample lacks the box for it."""
    if rule.box == "whole_image":
        box = np.array([0, 0, width, height], float)
    elif rule.box == "given_box":
        if sample.box is None:
            raise ValueError("the data set gives no box")
        box = np.asarray(sample.box, float)
    else:
        if sample.landmarks is None:
            raise ValueError("the data set gives no landmarks")
        box = np.concatenate([sample.landmarks.min(0), sample.landmarks.max(0)]).astype(float)
    centre, side = (box[:2] + box[2:]) / 2, (box[2:] - box[:2]).max() * (1 + 2 * rule.margin)
    if not np.isfinite(box).all() or side < 4:
        raise ValueError(f"unusable box {box.round(1).tolist()}")
    if (centre < 0).any() or centre[0] > width or centre[1] > height:
        raise ValueError(f"box {box.round(1).tolist()} lies outside the {width}x{height} picture")
    return np.concatenate([centre - side / 2, centre + side / 2])


def crop(sample: Sample, params: CropParams) -> np.ndarray:
    """The crop uint8 (S, S, 3); ValueError or OSError says why there is none."""
    if not is_rotation(sample.rotation):
        raise ValueError("the label is not a rotation")
    with Image.open(sample.image) as picture:
        pixels = np.asarray(picture.convert("RGB"))
    height, width = pixels.shape[:2]
    x0, y0, x1, y1 = square = square_around(sample, params.crop, width, height)
    beyond = int(np.ceil(max(0, -square.min(), x1 - width, y1 - height)))
    mode = {"reflect": "symmetric", "constant": "constant"}[params.crops.border]
    padded = np.pad(pixels, ((beyond, beyond), (beyond, beyond), (0, 0)), mode) if beyond else pixels  # type: ignore[call-overload]
    window = (x0 + beyond, y0 + beyond, x1 + beyond, y1 + beyond)
    size = params.crops.size
    resized = Image.fromarray(padded).resize((size, size), Image.Resampling.BICUBIC, box=window)
    return np.asarray(resized)


def _crop_or_reason(sample: Sample, params: CropParams) -> np.ndarray | str:
    try:
        return crop(sample, params)
    except (OSError, ValueError, SyntaxError) as error:
        return str(error).replace(str(sample.image), sample.source_id)


def draw_axes(picture: Image.Image, rotation: np.ndarray) -> None:
    """Draw the head's axes, as the columns of the matrix: sideways red, up green, nose blue."""
    pen, half = ImageDraw.Draw(picture), np.array(picture.size) / 2
    for axis, colour in zip(rotation.T, ("#d55e00", "#009e73", "#0072b2"), strict=True):
        tip = half + 0.45 * half.min() * axis[:2] * [1, -1]
        pen.line([tuple(half), tuple(tip)], fill=colour, width=max(1, picture.width // 40))


def contact_sheet(images: np.ndarray, rotation: np.ndarray, path: Path) -> None:
    """64 crops spread evenly through the set, with axes drawn from their labels."""
    rows = np.linspace(0, len(images) - 1, min(64, len(images))).astype(int)
    sheet = Image.new("RGB", (8 * 128, 8 * 128))
    for place, row in enumerate(rows):
        face = Image.fromarray(images[row]).resize((128, 128), Image.Resampling.BICUBIC)
        draw_axes(face, rotation[row])
        sheet.paste(face, (place % 8 * 128, place // 8 * 128))
    with whole_file(path) as temporary:
        sheet.save(temporary, "JPEG", quality=85)


def _crops(samples: list[Sample], params: CropParams, processes: int) -> Iterator[np.ndarray | str]:
    work = partial(_crop_or_reason, params=params)
    if processes == 1:
        yield from map(work, samples)
        return
    with ProcessPoolExecutor(processes) as pool:
        yield from pool.map(work, samples, chunksize=32)


def write_crops(path: Path, images: np.ndarray, samples: list[Sample], recipe: Recipe, params: CropParams) -> None:
    """Write crops.h5 without timestamps, so that two builds are equal to the byte."""
    rotation = np.array([s.rotation for s in samples], np.float32)
    euler = [matrix_to_euler(s.rotation) if s.euler_deg is None else s.euler_deg for s in samples]
    with whole_file(path) as temporary, h5py.File(temporary, "w", libver="latest") as file:
        file.create_dataset("images", data=images, chunks=(1, *images.shape[1:]), track_times=False)
        file.create_dataset("rotation", data=rotation, track_times=False)
        file.create_dataset("euler_deg", data=np.array(euler, np.float32), track_times=False)
        for name, values in (("subject", [s.subject for s in samples]), ("source_id", [s.source_id for s in samples])):
            file.create_dataset(name, data=values, dtype=h5py.string_dtype(), track_times=False)
        file.attrs["schema_version"] = SCHEMA_VERSION
        file.attrs["dataset"] = recipe.job["dataset"]
        file.attrs["source_digest"] = recipe.inputs.get("raw", "")
        file.attrs["crop"] = params.crop.model_dump_json()
        file.attrs["euler_convention"] = "yaw, pitch, roll in degrees; R = Rx(pitch) Ry(yaw) Rz(roll) as 300W-LP"


def crop_faces(
    recipe: Annotated[Path, Option(help="parameters of this job")],
    raw: Annotated[Path, Option(help="folder that acquire_dataset filled")],
    output: Annotated[Path, Option(help="folder for crops.h5, rejected.csv and contact_sheet.jpg")],
    threads: Annotated[int, Option(min=1, help="processes")] = 1,
) -> None:
    """Crop every sample; unusable ones are listed with their reason."""
    made = read_recipe(recipe)
    params = made.params_as(CropParams)
    samples = list(params.source.samples(raw))
    if not samples:
        raise UserError(f"{raw}: holds no samples of the data set {made.job['dataset']}; check its layout")
    results = list(track(_crops(samples, params, threads), f"crop {made.job['dataset']}", len(samples)))
    rejected = [(s.source_id, r) for s, r in zip(samples, results, strict=True) if isinstance(r, str)]
    kept = [(s, r) for s, r in zip(samples, results, strict=True) if not isinstance(r, str)]
    output.mkdir(parents=True, exist_ok=True)
    with whole_file(output / "rejected.csv") as temporary, temporary.open("w", newline="") as file:
        csv.writer(file).writerows([("source_id", "reason"), *rejected])
    if len(rejected) > params.crops.max_rejected * len(samples) or not kept:
        raise UserError(
            f"{raw}: {len(rejected)} of {len(samples)} images are unusable, more than crops.max_rejected = "
            f"{params.crops.max_rejected}; the first: {json.dumps(rejected[0])}"
        )
    images = np.stack([image for _, image in kept])
    write_crops(output / "crops.h5", images, [s for s, _ in kept], made, params)
    contact_sheet(images, np.array([s.rotation for s, _ in kept]), output / "contact_sheet.jpg")
    seal(made, output / "recipe.json")


if __name__ == "__main__":
    main(crop_faces)
