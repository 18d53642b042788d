"""From any box in any picture to the crop file and back: what is kept, what is refused, what is read."""

import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy.spatial.transform import Rotation

from pipeline_steps.crop_faces import crop_faces
from pipeline_steps.datasets.base import Sample
from pipeline_steps.images.boxes import head_box, square_around
from pipeline_steps.images.crop_file import CropFile, stored_size
from pipeline_steps.images.pictures import cut_square

sides = st.integers(1, 40)
shares = st.floats(0, 1)
pixels = st.floats(-100, 100)
numbers = st.one_of(pixels, st.floats(), st.sampled_from([0.0, 20.0]))
points = st.lists(st.tuples(pixels, pixels), min_size=2, max_size=8).map(np.array)


def picture_of(width: int, height: int, seed: int = 0) -> np.ndarray:
    """Noise, uint8 (height, width, 3)."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # of infinite numbers
@given(st.tuples(numbers, numbers, numbers, numbers).map(np.array), st.floats(-0.4, 2), sides, sides)
def test_the_square_of_a_box_is_square_and_keeps_its_centre_or_the_box_is_refused(box, margin, width, height):
    longer = (box[2:] - box[:2]).max() * (1 + 2 * margin)
    x, y = (box[:2] + box[2:]) / 2
    usable = box[0] < box[2] and box[1] < box[3] and 4 <= longer <= 10 * max(width, height)
    if not (usable and 0 <= x <= width and 0 <= y <= height):
        with pytest.raises(ValueError, match=r"^(unusable box|box .* lies outside)"):
            square_around(box, margin, width, height)
        return
    x0, y0, x1, y1 = square_around(box, margin, width, height)
    np.testing.assert_allclose([x1 - x0, y1 - y0], longer, rtol=1e-9)
    np.testing.assert_allclose([x0 + x1, y0 + y1], [2 * x, 2 * y], atol=1e-9)


@given(points, pixels, pixels, st.floats(0.1, 10), st.sampled_from(["landmarks_tight", "landmarks_loose"]))
def test_a_box_of_landmarks_holds_them_and_moves_and_grows_with_them(landmarks, x, y, scale, rule):
    def box(points: np.ndarray) -> np.ndarray:
        return head_box(Sample("", None, landmarks=points), rule, 64, 48)

    x0, y0, x1, y1 = box(landmarks)
    assert ((landmarks >= [x0, y0]) & (landmarks <= [x1, y1])).all()
    np.testing.assert_allclose(box(scale * landmarks + [x, y]), scale * box(landmarks) + [x, y, x, y], atol=1e-9)


@given(sides, sides, shares, shares, st.integers(4, 90), st.sampled_from(["reflect", "constant"]))
def test_what_lies_beyond_the_edge_is_as_if_the_picture_had_been_padded(width, height, right, down, side, border):
    picture, pad = picture_of(width, height), 100
    padded = np.pad(picture, ((pad, pad), (pad, pad), (0, 0)), "symmetric" if border == "reflect" else "constant")
    x, y = round(right * width) - side // 2, round(down * height) - side // 2
    crop = cut_square(Image.fromarray(picture), np.array([x, y, x + side, y + side], float), side, border)
    np.testing.assert_array_equal(crop, padded[pad + y : pad + y + side, pad + x : pad + x + side])


@given(sides, sides, shares, shares, st.floats(4, 100), st.integers(16, 64), st.integers(0, 255))
def test_a_crop_has_the_size_asked_for_and_invents_no_colour(width, height, right, down, side, size, grey):
    centre = np.array([right * width, down * height])
    square = np.concatenate([centre - side / 2, centre + side / 2])
    crop = cut_square(Image.new("RGB", (width, height), (grey, grey, grey)), square, size, "reflect")
    assert crop.shape == (size, size, 3)
    np.testing.assert_array_equal(crop, grey)


letters = st.characters(categories=["L", "N"], include_characters=" ,'\"-_()&;")
names = st.text(letters, min_size=1, max_size=20).filter(lambda name: name == name.strip())
turns = st.floats(-180, 180)
halves = st.integers(-40, 160).map(lambda n: n / 2)
labels = {
    "path": names,
    "subject": names,
    "angles": st.tuples(turns, turns, turns),
    "box": st.tuples(halves, halves, halves, halves),
}
rows = st.lists(st.fixed_dictionaries(labels), max_size=4, unique_by=lambda row: row["path"])


def cropped(folder: Path, rows: list[dict[str, Any]], size: int, context: float) -> Path:
    """Crops of pictures with the given labels and boxes, a good one before them."""
    raw, output, recipe = folder / "raw", folder / "crops", folder / "recipe.json"
    (raw / "unpacked").mkdir(parents=True)
    table = []
    for number, row in enumerate(rows):
        Image.fromarray(picture_of(64, 48, number)).save(raw / "unpacked" / row["path"], "png")
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
def test_labels_names_and_pictures_survive_the_crop_file(rows, size, context):
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
        picture = Image.fromarray(picture_of(64, 48, number))
        np.testing.assert_array_equal(crop, cut_square(picture, square, len(crop), "reflect"))
    for row in rows:
        x0, y0, x1, y1 = row["box"]
        inside = 0 <= x0 + x1 <= 128 and 0 <= y0 + y1 <= 96
        assert (row["path"] in set(rejected)) == (not inside or x1 <= x0 or y1 <= y0 or max(x1 - x0, y1 - y0) < 4)
