"""Trainings whose weights or losses stop being finite end in one line that names epoch and cause, and write nothing."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline_steps.images.crop_file import Crop, write_crops
from pipeline_steps.job.recipe import Recipe
from pipeline_steps.network.backbones import Backbone
from pipeline_steps.pose.geometry import euler_to_matrix
from pipeline_steps.splits.split_file import Parts, Split, write_split
from tests.conftest import ROOT

SCHEDULE = {"epochs": 1, "epoch_images": 8, "batch_size": 8, "learning_rate": 1e38, "warmup_epochs": 0.0}
SCHEDULE |= {"precision": "float32"}
HEAD = {"init": "random", "auxiliary": {}, "views": "siamese", "weighting": "fixed", "auxiliary_on": "labelled"}
HEAD |= {"seed": 0, "labels": {}, "network": {"backbone": "resnet18", "pose_head": "rotation_6d"}}
TASK = {"seed": 0, "backbone": "resnet18", "task": {"kind": "rotation"}}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Crops of noise of four people, and their split: two to train on, two to validate."""
    folder, noise = tmp_path_factory.mktemp("data"), np.random.default_rng(0)
    crops = [
        Crop(f"{person}{n}", noise.integers(0, 256, (32, 32, 3), np.uint8), person, euler_to_matrix(pose), pose)
        for person in "abcd"
        for n in range(4)
        for pose in [noise.uniform(-30, 30, 3)]
    ]
    write_crops(folder / "crops.h5", crops, len(crops), "noise", "{}", {"size": 32, "context": 0.0})
    names = [crop.source_id for crop in crops]
    parts = {"train": names[:8], "validation": names[8:], "test": []}
    subjects = Parts(train=["a", "b"], validation=["c", "d"], test=[])
    write_split(folder / "split.json", Split(**parts, subjects=subjects, left_out=0))
    return folder


def trained(folder: Path, data: Path, step: str, params: dict, *options: str) -> subprocess.CompletedProcess:
    """A training on these data into `folder`."""
    names = {"study": "noise", "arm": "baseline", "pretext": "rotation", "seed": 0}
    recipe = Recipe(step=step, job=names, params=params)
    (folder / "recipe.json").write_text(recipe.text())
    command = [sys.executable, "-m", f"pipeline_steps.{step}", "--recipe", str(folder / "recipe.json"), *options]
    command += ["--crops", str(data / "crops.h5"), "--split", str(data / "split.json")]
    command += ["--output", str(folder / "output"), "--checkpoints", str(folder / "checkpoints")]
    environment = os.environ | {"HEADPOSE_TRACKING": "off"}
    return subprocess.run(command, cwd=ROOT, env=environment, text=True, capture_output=True, check=False)


def the_one_line_of(done: subprocess.CompletedProcess, folder: Path) -> str:
    """What a refused training said; it has left nothing that could count as a result or be resumed."""
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert not (folder / "output").exists()
    assert not (folder / "checkpoints/last.ckpt").exists()
    return done.stderr.splitlines()[-1]


@pytest.mark.parametrize("choose", ["best", "last"])
def test_a_fine_tuning_whose_last_step_breaks_the_weights(data: Path, tmp_path: Path, choose: str):
    done = trained(tmp_path, data, "finetune", HEAD | {"training": SCHEDULE | {"choose": choose}})
    assert the_one_line_of(done, tmp_path) == (
        "error: finetune baseline/seed0: the validation is not finite after epoch 1 (val_geodesic_deg is nan, "
        "val_mae_deg is nan): the weights have diverged (learning rate 1e+38); lower learning_rate or gradient_clip"
    )


def test_a_pre_training_whose_last_step_breaks_the_weights(data: Path, tmp_path: Path):
    """Before the linear probe is fitted to features that are not finite."""
    done = trained(tmp_path, data, "pretrain", TASK | {"training": SCHEDULE | {"choose": "probe"}})
    said = the_one_line_of(done, tmp_path)
    assert "error: pretrain rotation/seed0: the validation is not finite after epoch 1 (val_rotation_loss is " in said


def test_initial_weights_that_are_not_finite(data: Path, tmp_path: Path):
    state = Backbone("resnet18").resnet.state_dict()
    state["conv1.weight"][0, 0, 0, 0] = torch.nan
    torch.save(state, tmp_path / "weights.pth")
    params = HEAD | {"init": "encoder", "training": SCHEDULE | {"learning_rate": 0.001}}
    done = trained(tmp_path, data, "finetune", params, "--encoder", str(tmp_path / "weights.pth"))
    assert the_one_line_of(done, tmp_path) == (
        "error: finetune baseline/seed0: the loss is not finite in epoch 1, batch 1, before any step: the initial "
        "weights or the images are not; change init or them"
    )
