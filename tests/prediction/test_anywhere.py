"""`predict` and the page run from any folder, once `make` has set up the environment."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import requests
from PIL import Image

from tests.conftest import ROOT

ELSEWHERE = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}


def test_what_make_sets_up_finds_the_project_from_any_folder(tmp_path: Path):
    """`make` in a project of one module, without any packages."""
    project, elsewhere = tmp_path / "project", tmp_path / "elsewhere"
    for folder in (project / "pipeline_steps", elsewhere):
        folder.mkdir(parents=True)
    shutil.copy(ROOT / "Makefile", project)
    (project / "requirements.lock").touch()
    (project / "pipeline_steps" / "predict.py").write_text("print('found', __file__)")
    made = ["make", ".venv/installed", f"PYTHON={sys.executable}"]
    done = subprocess.run(made, cwd=project, env=ELSEWHERE, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    command = [project / ".venv/bin/python", "-m", "pipeline_steps.predict"]
    done = subprocess.run(command, cwd=elsewhere, env=ELSEWHERE, text=True, capture_output=True, check=False)
    assert done.stdout.split() == ["found", str(project / "pipeline_steps" / "predict.py")], done.stderr


@pytest.fixture
def elsewhere(bright_model: Path, tmp_path: Path) -> Path:
    """A folder with a model and a picture, which is not the project's."""
    shutil.copy(bright_model, tmp_path / "model.onnx")
    Image.new("RGB", (64, 64), (51, 51, 51)).save(tmp_path / "photo.png")
    return tmp_path


def test_paths_are_those_of_the_folder_one_is_in(elsewhere: Path):
    command = [sys.executable, "-m", "pipeline_steps.predict", "model.onnx", "photo.png", "--whole-image"]
    command += ["--draw", "copies", "--output", "poses.csv"]
    subprocess.run(command, cwd=elsewhere, env=ELSEWHERE | {"PYTHONPATH": str(ROOT)}, check=True)
    assert "photo.png,0,0.0,0.0,0.0,64.0,64.0,-11.459,0.0,0.0," in (elsewhere / "poses.csv").read_text()
    assert (elsewhere / "copies" / "photo.png").exists()


def test_the_page_opens_from_any_folder(elsewhere: Path):
    command = [sys.executable, "-m", "pipeline_steps.page", "model.onnx", "--port", "0"]
    environment = ELSEWHERE | {"PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, cwd=elsewhere, env=environment, stdout=subprocess.PIPE, text=True) as program:
        try:
            assert program.stdout
            found = re.search(r"http://127\.0\.0\.1:\d+", program.stdout.readline())
            assert found
            assert "Open a photograph" in requests.get(found[0], timeout=20).text
            asked = f"{found[0]}/predict?whole_image=true"
            (answer,) = requests.post(asked, data=(elsewhere / "photo.png").read_bytes(), timeout=20).json()
            assert answer["yaw"] == pytest.approx(-11.459, abs=0.01), "a fifth of a radian"
        finally:
            program.terminate()


def test_a_served_model_needs_no_packages_that_only_trainings_have():
    asked = "import sys, pipeline_steps.prediction.head_pose; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", asked], cwd=ROOT, text=True, capture_output=True, check=True)
    assert not {"h5py", "lightning", "kornia", "sklearn"} & set(done.stdout.split())
