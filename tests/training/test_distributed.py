"""Trainings that several processes share."""

import json
import subprocess
from pathlib import Path

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from pipeline_steps.pretext.byol import Byol
from pipeline_steps.pretext.puzzling import Puzzling
from pipeline_steps.pretext.simclr import SimClr
from pipeline_steps.training.distributed import BatchShard
from tests.conftest import ROOT, World


@pytest.mark.workflow
def test_two_processes_train_to_the_weights_of_one(finished: World, tmp_path: Path):
    made = json.loads((finished.folder / "results/tiny/default/finetune/hybrid/seed0/recipe.json").read_text())
    tasks = {"simclr": SimClr(), "byol": Byol(), "puzzling": Puzzling(dropout=0.0)}
    made["params"]["auxiliary"] = {n: {"weight": 0.1, "task": t.model_dump(mode="json")} for n, t in tasks.items()}
    made["params"]["auxiliary_on"] = "train"
    made["params"]["training"] |= {"epochs": 3, "precision": "float32", "choose": "last"}
    (tmp_path / "recipe.json").write_text(json.dumps(made))
    for devices in (1, 2):
        folder = tmp_path / str(devices)
        command = finished.training("tests.shared_training", tmp_path / "recipe.json", folder, tmp_path / "checkpoints")
        command += ["--devices", str(devices)]
        environment = {"PATH": "/usr/bin:/bin", "HEADPOSE_TRACKING": "off", "CUDA_VISIBLE_DEVICES": ""}
        done = subprocess.run(command, cwd=ROOT, env=environment, text=True, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr[-3000:]
        assert done.stderr.count("epoch 3/3") == 1
        assert json.loads((folder / "run.json").read_text())["devices"] == devices
    alone, shared = (load_file(tmp_path / name / "model.safetensors") for name in ("1", "2"))
    assert alone.keys() == shared.keys()
    for name, weights in alone.items():
        difference = (shared[name] - weights).abs()
        # Adam moves a weight whose gradient is almost 0 by the learning rate, 0.001, whichever way rounding points
        assert (difference > 1e-4 + 1e-3 * weights.abs()).double().mean() < 1e-3, name
        assert difference.max() < 2e-3, name
    histories = [pd.read_csv(tmp_path / name / "history.csv") for name in ("1", "2")]
    measured = [h.drop(columns=["seconds", "images_per_second"]) for h in histories]
    pd.testing.assert_frame_equal(*measured, rtol=1e-3)


def test_shards_have_the_same_images_of_every_view():
    two_views = torch.arange(2 * 6).reshape(12, 1)
    shards = [BatchShard(6, 3, rank).take(two_views).flatten().tolist() for rank in range(3)]
    assert shards == [[0, 3, 6, 9], [1, 4, 7, 10], [2, 5, 8, 11]]
