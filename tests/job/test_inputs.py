"""What a step reads: as it was made when the step begins, and unchanged when it ends."""

import re
import signal
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

from pipeline_steps.images.crop_file import CropFile
from pipeline_steps.job.errors import UserError
from pipeline_steps.job.recipe import Inputs, Recipe, read_recipe, seal
from tests.conftest import ROOT

RECIPE = Recipe(step="crop_faces", job={"dataset": "faces"}, params={})


@pytest.fixture
def made(tmp_path: Path) -> Path:
    path = tmp_path / "made" / "crops.h5"
    path.parent.mkdir()
    path.write_bytes(bytes(1000))
    seal(RECIPE, path.with_name("recipe.json"))
    return path


def test_a_changed_byte_is_found_before_the_work_begins(made: Path):
    Inputs(made)
    content = bytearray(made.read_bytes())
    content[500] ^= 1
    made.write_bytes(content)
    with pytest.raises(UserError, match=re.escape(f"{made}: its content is not what was made")):
        Inputs(made)


@pytest.mark.parametrize("fault", ["written", "replaced", "removed"])
def test_an_input_that_changes_under_a_job_leaves_its_result_unsealed(made: Path, tmp_path: Path, fault: str):
    inputs, result = Inputs(made), tmp_path / "result" / "recipe.json"
    result.parent.mkdir()
    if fault == "written":
        with made.open("r+b") as file:
            file.write(b"other")
    elif fault == "replaced":
        (tmp_path / "new").write_bytes(made.read_bytes())
        (tmp_path / "new").replace(made)
    else:
        made.unlink()
    with pytest.raises(UserError, match=re.escape(f"{made}: changed while this job was reading it")):
        seal(RECIPE, result, inputs)
    assert not result.exists()


def test_a_file_from_outside_is_taken_as_it_is(tmp_path: Path):
    (tmp_path / "weights.pth").write_bytes(b"anything")
    inputs = Inputs(tmp_path / "weights.pth")
    (tmp_path / "result").mkdir()
    seal(RECIPE, tmp_path / "result" / "recipe.json", inputs)
    assert read_recipe(tmp_path / "result" / "recipe.json").key == RECIPE.key


@pytest.fixture
def images() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, (50, 12, 12, 3), dtype=np.uint8)


@pytest.fixture
def crops(images: np.ndarray, tmp_path: Path) -> Path:
    with h5py.File(tmp_path / "crops.h5", "w") as file:
        file.attrs.update({"schema_version": 2, "dataset": "faces", "source": "{}", "crop": '{"size": 8}'})
        stored = file.create_dataset("images", images.shape, "u1", chunks=(1, 12, 12, 3), maxshape=images.shape)
        for row in np.random.default_rng(1).permutation(50):  # so that they do not lie in the file in their order
            stored[row] = images[row]
            file.create_dataset(f"between_{row}", data=np.zeros(row))
        file["rotation"], file["euler_deg"] = np.zeros((50, 3, 3)), np.zeros((50, 3))
        for name in ("subject", "source_id"):
            file.create_dataset(name, data=["x"] * 50, dtype=h5py.string_dtype())
    return tmp_path / "crops.h5"


def test_images_are_read_from_where_hdf5_has_put_them(images: np.ndarray, crops: Path):
    rows = np.array([7, 49, 0, 7])
    with CropFile(crops) as file:
        np.testing.assert_array_equal(file.read_with_context(rows), images[rows])
        np.testing.assert_array_equal(file.read(rows), images[rows][:, 2:10, 2:10])


READ_WHAT_IS_CUT_OFF = """
import os
from pathlib import Path
import numpy as np
from pipeline_steps.images.crop_file import CropFile
from pipeline_steps.job.command_line import main
def read(crops: Path) -> None:
    file = CropFile(crops)
    os.truncate(crops, 0)
    file.read(np.arange(50))
main(read)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="other systems tell of it by other signals")
def test_a_mapped_file_that_is_cut_off_under_a_job_ends_it_with_the_place(crops: Path):
    command = [sys.executable, "-c", READ_WHAT_IS_CUT_OFF, str(crops)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGBUS
    assert "Fatal Python error: Bus error" in done.stderr
    assert "crop_file.py" in done.stderr
