"""Cropping any box of any image, and reading the crop file: pixels, labels and rejected images."""

import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy.spatial.transform import Rotation

from pipeline_steps.crop_faces import crop_faces
from pipeline_steps.images.boxes import square_around
from pipeline_steps.images.crop_file import CropFile, stored_size
from pipeline_steps.images.image_files import cut_square

sides = st.integers(1, 40)
shares = st.floats(0, 1)


def noise(width: int, height: int, seed: int = 0) -> np.ndarray:
    """An image, uint8 (height, width, 3)."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


@given(sides, sides, shares, shares, st.integers(4, 90), st.sampled_from(["reflect", "constant"]))
def test_pixels_beyond_the_edge_are_those_of_a_padded_image(width, height, right, down, side, border):
    image, pad = noise(width, height), 100
    padded = np.pad(image, ((pad, pad), (pad, pad), (0, 0)), "symmetric" if border == "reflect" else "constant")
    x, y = round(right * width) - side // 2, round(down * height) - side // 2
    crop = cut_square(Image.fromarray(image), np.array([x, y, x + side, y + side], float), side, border)
    np.testing.assert_array_equal(crop, padded[pad + y : pad + y + side, pad + x : pad + x + side])


@given(sides, sides, shares, shares, st.floats(4, 100), st.integers(16, 64), st.integers(0, 255))
def test_a_crop_has_the_requested_size_and_no_new_colours(width, height, right, down, side, size, grey):
    centre = np.array([right * width, down * height])
    square = np.concatenate([centre - side / 2, centre + side / 2])
    crop = cut_square(Image.new("RGB", (width, height), (grey, grey, grey)), square, size, "reflect")
    assert crop.shape == (size, size, 3)
    np.testing.assert_array_equal(crop, grey)


letters = st.characters(categories=["L", "N"], include_characters=" ,'\"-_()&;")
names = st.text(letters, min_size=1, max_size=20).filter(lambda name: name == name.strip())
angles = st.floats(-180, 180)
halves = st.integers(-40, 160).map(lambda n: n / 2)
labels = {
    "path": names,
    "subject": names,
    "angles": st.tuples(angles, angles, angles),
    "box": st.tuples(halves, halves, halves, halves),
}
rows = st.lists(st.fixed_dictionaries(labels), max_size=4, unique_by=lambda row: row["path"])


def cropped(folder: Path, rows: list[dict[str, Any]], size: int, context: float) -> Path:
    """Crop noise images with the given labels and boxes; return the output folder."""
    raw, output, recipe = folder / "raw", folder / "crops", folder / "recipe.json"
    (raw / "unpacked").mkdir(parents=True)
    table = []
    for number, row in enumerate(rows):
        Image.fromarray(noise(64, 48, number)).save(raw / "unpacked" / row["path"], "png")
        labels = [*row["angles"], *row["box"]]
        table.append(dict(zip(("yaw", "pitch", "roll", "x0", "y0", "x1", "y1"), labels, strict=True)))
        table[-1] |= {"path": row["path"], "subject": row["subject"]}
    pd.DataFrame(table).to_csv(raw / "unpacked" / "labels.csv", index=False)
    crops = {"size": size, "context": context, "max_rejected": 1.0}
    params = {"source": {"kind": "image_folder"}, "crop": {"box": "given_box"}, "crops": crops}
    recipe.write_text(json.dumps({"step": "crop_faces", "job": {"dataset": "mine"}, "params": params}))
    crop_faces(recipe, raw, output, 1)
    return output


@settings(max_examples=60)
@given(rows, st.integers(16, 24), st.sampled_from([0.0, 0.3]))
def test_labels_names_and_pixels_survive_the_crop_file(rows, size, context):
    good = {"path": "good", "subject": "a", "angles": (10.0, 0.0, 0.0), "box": (10.0, 10.0, 40.0, 40.0)}
    rows = [good, *(row for row in rows if row["path"] != "good")]
    with tempfile.TemporaryDirectory() as folder:
        output = cropped(Path(folder), rows, size, context)
        rejected = pd.read_csv(output / "rejected.csv", dtype=str, keep_default_na=False)["source_id"]
        kept = [(number, row) for number, row in enumerate(rows) if row["path"] not in set(rejected)]
        with CropFile(output / "crops.h5") as file:
            assert (file.size, file.stored) == (size, stored_size(size, context))
            assert file.source_ids == [row["path"] for _, row in kept]
            assert file.subjects == [row["subject"] for _, row in kept]
            euler_deg = np.array([row["angles"] for _, row in kept])
            np.testing.assert_array_equal(file.euler_deg, euler_deg.astype(np.float32))
            yaw, pitch, roll = -euler_deg.T
            expected = Rotation.from_euler("XYZ", np.stack([pitch, yaw, roll], 1), degrees=True).as_matrix()
            np.testing.assert_allclose(file.rotation, expected, atol=1e-6)
            order = np.arange(len(kept))[::-1]
            crops, stored = file.read(order), file.read_with_context(order)
    edge = (stored.shape[1] - size) // 2
    np.testing.assert_array_equal(crops, stored[:, edge : edge + size, edge : edge + size])
    for crop, (number, row) in zip(stored, kept[::-1], strict=True):
        x0, y0, x1, y1 = square_around(np.array(row["box"]), 0.0, 64, 48)
        context = (len(crop) / size - 1) / 2 * (x1 - x0)
        square = np.array([x0 - context, y0 - context, x1 + context, y1 + context])
        image = Image.fromarray(noise(64, 48, number))
        np.testing.assert_array_equal(crop, cut_square(image, square, len(crop), "reflect"))
    for row in rows:
        x0, y0, x1, y1 = row["box"]
        inside = 0 <= x0 + x1 <= 128 and 0 <= y0 + y1 <= 96
        assert (row["path"] in set(rejected)) == (not inside or x1 <= x0 or y1 <= y0 or max(x1 - x0, y1 - y0) < 4)
