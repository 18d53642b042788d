"""A study of photographs runs on the official archives or on those that stand in for them, and says on which."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from pipeline_steps.job.errors import UserError
from pipeline_steps.job.files import write_text
from pipeline_steps.job.recipe import ArchiveInput
from tests.conftest import ROOT
from workflow.freshness.archives import checksum
from workflow.params import load_params
from workflow.plan import Plan

OFFICIAL = {"biwi": "kinect_head_pose_db.tgz", "aflw2000": "AFLW2000-3D.zip"}
OTHER = {"biwi": "biwi_face_crops.tar.gz", "aflw2000": "aflw2000_dev300.tar.gz"}


@pytest.fixture(autouse=True)
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder for archives, which the environment names, and an empty working directory."""
    for name in ("shelf", "work"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setenv("HEADPOSE_REAL_DATA", str(tmp_path / "shelf"))
    return tmp_path / "shelf"


def table(shelf: Path) -> Path:
    """The table of data sets, in which files that contain their own name are the official archives."""
    rows = yaml.safe_load((ROOT / "workflow/resources/datasets.yaml").read_text())
    for name, file in OFFICIAL.items():
        rows[name] |= {"sha256": hashlib.sha256(file.encode()).hexdigest(), "bytes": len(file)}
    path = shelf.parent / "table.yaml"
    path.write_text(yaml.safe_dump(rows))
    return path


def put(folder: Path, *names: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).write_text(name)


def planned(shelf: Path, **config: object) -> Plan:
    values = {"catalogue": str(table(shelf)), "size": "small"} | config
    return Plan(load_params([ROOT / "studies/biwi.yaml"], values))


def used(plan: Plan, name: str) -> tuple[str, str]:
    """File and crop of a data set."""
    return str(plan.archive(name)), plan.params.datasets[name].crop.box


@pytest.mark.parametrize("there", ["official", "other", "both"])
def test_the_official_archive_is_used_or_else_the_other_one(shelf: Path, there: str):
    put(shelf, *(OFFICIAL.values() if there != "other" else ()), *(OTHER.values() if there != "official" else ()))
    plan = planned(shelf)
    files, box = (OTHER, "whole_image") if there == "other" else (OFFICIAL, "projected_head")
    assert used(plan, "biwi") == (str(shelf / files["biwi"]), box)
    assert used(plan, "aflw2000") == (str(shelf / files["aflw2000"]), "landmarks_tight")
    crops = plan.jobs["data/crops/biwi-64px"].recipe
    assert crops.params["crop"]["box"] == box
    assert crops.inputs["archive"].sha256 == hashlib.sha256(files["biwi"].encode()).hexdigest()
    assert len(plan.found) == 2
    assert plan.found[0].startswith(f"datasets.biwi: {shelf / files['biwi']}, ")
    assert plan.found[0].endswith(f", cropped by {box}")


def test_archives_may_lie_in_the_projects_own_folder(shelf: Path):
    put(Path("data/archives"), OFFICIAL["aflw2000"], OTHER["biwi"])
    plan = planned(shelf)
    assert used(plan, "biwi") == (f"data/archives/{OTHER['biwi']}", "whole_image")
    assert used(plan, "aflw2000") == (f"data/archives/{OFFICIAL['aflw2000']}", "landmarks_tight")


def test_an_archive_that_is_named_wins(shelf: Path):
    put(shelf, *OFFICIAL.values(), "mine.tgz")
    named = {"biwi": {"archive": "mine.tgz", "crop": {"box": "whole_image"}}}
    plan = planned(shelf, datasets=named)
    assert used(plan, "biwi") == (str(shelf / "mine.tgz"), "whole_image")
    assert len(plan.found) == 1


@pytest.mark.parametrize("is_set", [True, False])
def test_where_neither_is_there_one_line_says_what_is_looked_for_and_where_to_get_it(
    shelf: Path, monkeypatch: pytest.MonkeyPatch, is_set: bool
):
    if not is_set:
        monkeypatch.delenv("HEADPOSE_REAL_DATA")
    with pytest.raises(UserError) as error:
        planned(shelf)
    said = str(error.value)
    assert "\n" not in said
    assert "datasets.biwi: neither kinect_head_pose_db.tgz (official) nor biwi_face_crops.tar.gz is in " in said
    assert "get the official one from https://icu.ee.ethz.ch/research/datsets.html (non-commercial use only)" in said
    assert (f"{shelf} (HEADPOSE_REAL_DATA) or data/archives" in said) == is_set
    assert ("HEADPOSE_REAL_DATA is not set" in said) != is_set


@pytest.mark.parametrize("files", [OFFICIAL, OTHER], ids=["official", "other"])
def test_results_stay_valid_where_the_archive_that_they_were_made_from_is_gone(shelf: Path, files: dict[str, str]):
    put(shelf, *files.values())
    before = planned(shelf)
    for folder in ("data/crops/biwi-64px", "data/crops/aflw2000-64px"):
        write_text(Path(folder, "recipe.json"), before.jobs[folder].recipe.text())
    for name in files.values():
        (shelf / name).unlink()
    after = planned(shelf)
    assert {folder: job.recipe for folder, job in after.jobs.items()} == {f: j.recipe for f, j in before.jobs.items()}
    assert isinstance(after.jobs["data/raw/biwi"].recipe.inputs["archive"], ArchiveInput)


def test_what_file_systems_add_to_a_folder_does_not_change_its_content(shelf: Path):
    put(shelf / "photos/anna", "a.png")
    before = checksum(shelf / "photos")
    put(shelf / "photos", ".DS_Store")
    put(shelf / "photos/anna", "._a.png", "Thumbs.db")
    assert checksum(shelf / "photos") == before
    put(shelf / "photos/anna", "b.png")
    assert checksum(shelf / "photos") != before


def test_only_data_sets_that_come_in_archives_have_another_one(shelf: Path):
    put(shelf, *OTHER.values())
    more = {"rendered": {"otherwise": {"archive": "x.zip", "crop": {"box": "whole_image"}}}}
    with pytest.raises(UserError, match=r"otherwise: this data set has none; remove the key"):
        load_params([], {"datasets": more})


@pytest.mark.workflow
def test_snakemake_says_which_archives_it_found(shelf: Path):
    put(shelf, OTHER["biwi"], OFFICIAL["aflw2000"])
    command = [
        sys.executable,
        "-m",
        "snakemake",
        "--snakefile",
        str(ROOT / "Snakefile"),
        "--directory",
        str(Path.cwd()),
    ]
    command += ["--cores", "2", "--dry-run", "all_data", "--configfile", str(ROOT / "studies/biwi.yaml")]
    command += ["--config", f"catalogue={table(shelf)}"]
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    done = subprocess.run(command, cwd=ROOT, env=environment, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    said = [line for line in done.stderr.splitlines() if line.startswith("datasets.")]
    assert len(said) == 2
    assert f"{OTHER['biwi']}, an archive that stands in for the official one, cropped by whole_image" in said[0]
    assert f"{OFFICIAL['aflw2000']}, the official archive, cropped by landmarks_tight" in said[1]
