"""The published study from download to table, on stand-in archives in the official layouts, served by a bad server."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml

from pipeline_steps.network.backbones import Backbone
from stand_ins.aflw2000 import write_aflw2000
from stand_ins.biwi import write_biwi
from stand_ins.w300lp import write_w300lp
from tests.conftest import ROOT, World, merged
from tests.servers import Fault, Server

pytestmark = pytest.mark.e2e

# what is made smaller: pictures, network, schedule; the data sets, arms and steps are those of the study
SHRUNK = {
    "seeds": [0],
    "datasets": {"w300lp": {"split": {"validation_subjects": 1}}},
    "crops": {"size": 32},
    "network": {"backbone": "resnet18"},
    "pretrain": {"epochs": 1, "batch_size": 8},
    "finetune": {"epochs": 1, "batch_size": 8},
    "evaluate": {"bootstrap": 100},
    "compare": {"bootstrap": 100},
}


@pytest.fixture(scope="module")
def archives(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, pd.DataFrame]]:
    """A folder with the three archives under their official names, and the truth about their pictures."""
    folder = tmp_path_factory.mktemp("served")
    return folder, {
        "w300lp": write_w300lp(folder / "300W-LP.zip", subjects=5, images=2, seed=1, size=96),
        "aflw2000": write_aflw2000(folder / "AFLW2000-3D.zip", subjects=6, images=1, seed=2, size=96),
        "biwi": write_biwi(folder / "kinect_head_pose_db.tgz", subjects=2, images=2, seed=3, size=320),
    }


def table_of_data_sets(folder: Path, server: Server, path: Path) -> str:
    """The project's own table, with the server's addresses, sizes and checksums; a dead mirror comes first."""
    rows = yaml.safe_load((ROOT / "workflow/resources/datasets.yaml").read_text())
    for row in rows.values():
        file = folder / str(row.get("file"))
        if file.exists():
            content = file.read_bytes()
            row["urls"] = [server.url(f"gone/{file.name}"), server.url(file.name)]
            row |= {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    path.write_text(yaml.safe_dump(rows))
    return str(path)


def test_from_download_to_table(archives, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("HEADPOSE_REAL_DATA", raising=False)
    monkeypatch.setenv("HEADPOSE_TRACKING", "off")
    folder, truth = archives
    weights = tmp_path / "weights of ImageNet.pth"  # torchvision's cannot be downloaded by a test
    torch.save(Backbone("resnet18").resnet.state_dict(), weights)
    study = merged(yaml.safe_load((ROOT / "studies/paper.yaml").read_text()), SHRUNK)
    for arm in study["arms"].values():
        if "init" in arm:
            arm["init"] = f"file:{weights}"
    world = World(tmp_path / "world")
    world.folder.mkdir()
    with Server(folder) as server:
        study["catalogue"] = table_of_data_sets(folder, server, tmp_path / "datasets.yaml")
        server.misbehave("gone/AFLW2000-3D.zip", Fault(status=403))
        server.misbehave("gone/300W-LP.zip", Fault(page="<html><title>Too many downloads</title>"))
        server.misbehave("300W-LP.zip", Fault(cut=100_000), times=1)
        done = world.snakemake(overlay=study)
        assert done.returncode == 0, done.stdout + done.stderr
        assert server.asked("300W-LP.zip") == [None, "bytes=100000-"], "a cut-off download goes on where it ended"
    results = world.folder / "results/paper/default"
    check_table(results)
    for dataset in ("aflw2000", "biwi"):
        check_predictions(results, dataset, truth[dataset])
    check_split(world.folder, truth["w300lp"])
    check_cards(world.folder, folder)
    again = world.snakemake("--dry-run", overlay=study)
    assert "Nothing to be done" in again.stdout + again.stderr, "also without the server"


def check_table(results: Path) -> None:
    table = pd.read_csv(results / "compare/roles/table.csv")
    arms = {"baseline", "pretrained", "hybrid", "pretrained_hybrid", "imagenet", "imagenet_hybrid"}
    arms |= {"always frontal", "always the mean pose"}
    assert set(zip(table["dataset"], table["arm"], strict=True)) == {
        (dataset, arm) for dataset in ("aflw2000", "biwi") for arm in arms
    }
    assert table[["mae", "geodesic"]].notna().all(axis=None)


def check_predictions(results: Path, dataset: str, truth: pd.DataFrame) -> None:
    """Every picture was tested with the label that the renderer had in mind."""
    predictions = pd.read_parquet(results / f"evaluate/test/{dataset}/baseline/seed0/predictions.parquet")
    names = {"aflw2000": "AFLW2000/{}.jpg", "biwi": "hpdb/{}_rgb.png"}
    assert {names[dataset].format(source_id) for source_id in predictions["source_id"]} == set(truth["member"])
    rotations = truth.set_index("member")["rotation"]
    for row in predictions.to_dict("records"):
        label = [row[f"r{i}{j}"] for i in range(3) for j in range(3)]
        np.testing.assert_allclose(label, rotations[names[dataset].format(row["source_id"])], atol=1e-4)


def check_split(world: Path, truth: pd.DataFrame) -> None:
    """Everything is trained on or validated, the views of a face and their mirror images together."""
    split = json.loads((world / "data/splits/w300lp-32px/split.json").read_text())
    subject = {
        m.removeprefix("300W_LP/").removesuffix(".jpg"): s
        for m, s in zip(truth["member"], truth["subject"], strict=True)
    }
    assert set(split["train"]) | set(split["validation"]) == set(subject)
    assert not split["test"]
    assert not {subject[i] for i in split["train"]} & {subject[i] for i in split["validation"]}


def check_cards(world: Path, archives: Path) -> None:
    card = json.loads((world / "data/cards/aflw2000-32px/card.json").read_text())
    assert card["official"] is True
    assert card["sha256"] == hashlib.sha256((archives / "AFLW2000-3D.zip").read_bytes()).hexdigest()
    assert card["labels"] == {"full rotation": 6, "some angles": 0, "none": 0}
    page = (world / "data/cards/biwi-32px/card.html").read_text()
    assert "non-commercial use such as university research" in page
    assert "data:image/jpeg;base64," in page
    assert "<svg" in page
