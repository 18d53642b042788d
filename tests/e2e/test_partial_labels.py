"""Pictures without labels serve for pre-training, and labels without roll for testing, through the whole chain."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from stand_ins.pointing04 import write_pointing04
from tests.conftest import World

pytestmark = pytest.mark.e2e


@pytest.fixture
def overlay(finished: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict:
    """The tiny study, pre-trained on the rendered pictures as unlabelled ones, tested on a stand-in for Pointing'04."""
    monkeypatch.setenv("HEADPOSE_TRACKING", "off")
    archive = tmp_path / "archive/HeadPoseImageDatabase.tar.gz"
    write_pointing04(archive, subjects=2, images=3, seed=4, size=192)
    unlabelled = {
        "source": {"kind": "image_folder", "labels": None},
        "archive": str(finished.folder / "data/raw/rendered/images"),
        "crop": {"box": "whole_image"},
        "split": {"test_subjects": 0, "validation_subjects": 4},
    }
    pointing04 = {
        "source": {"kind": "pointing04"},
        "archive": str(archive),
        "crop": {"box": "given_box", "margin": 0.2},
        "split": {"test_subjects": "all"},
    }
    return {
        "datasets": {"faces": unlabelled, "pointing04": pointing04},
        "pretrain_on": "faces",
        "test_on": ["rendered", "pointing04"],
        "arms": {"hybrid": None, "pretrained_hybrid": None},
    }


def test_pretraining_without_labels_and_testing_without_roll(copy: World, overlay: dict):
    done = copy.snakemake(overlay=overlay)
    assert done.returncode == 0, done.stdout + done.stderr
    split = json.loads((copy.folder / "data/splits/faces-32px/split.json").read_text())
    assert (len(split["train"]), len(split["validation"])) == (28, 4)
    results = copy.folder / "results/tiny/default"
    metrics = json.loads((results / "evaluate/test/pointing04/baseline/seed0/metrics.json").read_text())
    assert metrics["mae"] == pytest.approx((metrics["yaw"] + metrics["pitch"]) / 2)
    assert not {"roll", "geodesic", "aligned"} & set(metrics)
    predictions = pd.read_parquet(results / "evaluate/test/pointing04/baseline/seed0/predictions.parquet")
    angles = predictions["source_id"].str.extract(r"([+-]\d+)([+-]\d+)$").astype(float)
    np.testing.assert_array_equal(predictions[["pitch", "yaw"]], angles)
    table = pd.read_csv(results / "compare/table.csv").set_index(["dataset", "arm"])
    assert np.isnan(table.loc[("pointing04", "pretrained"), "geodesic"])
    assert np.isfinite(table.loc[("pointing04", "pretrained"), "reduction"])
    text = (results / "compare/table.md").read_text()
    assert "nan" not in text
    assert pd.read_csv(results / "compare/probes.csv").empty, "pre-training without labels has no probe"
    for figure in ("error_by_yaw", "cumulative_error", "faces"):
        assert (results / f"compare/figures/pointing04_{figure}.svg").stat().st_size > 1000
    card = json.loads((copy.folder / "data/cards/pointing04-32px/card.json").read_text())
    assert card["labels"] == {"full rotation": 0, "some angles": len(predictions), "none": 0}
    assert set(card["pose"]) == {"yaw", "pitch"}


def test_training_on_what_has_no_labels_is_refused(copy: World, overlay: dict):
    target = "results/tiny/default/finetune/baseline/seed0/recipe.json"
    done = copy.snakemake(target, overlay=overlay | {"train_on": "faces"})
    assert done.returncode != 0
    assert "images to fine-tune on have no full pose label; choose a data set with" in done.stdout + done.stderr
