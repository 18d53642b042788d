"""Whole photographs that are taken for crops of heads stop the crop step; crops of heads do not."""

import json
import re
import shutil
import tarfile
from pathlib import Path

import pytest
from PIL import Image

from pipeline_steps.crop_faces import crop_faces
from pipeline_steps.datasets.base import HeadPoseDataset
from pipeline_steps.datasets.biwi import Biwi
from pipeline_steps.datasets.image_folder import ImageFolder
from pipeline_steps.job.errors import UserError
from stand_ins.biwi import write_biwi


@pytest.fixture(scope="module")
def frames(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Frames of BIWI's size with a rendered head and the recordings' calibration, as a folder."""
    folder = tmp_path_factory.mktemp("biwi")
    write_biwi(folder / "biwi.tgz", subjects=1, images=8, seed=0)
    with tarfile.open(folder / "biwi.tgz") as archive:
        archive.extractall(folder, filter="data")
    return folder / "hpdb"


def cropped(folder: Path, source: HeadPoseDataset, archive: Path, box: str) -> Path:
    raw = folder / "raw"
    raw.mkdir(parents=True)
    source.acquire(raw, archive)
    values = {"source": source.model_dump(mode="json"), "crop": {"box": box}, "crops": {"size": 32}}
    (folder / "recipe.json").write_text(json.dumps({"step": "crop_faces", "job": {"dataset": "x"}, "params": values}))
    crop_faces(folder / "recipe.json", raw, folder / "crops", 1)
    return folder / "crops/crops.h5"


def test_frames_with_a_calibration_are_no_crops(frames: Path, tmp_path: Path):
    with pytest.raises(UserError) as error:
        cropped(tmp_path / "whole", Biwi(), frames, "whole_image")
    # 240 mm at 0.9 to 1.1 m, by a focal length of 518 pixels, are 113 to 138 of 640; the face is 0.65 of that
    said = r"datasets\.x\.crop\.box: whole_image is for images that are crops of heads, and a face fills 1[1-4]% of "
    assert re.fullmatch(said + r"the side of these \(median of 8 images\); set it to projected_head", str(error.value))
    assert not (tmp_path / "whole/crops").exists()
    assert cropped(tmp_path / "heads", Biwi(), frames, "projected_head").exists()


def test_frames_without_a_calibration_are_recognised_by_their_faces(frames: Path, tmp_path: Path):
    bare = shutil.copytree(frames, tmp_path / "bare")
    (bare / "01/rgb.cal").unlink()
    with pytest.raises(UserError, match=r"datasets\.x\.crop\.box: whole_image .*; cut the heads out first"):
        cropped(tmp_path / "whole", Biwi(), bare, "whole_image")


def test_crops_of_heads_are_accepted(frames: Path, tmp_path: Path):
    """The same frames, cut to 160 pixels around the head, which is 1 m away in the middle of the frame."""
    faces = tmp_path / "faces"
    faces.mkdir()
    for path in sorted((frames / "01").glob("*_rgb.png")):
        Image.open(path).crop((240, 150, 400, 310)).save(faces / path.name)
    assert cropped(tmp_path / "crops", ImageFolder(labels=None), faces, "whole_image").exists()


def test_boxes_of_a_csv_say_how_large_heads_are(tmp_path: Path):
    mine = tmp_path / "mine"
    mine.mkdir()
    Image.new("RGB", (400, 300)).save(mine / "a.png")
    (mine / "labels.csv").write_text("path,yaw,pitch,roll,x0,y0,x1,y1\na.png,0,0,0,100,100,160,170\n")
    with pytest.raises(UserError, match=r"a face fills 18% .* \(median of 1 images\); set it to given_box"):
        cropped(tmp_path / "whole", ImageFolder(), mine, "whole_image")
    assert cropped(tmp_path / "boxes", ImageFolder(), mine, "given_box").exists()
