"""Archives in the workflow: found, downloaded, recognised by content, and asked for where nothing else helps."""

import hashlib
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import yaml

from tests.conftest import World
from tests.datasets.test_datasets import LANDMARKS, make_view, zipped
from tests.servers import Fault, Server

pytestmark = pytest.mark.workflow

CROPS = "data/crops/aflw2000-32px/crops.h5"
FETCHED = Counter({"acquire_dataset": 1, "crop_faces": 1})


def make_archive(folder: Path, path: Path, images: int = 3) -> Path:
    for number in range(images):
        make_view(folder / "AFLW2000", f"image{number:05d}", pt3d_68=LANDMARKS, pt2d=-np.ones((2, 21)))
    path.parent.mkdir(parents=True, exist_ok=True)
    return zipped(folder / "AFLW2000", path)


def catalogue(path: Path, urls: list[str], archive: Path | None = None) -> str:
    row = {"title": "t", "version": "1", "page": "https://example.org/page", "file": "AFLW2000-3D.zip", "urls": urls}
    row["access"] = "download" if urls else "by hand"
    row |= {"labels": "l", "licence": "x", "accept": "their terms", "citation": "c"}
    if archive:
        content = archive.read_bytes()
        row |= {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
    path.write_text(yaml.safe_dump({"aflw2000": row}))
    return str(path)


def overlay(archive: Path | str | None = None, table: str | None = None) -> dict:
    dataset = {
        "source": {"kind": "aflw2000"},
        "crop": {"box": "landmarks_tight"},
        "split": {"test_subjects": "all"},
    } | ({"archive": str(archive)} if archive else {})
    more = {"catalogue": table} if table else {}
    return {"datasets": {"aflw2000": dataset}, "test_on": ["rendered", "aflw2000"]} | more


def planned(world: World, values: dict) -> Counter[str]:
    return Counter({k: n for k, n in world.planned(values, CROPS).items() if k in FETCHED})


def forget(world: World) -> None:
    """Remove what was made of the archive, but not the archive."""
    for folder in ("data/raw/aflw2000", "data/crops/aflw2000-32px"):
        shutil.rmtree(world.folder / folder)


def run(world: World, values: dict, fails: bool = False) -> str:
    done = world.snakemake(CROPS, overlay=values)
    assert (done.returncode != 0) == fails, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture(autouse=True)
def _no_shared_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HEADPOSE_REAL_DATA", raising=False)


def test_a_moved_archive_runs_nothing_and_a_changed_one_everything(copy: World, tmp_path: Path):
    archive = make_archive(tmp_path / "one", tmp_path / "a/first.zip")
    assert planned(copy, overlay(archive)) == FETCHED
    run(copy, overlay(archive))
    assert not planned(copy, overlay(archive))
    (copy.folder / ".recipes/digests.json").write_text('{"cut o')
    assert not planned(copy, overlay(archive)), "its content is read again"
    moved = shutil.copy(archive, tmp_path / "second.zip")
    assert not planned(copy, overlay(moved))
    shutil.rmtree(tmp_path / "one")
    make_archive(tmp_path / "one", Path(moved), images=4)
    assert planned(copy, overlay(moved)) == FETCHED
    # results stay valid where the archive is gone, and where only the crops were restored
    archive.unlink()
    assert not planned(copy, overlay(archive))
    shutil.rmtree(copy.folder / "data/raw")
    assert not planned(copy, overlay(archive))


def test_a_folder_is_recognised_by_its_content(copy: World, tmp_path: Path):
    make_archive(tmp_path / "one", tmp_path / "unused.zip")
    folder = tmp_path / "one/AFLW2000"
    run(copy, overlay(folder))
    assert not planned(copy, overlay(folder))
    shutil.copytree(folder, tmp_path / "copied")
    assert not planned(copy, overlay(tmp_path / "copied"))
    picture = tmp_path / "copied/image00000.jpg"
    content = bytearray(picture.read_bytes())
    content[-10] ^= 1
    picture.write_bytes(content)
    assert planned(copy, overlay(tmp_path / "copied")) == FETCHED, "the size is the same, the content is not"


def test_the_official_archive_is_downloaded_once(copy: World, tmp_path: Path):
    archive = make_archive(tmp_path / "one", tmp_path / "served/AFLW2000-3D.zip")
    with Server(archive.parent) as server:
        server.misbehave("gone/AFLW2000-3D.zip", Fault(status=403))
        urls = [server.url("gone/AFLW2000-3D.zip"), server.url(archive.name)]
        table = catalogue(tmp_path / "table.yaml", urls, archive)
        assert planned(copy, overlay(table=table)) == FETCHED
        run(copy, overlay(table=table))
        assert (copy.folder / "data/archives/AFLW2000-3D.zip").read_bytes() == archive.read_bytes()
        assert not planned(copy, overlay(table=table))
        asked = len(server.requests)
        forget(copy)
        run(copy, overlay(table=table))
        assert len(server.requests) == asked, "what was downloaded is used again"
    assert not planned(copy, overlay(archive, table)), "the same archive from elsewhere changes nothing"
    moved = catalogue(tmp_path / "other.yaml", ["https://example.org/mirror.zip"], archive)
    assert not planned(copy, overlay(table=moved)), "another mirror changes nothing"


def test_a_failed_download_leaves_nothing_half_done(copy: World, tmp_path: Path):
    archive = make_archive(tmp_path / "one", tmp_path / "served/AFLW2000-3D.zip")
    with Server(archive.parent) as server:
        server.misbehave(archive.name, Fault(page="<html><title>Quota exceeded</title>"), times=None)
        table = catalogue(tmp_path / "table.yaml", [server.url(archive.name)], archive)
        said = run(copy, overlay(table=table), fails=True)
    place = "data/archives/AFLW2000-3D.zip"
    assert "error: AFLW2000-3D.zip: not downloaded (127.0.0.1: sent a web page instead of the file" in said
    assert f"download it by hand and put it at {place}" in said
    assert not (copy.folder / place).exists()
    assert not (copy.folder / "data/raw/aflw2000").exists()


def test_without_a_published_checksum_the_first_download_is_remembered(copy: World, tmp_path: Path):
    archive = make_archive(tmp_path / "one", tmp_path / "served/AFLW2000-3D.zip")
    with Server(archive.parent) as server:
        table = catalogue(tmp_path / "table.yaml", [server.url(archive.name)])
        run(copy, overlay(table=table))
        assert not planned(copy, overlay(table=table))
        downloaded = copy.folder / "data/archives/AFLW2000-3D.zip"
        downloaded.unlink()
        assert not planned(copy, overlay(table=table))
        shutil.rmtree(tmp_path / "one")
        make_archive(tmp_path / "one", archive, images=4)
        forget(copy)
        assert "wrong checksum" in run(copy, overlay(table=table), fails=True), "the server's file is another one now"
    shutil.copy(archive, downloaded)
    assert planned(copy, overlay(table=table)) == FETCHED, "put there by hand: used, and all made anew"


def test_a_file_under_the_official_name_must_be_the_official_one(copy: World, tmp_path: Path):
    archive = make_archive(tmp_path / "one", tmp_path / "AFLW2000-3D.zip")
    table = catalogue(tmp_path / "table.yaml", ["https://example.org/x.zip"], archive)
    place = copy.folder / "data/archives/AFLW2000-3D.zip"
    place.parent.mkdir()
    place.write_bytes(archive.read_bytes()[:-100])
    done = copy.snakemake("--dry-run", CROPS, overlay=overlay(table=table))
    assert "it is cut off, or not the official archive; delete it to download it again" in done.stdout + done.stderr
    assert "name it by datasets.aflw2000.archive to use it as it is" in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("archive", "urls", "message"),
    [
        (None, [], "datasets.aflw2000: AFLW2000-3D.zip cannot be downloaded; get AFLW2000-3D.zip from "
         "https://example.org/page (their terms) and put it at data/archives/AFLW2000-3D.zip"),
        ("gone.zip", ["https://example.org/x.zip"], "datasets.aflw2000.archive: no file or folder gone.zip"),
    ],
)  # fmt: skip
def test_what_cannot_be_had_is_asked_for_before_anything_runs(copy: World, tmp_path: Path, archive, urls, message):
    table = catalogue(tmp_path / "table.yaml", urls)
    done = copy.snakemake("--dry-run", CROPS, overlay=overlay(archive, table))
    assert done.returncode != 0
    assert message in done.stdout + done.stderr


def test_a_folder_for_all_archives_is_looked_into_first(copy: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    archive = make_archive(tmp_path / "one", tmp_path / "shelf/AFLW2000-3D.zip")
    table = catalogue(tmp_path / "table.yaml", ["http://127.0.0.1:9/x.zip"], archive)
    monkeypatch.setenv("HEADPOSE_REAL_DATA", str(tmp_path / "shelf"))
    run(copy, overlay(table=table))
    assert not (copy.folder / "data/archives").exists()


def test_a_typo_in_the_table_is_named(copy: World, tmp_path: Path):
    table = tmp_path / "table.yaml"
    catalogue(table, ["https://example.org/x.zip"])
    table.write_text(table.read_text().replace("licence:", "license:"))
    done = copy.snakemake("--dry-run", CROPS, overlay=overlay(table=str(table)))
    assert "table.yaml: aflw2000.license: unknown key; did you mean licence?" in done.stdout + done.stderr
