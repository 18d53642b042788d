"""The BIWI study, end to end, on archives in the official layouts whose pictures are rendered."""

import io
import os
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image
from scipy.io import savemat

from pipeline_steps.pose.geometry import matrix_to_euler
from tests.conftest import ROOT, TINY, World, merged

pytestmark = pytest.mark.e2e


def make_archives(raw: Path, folder: Path) -> pd.DataFrame:
    """biwi_face_crops.tar.gz of all rendered people and aflw2000_dev300.tar.gz of four pictures; the labels."""
    labels = pd.read_parquet(raw / "labels.parquet")
    flip = np.diag([1.0, -1.0, -1.0])
    with tarfile.open(folder / "biwi_face_crops.tar.gz", "w:gz") as archive:

        def add(name: str, content: bytes) -> None:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))

        for row in labels.itertuples():
            place = f"hpdb/{int(row.subject) + 8:02d}/frame_{int(row.source_id):05d}"
            matrix = flip @ np.reshape(row.rotation, (3, 3)) @ flip
            rows = "\n".join(" ".join(f"{v:.9f}" for v in line) for line in matrix)
            add(f"{place}_rgb.jpg", (raw / f"images/{row.source_id}.jpg").read_bytes())
            add(f"{place}_pose.txt", f"{rows} \n\n0 0 900 \n".encode())
    with zipfile.ZipFile(folder / "aflw2000_dev300.tar.gz", "w") as archive:  # a zip by content, whatever its name
        for row in labels[:4].itertuples():
            yaw, pitch, roll = np.radians(matrix_to_euler(np.reshape(row.rotation, (3, 3))))
            points = np.concatenate([np.reshape(row.landmarks, (68, 2)).T, np.zeros((1, 68))])
            annotation, picture = io.BytesIO(), io.BytesIO()
            savemat(annotation, {"Pose_Para": [[pitch, yaw, roll, 0, 0, 0, 1]], "pt3d_68": points})
            Image.open(raw / f"images/{row.source_id}.jpg").save(picture, "JPEG")
            archive.writestr(f"AFLW2000/image{int(row.source_id):05d}.mat", annotation.getvalue())
            archive.writestr(f"AFLW2000/image{int(row.source_id):05d}.jpg", picture.getvalue())
    return labels


def test_the_biwi_study_from_archives_to_table(finished: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    labels = make_archives(finished.folder / "data/raw/rendered", tmp_path)
    monkeypatch.setitem(os.environ, "HEADPOSE_REAL_DATA", str(tmp_path))
    study = yaml.safe_load((ROOT / "studies/biwi.yaml").read_text())
    small = {
        key: yaml.safe_load(TINY.read_text())[key] for key in ("seeds", "crops", "pretrain", "finetune", "compare")
    }
    split = {"protocol": None, "test_subjects": 2, "validation_subjects": 1, "labelled_subjects": 3}
    small |= {"datasets": {"biwi": {"split": split}}, "arms": {"pretrained": None, "pretrained_hybrid": None}}
    world = World(tmp_path / "world")
    world.folder.mkdir()
    done = world.snakemake(overlay=merged(study, small))
    assert done.returncode == 0, done.stdout + done.stderr
    results = world.folder / "results/biwi"
    table = pd.read_csv(results / "compare/table.csv")
    assert set(zip(table["dataset"], table["arm"], strict=True)) == {
        (dataset, arm) for dataset in ("biwi", "aflw2000") for arm in ("baseline", "hybrid")
    }
    truth = {int(r.source_id): matrix_to_euler(np.reshape(r.rotation, (3, 3))) for r in labels.itertuples()}
    for dataset in ("biwi", "aflw2000"):
        predictions = pd.read_parquet(results / f"evaluate/{dataset}/baseline/seed0/predictions.parquet")
        expected = [truth[int(source_id[-5:])] for source_id in predictions["source_id"]]
        np.testing.assert_allclose(predictions[["yaw", "pitch", "roll"]], expected, atol=1e-3)
    assert not world.snakemake("--dry-run", overlay=merged(study, small)).stdout.count("rule finetune")
    (tmp_path / "biwi_face_crops.tar.gz").unlink()
    again = world.snakemake("--dry-run", overlay=merged(study, small))
    assert "Nothing to be done" in again.stdout + again.stderr, "results stay valid where the archive is gone"


def test_a_missing_archive_is_named_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(os.environ, "HEADPOSE_REAL_DATA", str(tmp_path))
    study = yaml.safe_load((ROOT / "studies/biwi.yaml").read_text())
    done = World(tmp_path).snakemake("--dry-run", overlay=study)
    assert done.returncode != 0
    assert "datasets.biwi.archive: no file or folder" in done.stdout + done.stderr
