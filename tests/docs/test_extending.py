"""The examples of docs/extending.md, run as they stand there."""

import csv
import re
import shlex
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image
from scipy.spatial.transform import Rotation

from pipeline_steps.images.crop_file import CropFile
from tests.conftest import ROOT, Repository, World

pytestmark = pytest.mark.workflow

TEXT = (ROOT / "docs/extending.md").read_text()
FILES = dict(re.findall(r"`([\w/.]+)`:\n\n```\w*\n(.*?)```", TEXT, re.DOTALL))
COMMANDS = re.findall(r"^(?:snakemake|python) .*", TEXT, re.MULTILINE)


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    """The project with the tiny study, of which the baseline is the only arm."""
    repository = Repository(tmp_path)
    repository.set_params({"arms": dict.fromkeys(["pretrained", "hybrid", "pretrained_hybrid"])})
    return repository


def written(repository: Repository, *names: str) -> None:
    for name in names:
        path = repository.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(FILES[name])


def commands(study: str) -> list[list[str]]:
    """What the page says to run for a study."""
    return [shlex.split(line) for line in COMMANDS if study in line]


def portrait(seed: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (64, 64, 3)).astype(np.uint8))


def test_a_pretext_task_is_one_file_and_an_arm_three_lines(repository: Repository, finished: World):
    tiny = "results/tiny/default"
    for name in ("data", f"{tiny}/finetune/baseline", f"{tiny}/evaluate/test/rendered/baseline"):
        shutil.copytree(finished.folder / name, repository.folder / name)
    written(repository, "pipeline_steps/pretext/mirrored.py", "studies/mirrored.yaml")
    (run,) = commands("mirrored")
    repository(*run)
    results = repository.folder / "results/tiny/default"
    table = pd.read_csv(results / "compare/mirrored/table.csv")
    arms = set(table.loc[table["verdict"] != "constant", "arm"])
    assert arms == {"baseline", "pretrained_mirrored", "hybrid_mirrored"}
    for folder in ("pretrain/mirrored", "finetune/hybrid_mirrored"):
        history = pd.read_csv(results / folder / "seed0/history.csv")
        (column,) = (name for name in history.columns if name.startswith("train") and name.endswith("accuracy"))
        assert history[column].between(0, 1).all()
    assert "Nothing to be done" in repository(*run, "--dry-run")


def test_a_task_without_a_head_is_named_with_what_it_lacks(repository: Repository):
    written(repository, "studies/mirrored.yaml")
    path = repository.folder / "pipeline_steps/pretext/mirrored.py"
    path.write_text(FILES["pipeline_steps/pretext/mirrored.py"].replace("def head(", "def neck("))
    (said,) = re.findall(r"^pipeline_steps/pretext/mirrored.py: .*", TEXT, re.MULTILINE)
    assert f"/{said}" in repository("snakemake", "--dry-run", fails=True)
    path.write_text("")
    assert "mirrored.py: must define one subclass of PretextTask" in repository("snakemake", "--dry-run", fails=True)


def test_a_data_set_is_one_file(repository: Repository):
    written(repository, "pipeline_steps/datasets/portraits.py", "studies/portraits.yaml")
    yaws = {f"{person:03d}_{yaw:+d}": yaw for person in range(12) for yaw in (-30, 0, 45)}
    with zipfile.ZipFile(repository.folder / "portraits.zip", "w") as archive:
        for seed, name in enumerate(yaws):
            with archive.open(f"portraits/{name}.jpg", "w") as file:
                portrait(seed).save(file, "JPEG")
    (run,) = commands("portraits")
    repository(*run)
    with CropFile(repository.folder / "data/crops/portraits-32px/crops.h5") as crops:
        # y is up and +yaw turns the face to the image's left, against SciPy's rotation about y
        turned = Rotation.from_euler("y", [[-yaws[name]] for name in crops.source_ids], degrees=True).as_matrix()
        np.testing.assert_allclose(crops.rotation, turned, atol=1e-6)
    evaluation = repository.folder / "results/portraits/default/evaluate/test/portraits/baseline/seed0"
    assert len(pd.read_parquet(evaluation / "predictions.parquet")) == 4 * 3
    assert (repository.folder / "data/cards/portraits-32px/card.html").exists()


def photographs(folder: Path) -> list[dict[str, str]]:
    """Two photographs each of twelve people, with a table that has the columns of the page's."""
    (example,) = csv.DictReader(FILES["photos/labels.csv"].splitlines()[:2])
    rows = []
    for seed, person in enumerate(f"person{number}" for number in range(12)):
        (folder / person).mkdir(parents=True)
        for picture in ("a.jpg", "b.jpg"):
            portrait(seed).save(folder / person / picture)
            rows.append(example | {"path": f"{person}/{picture}", "subject": person})
    write_table(folder, rows)
    return rows


def write_table(folder: Path, rows: list[dict[str, str]]) -> None:
    with (folder / "labels.csv").open("w", newline="") as file:
        table = csv.DictWriter(file, rows[0])
        table.writeheader()
        table.writerows(rows)


def test_own_images_are_trained_on_exported_and_predicted(repository: Repository):
    written(repository, "studies/photos.yaml")
    (repository.folder / "photos").mkdir()
    photographs(repository.folder / "photos")
    train, export, predict = commands("photos")
    repository(*train)
    repository(*export)
    told = repository(*predict)
    pictures = sorted(f"photos/person{number}/{picture}.jpg" for number in range(12) for picture in "ab")
    assert sorted(line.split(",")[0] for line in told.splitlines()[1:]) == pictures


def test_a_box_beside_its_picture_is_said_with_the_way_out(repository: Repository):
    written(repository, "studies/photos.yaml")
    (repository.folder / "photos").mkdir()
    rows = photographs(repository.folder / "photos")
    rows[0] |= {"x0": "800", "x1": "848"}
    write_table(repository.folder / "photos", rows)
    said = repository("snakemake", "all_data", "--configfile", "studies/photos.yaml", fails=True)
    (stated,) = re.findall(r"^data/raw/photos: .*\n.*", TEXT, re.MULTILINE)
    assert stated.replace("anna/001.jpg", rows[0]["path"]).replace("64px", "32px").replace("\n", " ") in said


def test_every_example_of_a_study_is_complete():
    assert "mirrored" in yaml.safe_load(FILES["studies/mirrored.yaml"])["questions"]
    assert "elsewhere" in yaml.safe_load(FILES["studies/elsewhere.yaml"])["questions"]
    for name in ("portraits", "photos"):
        assert yaml.safe_load(FILES[f"studies/{name}.yaml"])["study"] == name
