"""A store whose folder is moved or copied finds its own files, with plain MLflow too, and leaves the others alone."""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline_steps.tracking.places import settle
from tests.conftest import ROOT

MODEL = """
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel
class Echo(PythonModel):
    def predict(self, context, model_input, params=None):
        return "own"
set_model(Echo())
"""
MAKE = """
import mlflow
from pipeline_steps.job.recipe import Recipe
from pipeline_steps.tracking import store
client = store.open_client()
experiment = store.experiment_of(client, Recipe(step="export_model", job={"study": "echo"}, params={}))
run = client.create_run(experiment).info.run_id
client.log_text(run, "kept", "note.txt")
with mlflow.start_run(run):
    stored = mlflow.pyfunc.log_model(name="model", python_model="model.py", pip_requirements=[])
client.create_registered_model("headpose-echo")
client.create_model_version("headpose-echo", stored.model_uri, run)
client.set_registered_model_alias("headpose-echo", "best", 1)
"""
USE = """
import mlflow
print(mlflow.pyfunc.load_model("models:/headpose-echo@best").predict([1]))
client = mlflow.MlflowClient()
(run,) = client.search_runs([client.get_experiment_by_name("headpose-echo").experiment_id])
print([file.path for file in client.list_artifacts(run.info.run_id)])
client.log_text(run.info.run_id, "written", "written.txt")
client.log_text(client.create_run(run.info.experiment_id).info.run_id, "new", "new.txt")
"""
RELATIVE = "sqlite:///mlflow.db"


def python(folder: Path, *arguments: str, uri: str = RELATIVE) -> str:
    environment = os.environ | {"MLFLOW_TRACKING_URI": uri, "PYTHONPATH": str(ROOT), "MLFLOW_DISABLE_TELEMETRY": "true"}
    command = [sys.executable, "-W", "ignore", *arguments]
    done = subprocess.run(command, cwd=folder, env=environment, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a store of a relative address; tests copy it from `kept`, which no address names."""
    folder = tmp_path_factory.mktemp("made") / "app"
    folder.mkdir()
    (folder / "model.py").write_text(MODEL)
    python(folder, "-c", MAKE)
    return folder.rename(folder.with_name("kept"))


@pytest.fixture(scope="module")
def absolute(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a store that holds absolute places, as all stores of earlier versions do."""
    folder = tmp_path_factory.mktemp("absolute") / "app"
    folder.mkdir()
    (folder / "model.py").write_text(MODEL)
    python(folder, "-c", MAKE, uri=f"sqlite:///{folder}/mlflow.db")
    return folder


def content(folder: Path) -> dict[str, tuple[float, str]]:
    """Date and checksum of every file."""
    return {
        str(path.relative_to(folder)): (path.stat().st_mtime, hashlib.sha256(path.read_bytes()).hexdigest())
        for path in folder.rglob("*")
        if path.is_file()
    }


def assert_is_used(folder: Path) -> None:
    """Plain MLflow reads the store in a folder, and writes there."""
    assert python(folder, "-c", USE).splitlines() == ["own", "['note.txt']"]
    assert len(list((folder / "mlartifacts").rglob("written.txt"))) == 1
    assert len(list((folder / "mlartifacts").rglob("new.txt"))) == 1


def test_a_moved_folder_is_used_where_it_lies_now(made: Path, tmp_path: Path):
    shutil.copytree(made, tmp_path / "app2")  # nothing lies any more where the store was made
    assert_is_used(tmp_path / "app2")
    assert not (made.parent / "app").exists(), "the place where it was made is not made again"


@pytest.mark.parametrize("how", ["moved", "copied"])
def test_a_store_with_absolute_places_is_corrected_when_it_is_opened(absolute: Path, tmp_path: Path, how: str):
    original = tmp_path / "app"
    shutil.copytree(absolute, original)
    settle(f"sqlite:///{original}/mlflow.db")  # as if made here
    other = tmp_path / "other"
    if how == "moved":
        original.rename(other)
    else:
        shutil.copytree(original, other)
        for model in original.rglob("model.py"):
            model.write_text("raise RuntimeError('read from the original')")
    before = content(original)
    python(other, "-m", "pipeline_steps.tracking", "sync")
    assert_is_used(other)
    assert content(original) == before


def test_files_that_lie_at_the_old_place_alone_are_still_found(absolute: Path, tmp_path: Path):
    """Earlier versions, after a move, made the old folder again and wrote what came next into it."""
    folder = tmp_path / "app2"
    shutil.copytree(absolute, folder)
    old = absolute / "mlartifacts"
    (note,) = (folder / "mlartifacts").rglob("note.txt")
    shutil.rmtree(note.parent)
    hidden = absolute / "mlflow.db"
    hidden.rename(hidden.with_suffix(".away"))
    try:
        settle(f"sqlite:///{folder}/mlflow.db")
        listing = "import mlflow; c = mlflow.MlflowClient(); (r,) = c.search_runs(['1']); print(r.info.artifact_uri)"
        assert python(folder, "-c", listing).strip() == next(old.rglob("note.txt")).parent.as_uri()
    finally:
        hidden.with_suffix(".away").rename(hidden)


def test_stores_that_are_no_files_are_left_alone():
    for uri in ("http://127.0.0.1:9", "postgresql://test@127.0.0.1:9/db", "sqlite:///:memory:"):
        settle(uri)
