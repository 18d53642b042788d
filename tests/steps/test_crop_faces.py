"""The crop step: context, validated labels, and bad images that are listed with the reason."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from pipeline_steps.crop_faces import crop_faces
from pipeline_steps.datasets.image_folder import ImageFolder
from pipeline_steps.images.crop_file import CropFile
from pipeline_steps.job.errors import UserError
from tests.conftest import ROOT, small_disk


def run_crop_faces(
    folder: Path, crop: dict | None = None, source: dict | None = None, threads: int = 1, **crops: object
) -> Path:
    """Crop the images below folder/mine to folder/crops."""
    values = {
        "source": {"kind": "image_folder"} | (source or {}),
        "crop": {"box": "whole_image", "margin": 0.0} | (crop or {}),
        "crops": {"size": 32, "context": 0.0, "border": "reflect", "max_rejected": 0.01} | crops,
    }
    recipe = folder / "recipe.json"
    recipe.write_text(json.dumps({"step": "crop_faces", "job": {"dataset": "mine"}, "params": values}))
    raw, output = folder / "raw", folder / "crops"
    if not raw.exists():
        raw.mkdir()
        ImageFolder(**values["source"]).acquire(raw, folder / "mine")
    crop_faces(recipe, raw, output, threads)
    return output


def labelled(folder: Path, rows: dict[str, str], header: str = "path,yaw,pitch,roll") -> None:
    """Write noise images and their labels to folder/mine."""
    mine = folder / "mine"
    mine.mkdir()
    rng = np.random.default_rng(0)
    for name in rows:
        Image.fromarray(rng.integers(0, 255, (48, 64, 3), np.uint8)).save(mine / name)
    lines = [f"{name},{cells}" for name, cells in rows.items()]
    (mine / "labels.csv").write_text("\n".join([header, *lines]) + "\n")


def test_every_bad_image_is_listed_with_the_reason_and_the_others_are_kept(tmp_path):
    good = {f"good{n}.png": "10,0,0" for n in range(8)}
    bad = ("cut.png", "empty.png", "page.png", "missing.png", "nan.png", "far.png", "text.png", "float.tiff")
    rows = good | dict.fromkeys(bad, "10,0,0") | {"nan.png": "nan,0,0", "far.png": "270,0,0", "text.png": "left,0,0"}
    labelled(tmp_path, rows)
    mine = tmp_path / "mine"
    (mine / "cut.png").write_bytes((mine / "good0.png").read_bytes()[:4000])
    (mine / "empty.png").write_bytes(b"")
    (mine / "page.png").write_bytes(b"<html>")
    (mine / "missing.png").unlink()
    Image.fromarray(np.ones((48, 64), np.float32)).save(mine / "float.tiff")
    output = run_crop_faces(tmp_path, max_rejected=0.5)
    rejected = pd.read_csv(output / "rejected.csv").set_index("source_id")["reason"]
    assert set(rejected.index) == set(bad)
    for name, reason in {
        "cut.png": "truncated",
        "empty.png": "cannot identify image file 'empty.png'",
        "page.png": "cannot identify image file 'page.png'",
        "missing.png": "No such file or directory: 'missing.png'",
        "nan.png": "yaw is 'nan', not a number",
        "far.png": "angles [270.0, 0.0, 0.0] beyond 180 degrees",
        "text.png": "yaw is 'left', not a number",
        "float.tiff": "floating-point grey levels",
    }.items():
        assert reason in rejected[name]
    with CropFile(output / "crops.h5") as file:
        assert file.source_ids == list(good)
        assert file.read(np.arange(8)).shape == (8, 32, 32, 3)


def test_a_matrix_that_is_not_a_rotation_is_rejected(tmp_path):
    header = "path," + ",".join(f"r{i}{j}" for i in range(3) for j in range(3))
    rows = {
        "good.png": "1,0,0,0,1,0,0,0,1",
        "mirror.png": "-1,0,0,0,1,0,0,0,1",
        "scaled.png": "1.1,0,0,0,1,0,0,0,1",
        "zero.png": "0,0,0,0,0,0,0,0,0",
    }
    labelled(tmp_path, rows, header)
    rejected = pd.read_csv(run_crop_faces(tmp_path, max_rejected=0.9) / "rejected.csv")
    assert rejected["source_id"].tolist() == ["mirror.png", "scaled.png", "zero.png"]
    assert set(rejected["reason"]) == {"the label is not a rotation"}


def test_too_many_bad_images_stop_the_step_and_are_still_listed(tmp_path):
    labelled(tmp_path, {"a.png": "1,0,0", "b.png": "x,0,0", "c.png": "1,0,0"})
    with pytest.raises(UserError) as error:
        run_crop_faces(tmp_path)
    assert "1 of 3 images are unusable, more than crops.max_rejected = 0.01" in str(error.value)
    assert "the first: b.png: yaw is 'x', not a number" in str(error.value)
    assert [p.name for p in (tmp_path / "crops").iterdir()] == ["rejected.csv"]


def test_two_images_with_the_same_name_stop_the_step(tmp_path):
    labelled(tmp_path, {"a.png": "1,0,0"})
    table = tmp_path / "mine/labels.csv"
    table.write_text(table.read_text() + "a.png,2,0,0\n")
    with pytest.raises(UserError, match=r"2 images are named a\.png"):
        run_crop_faces(tmp_path)


def test_an_empty_folder_stops_the_step(tmp_path):
    (tmp_path / "mine").mkdir()
    with pytest.raises(UserError, match="no images of the data set mine in it"):
        run_crop_faces(tmp_path, source={"labels": None})


def test_the_crop_is_the_centre_of_the_stored_image(tmp_path):
    labelled(tmp_path, {"a.png": "1,0,0,20,12,36,28"}, "path,yaw,pitch,roll,x0,y0,x1,y1")
    rule = {"box": "given_box", "margin": 0.0}
    image = np.asarray(Image.open(tmp_path / "mine/a.png"))
    with CropFile(run_crop_faces(tmp_path, rule, size=16, context=0.25) / "crops.h5") as file:
        assert (file.size, file.stored) == (16, 24)
        np.testing.assert_array_equal(file.read(np.array([0]))[0], image[12:28, 20:36])
        np.testing.assert_array_equal(file.read_with_context(np.array([0]))[0], image[8:32, 16:40])


def test_images_without_labels_are_cropped_with_unknown_poses(tmp_path):
    labelled(tmp_path, {"a.png": "", "b.png": ""})
    with CropFile(run_crop_faces(tmp_path, source={"labels": None}) / "crops.h5") as file:
        assert np.isnan(file.rotation).all()
        assert np.isnan(file.euler_deg).all()


def test_the_number_of_processes_changes_no_byte(tmp_path):
    labelled(tmp_path, {f"{n:03d}.png": f"{n},0,{-n}" if n % 7 else "x,0,0" for n in range(60)})
    one = run_crop_faces(tmp_path, max_rejected=0.5)
    contents = [(one / name).read_bytes() for name in ("crops.h5", "rejected.csv")]
    two = run_crop_faces(tmp_path, threads=2, max_rejected=0.5)
    assert [(two / name).read_bytes() for name in ("crops.h5", "rejected.csv")] == contents


def test_a_full_disk_is_named_and_leaves_nothing(tmp_path):
    labelled(tmp_path, {f"{n:03d}.png": "1,0,0" for n in range(60)})
    run_crop_faces(tmp_path)
    with small_disk(tmp_path / "disk") as disk:
        command = [sys.executable, "-m", "pipeline_steps.crop_faces", "--recipe", str(tmp_path / "recipe.json")]
        command += ["--raw", str(tmp_path / "raw"), "--output", str(disk / "crops")]
        recipe = json.loads((tmp_path / "recipe.json").read_text())
        recipe["params"]["crops"]["size"] = 128
        (tmp_path / "recipe.json").write_text(json.dumps(recipe))
        done = subprocess.run(command, cwd=ROOT, text=True, capture_output=True, check=False)
        assert done.returncode == 1
        assert "60 crops need 2.9 MB and the disk has 1.0 MB left; free some space" in done.stderr.splitlines()[-1]
        assert not list((disk / "crops").glob("*crops.h5*"))
