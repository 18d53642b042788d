"""The crop file: images are read where HDF5 stored them, and a file truncated while in use ends the process."""

import signal
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

from pipeline_steps.images.crop_file import CropFile
from tests.conftest import ROOT


@pytest.fixture
def images() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, (50, 12, 12, 3), dtype=np.uint8)


@pytest.fixture
def crops(images: np.ndarray, tmp_path: Path) -> Path:
    with h5py.File(tmp_path / "crops.h5", "w") as file:
        file.attrs.update({"schema_version": 2, "dataset": "faces", "source": "{}", "crop": '{"size": 8}'})
        stored = file.create_dataset("images", images.shape, "u1", chunks=(1, 12, 12, 3), maxshape=images.shape)
        for row in np.random.default_rng(1).permutation(50):  # so that their order in the file is another
            stored[row] = images[row]
            file.create_dataset(f"between_{row}", data=np.zeros(row))
        file["rotation"], file["euler_deg"] = np.zeros((50, 3, 3)), np.zeros((50, 3))
        for name in ("subject", "source_id"):
            file.create_dataset(name, data=["x"] * 50, dtype=h5py.string_dtype())
    return tmp_path / "crops.h5"


def test_images_are_read_from_where_hdf5_stored_them(images: np.ndarray, crops: Path):
    rows = np.array([7, 49, 0, 7])
    with CropFile(crops) as file:
        np.testing.assert_array_equal(file.read_with_context(rows), images[rows])
        np.testing.assert_array_equal(file.read(rows), images[rows][:, 2:10, 2:10])


READ_TRUNCATED_FILE = """
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


@pytest.mark.skipif(sys.platform != "linux", reason="other systems send other signals")
def test_truncating_a_mapped_file_ends_the_process_and_names_the_place(crops: Path):
    command = [sys.executable, "-c", READ_TRUNCATED_FILE, str(crops)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGBUS
    assert "Fatal Python error: Bus error" in done.stderr
    assert "crop_file.py" in done.stderr
