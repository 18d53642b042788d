"""The crop file: images are read where HDF5 stored them, and a file truncated while in use ends the process."""

import fcntl
import os
import signal
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

from pipeline_steps.images.crop_file import Crop, CropFile, write_crops
from pipeline_steps.job.errors import UserError
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


def test_a_file_system_without_locks_is_written_to_and_read(tmp_path: Path):
    """A lock that another holds is refused as every lock is where there are none."""
    path, image = tmp_path / "crops.h5", np.zeros((8, 8, 3), np.uint8)
    path.touch()
    with path.open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(OSError, match="unable to lock file"):
            h5py.File(path, "w")
        write_crops(path, [Crop("a", image, "s", np.eye(3), np.zeros(3))], 1, "x", "{}", {"size": 8, "context": 0.0})
        with CropFile(path) as file:
            assert file.source_ids == ["a"]


def test_a_lock_that_the_environment_asks_for_is_named(crops: Path):
    """HDF5 lets the variable win over what a program asks for."""
    command = "import sys; from pathlib import Path; from pipeline_steps.images.crop_file import CropFile; "
    command += "CropFile(Path(sys.argv[1]))"
    with crops.open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        for value, status in (("TRUE", 1), ("FALSE", 0)):
            environment = os.environ | {"HDF5_USE_FILE_LOCKING": value}
            arguments = [sys.executable, "-c", command, str(crops)]
            done = subprocess.run(arguments, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
            assert done.returncode == status, done.stderr
            assert ("HDF5_USE_FILE_LOCKING asks for; unset it, or set it to FALSE" in done.stderr) == bool(status)


def test_only_a_file_that_is_not_whole_is_to_be_deleted(crops: Path, tmp_path: Path):
    with pytest.raises(UserError, match=r"gone\.h5: no such file; run snakemake again"):
        CropFile(tmp_path / "gone.h5")
    with pytest.raises(UserError, match=r"cannot be read \(Is a directory\); check its permissions and the disk"):
        CropFile(tmp_path)
    crops.write_bytes(crops.read_bytes()[:1000])
    with pytest.raises(UserError, match=r"not a complete crop file .*; delete it and run snakemake again"):
        CropFile(crops)


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
