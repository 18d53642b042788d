"""What a step reads: as it was made when the step begins, and unchanged when it ends."""

import hashlib
import os
import re
import shutil
import time
from pathlib import Path

import pytest

from pipeline_steps.job.errors import UserError
from pipeline_steps.job.recipe import FileInput, JobInput, Recipe, read_recipe
from pipeline_steps.job.seal import (
    Inputs,
    SealedFile,
    SealedFolder,
    is_corrupt,
    is_sealed_by,
    is_whole,
    read_seal,
    seal,
)

RECIPE = Recipe(step="crop_faces", job={"dataset": "faces"}, params={})


@pytest.fixture
def asked(tmp_path: Path) -> Path:
    path = tmp_path / "asked.json"
    reads = {"crops": JobInput(fingerprint=RECIPE.fingerprint)}
    path.write_text(Recipe(step="split_dataset", job={"dataset": "faces"}, params={}, inputs=reads).text())
    return path


@pytest.fixture
def made(tmp_path: Path) -> Path:
    path = tmp_path / "made" / "crops.h5"
    path.parent.mkdir()
    path.write_bytes(bytes(1000))
    seal(RECIPE, path.parent)
    return path


def test_a_seal_says_what_was_written_by_which_recipe_and_libraries(made: Path):
    found = read_seal(made.parent)
    assert found.fingerprint == RECIPE.fingerprint
    assert found.files["crops.h5"] == SealedFile(size=1000, sha256=hashlib.sha256(bytes(1000)).hexdigest())
    assert read_recipe(made.with_name("recipe.json")) == RECIPE
    assert {"python", "torch", "numpy"} <= found.versions.keys()
    assert is_sealed_by(RECIPE, made.parent)
    assert not is_sealed_by(RECIPE.model_copy(update={"job": {"dataset": "others"}}), made.parent)
    assert not is_sealed_by(RECIPE.model_copy(update={"params": {"size": 32}}), made.parent)


@pytest.mark.parametrize("name", ["crops.h5", "recipe.json", "seal.json"])
def test_sealed_results_that_are_cut_off_are_corrupt(made: Path, name: str):
    assert not is_corrupt(made.parent)
    os.truncate(made.with_name(name), made.with_name(name).stat().st_size // 2)
    assert is_corrupt(made.parent)


def test_the_names_of_a_job_are_no_part_of_its_fingerprint():
    renamed = RECIPE.model_copy(update={"job": {"dataset": "other"}})
    assert renamed.fingerprint == RECIPE.fingerprint
    for change in (
        {"step": "x"},
        {"params": {"a": 1}},
        {"code": {"a.py": "1"}},
        {"inputs": {"raw": JobInput(fingerprint="1")}},
    ):
        assert RECIPE.model_copy(update=change).fingerprint != RECIPE.fingerprint


def test_a_changed_byte_is_found_before_the_work_begins(asked: Path, made: Path):
    Inputs(asked, made)
    content = bytearray(made.read_bytes())
    content[500] ^= 1
    made.write_bytes(content)
    with pytest.raises(UserError, match=re.escape(f"{made}: its content is not what its job wrote")):
        Inputs(asked, made)


@pytest.mark.parametrize("fault", ["written", "replaced", "removed"])
def test_an_input_that_changes_under_a_job_leaves_its_result_unsealed(
    asked: Path, made: Path, tmp_path: Path, fault: str
):
    inputs, result = Inputs(asked, made), tmp_path / "result"
    result.mkdir()
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
    assert not list(result.iterdir())


OTHER = RECIPE.model_copy(update={"params": {"size": 32}})


def test_results_of_another_recipe_are_not_read(asked: Path, made: Path):
    seal(OTHER, made.parent)
    with pytest.raises(UserError, match=re.escape(f"{made}: made by another recipe than the one that this job reads")):
        Inputs(asked, made)


def test_a_file_that_the_user_names_may_be_any_jobs_result(tmp_path: Path, made: Path):
    seal(OTHER, made.parent)
    named = FileInput(sha256=hashlib.sha256(bytes(1000)).hexdigest())
    path = tmp_path / "asked.json"
    path.write_text(RECIPE.model_copy(update={"inputs": {"encoder": named}}).text())
    Inputs(path, made)
    made.write_bytes(bytes(999) + b"1")
    with pytest.raises(UserError, match="made by another recipe"):
        Inputs(path, made)


@pytest.mark.parametrize("fault", ["crops.h5", "images/1.png", "images"])
def test_a_folder_of_which_something_is_missing_is_not_read(asked: Path, made: Path, fault: str):
    for name in ("1.png", "below/2.png"):
        (made.parent / "images" / name).parent.mkdir(exist_ok=True)
        (made.parent / "images" / name).write_bytes(bytes(10))
    seal(RECIPE, made.parent)
    assert read_seal(made.parent).folders == {"images": SealedFolder(files=2, bytes=20)}
    Inputs(asked, made.with_name("seal.json"))
    assert is_whole(made.parent)
    gone = made.parent / fault
    shutil.rmtree(gone) if gone.is_dir() else gone.unlink()
    assert not is_whole(made.parent)
    with pytest.raises(UserError, match=f"delete {re.escape(str(made.parent))} and run snakemake again"):
        Inputs(asked, made.with_name("seal.json"))


def test_a_sealed_file_that_is_missing_is_named(asked: Path, made: Path):
    made.unlink()
    with pytest.raises(UserError, match=re.escape(f"{made}: is missing; delete {made.parent} and run snakemake")):
        Inputs(asked, made)


def test_results_of_another_job_below_a_folder_are_none_of_its_own(made: Path):
    (made.parent / "question").mkdir()
    (made.parent / "question" / "table.md").write_text("table")
    seal(OTHER, made.parent / "question")
    seal(RECIPE, made.parent)
    assert read_seal(made.parent).folders == {}


def test_a_file_from_outside_is_taken_as_it_is(asked: Path, tmp_path: Path):
    (tmp_path / "weights.pth").write_bytes(b"anything")
    inputs = Inputs(asked, tmp_path / "weights.pth")
    (tmp_path / "result").mkdir()
    seal(RECIPE, tmp_path / "result", inputs)
    assert read_seal(tmp_path / "result").fingerprint == RECIPE.fingerprint


def test_dates_in_the_future_are_corrected_where_a_step_begins(asked: Path, made: Path):
    """As a clock that was put back leaves them: Snakemake refuses results that are older than their inputs."""
    future = time.time() + 86400
    for path in (asked, made, made.with_name("seal.json")):
        os.utime(path, (future, future))
    Inputs(asked, made)
    assert all(path.stat().st_mtime <= time.time() for path in (asked, made, made.with_name("seal.json")))
