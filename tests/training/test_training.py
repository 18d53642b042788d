"""Pose losses against formulas, and a training that is killed and goes on as if it had not been."""

import json
import math
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file
from scipy.spatial.transform import Rotation

from pipeline_steps import finetune as finetuning
from pipeline_steps.job.errors import UserError
from pipeline_steps.job.recipe import read_recipe
from pipeline_steps.network.backbones import Backbone, load_weights
from pipeline_steps.network.inference import load_model
from pipeline_steps.network.pose_heads import POSE_HEADS
from pipeline_steps.params.steps import FinetuneParams
from pipeline_steps.pose.geometry import euler_to_matrix
from pipeline_steps.training.schedule import learning_rate_factor
from tests.conftest import ROOT, World
from tests.optimise import losses_while_optimised


def test_the_6d_loss_is_the_geodesic_distance():
    head = POSE_HEADS["rotation_6d"](4)
    labels = torch.tensor(Rotation.random(16, random_state=0).as_matrix())
    raw = torch.randn(16, 6, generator=torch.Generator().manual_seed(0)).double()
    rotation = head.rotation(raw).double()
    np.testing.assert_allclose(rotation @ rotation.mT, np.tile(np.eye(3), (16, 1, 1)), atol=1e-5)
    expected = (Rotation.from_matrix(rotation.numpy()) * Rotation.from_matrix(labels.numpy()).inv()).magnitude().mean()
    assert head.loss(raw, labels, torch.zeros(16, 3)).item() == pytest.approx(expected, abs=1e-3)


def test_the_binned_loss_follows_hopenet():
    head = POSE_HEADS["binned"](4)
    logits = torch.randn(5, 3, 66, generator=torch.Generator().manual_seed(0))
    euler = torch.tensor([[0.0, 10, -20], [89, -3, 4], [-98.9, 98.9, 0], [1, 2, 3], [-45, 45, 5]])
    probability = torch.exp(logits - torch.logsumexp(logits, 2, keepdim=True)).numpy()
    cross, square = [], []
    for image in range(5):
        for angle in range(3):
            value = euler[image, angle].item()
            cross.append(-math.log(probability[image, angle, int((value + 99) // 3)]))
            mean = (probability[image, angle] * np.arange(-97.5, 99, 3)).sum()
            square.append(((mean - value) / 3) ** 2)
    loss = head.loss(logits, euler_to_matrix(euler), euler).item()
    assert loss == pytest.approx(np.mean(cross) + np.mean(square), rel=1e-4)


def test_angles_beyond_the_bins_count_as_the_outermost():
    head = POSE_HEADS["binned"](4)
    logits = torch.randn(2, 3, 66, generator=torch.Generator().manual_seed(0))
    beyond = torch.tensor([[99.0, -120, 170], [-99.0, 99, 99.5]])
    outermost = torch.tensor([[99.0, -99, 99], [-99.0, 99, 99]])
    loss = head.loss(logits, euler_to_matrix(beyond), beyond).item()
    bins = [65, 0, 65, 0, 65, 65]
    cross = -torch.log_softmax(logits.flatten(0, 1), 1)[range(6), bins].mean()
    expected = (logits.softmax(2) * torch.arange(-97.5, 99, 3)).sum(2)
    assert loss == pytest.approx((cross + ((expected - outermost) / 3).square().mean()).item(), rel=1e-4)


@pytest.mark.parametrize("name", POSE_HEADS)
def test_every_head_learns_a_pose(name):
    torch.manual_seed(0)
    head = POSE_HEADS[name](8)
    euler = torch.tensor([[40.0, -20, 10], [-60, 30, -15]])
    features = torch.eye(2, 8)
    target = euler_to_matrix(euler)
    losses_while_optimised(lambda: head.loss(head(features), target, euler), head.parameters(), 0.1, 400)
    relative = head.rotation(head(features)).detach() @ target.mT
    assert np.degrees(Rotation.from_matrix(relative.numpy()).magnitude()).max() < 3


def test_learning_rate_rises_linearly_and_falls_as_a_cosine():
    factors = [learning_rate_factor(step, 100, 9) for step in range(100)]
    assert factors[:9] == pytest.approx([0.1 * (i + 1) for i in range(9)])
    assert factors[9] == 1
    assert factors[9 + 91 // 2] == pytest.approx(0.5, abs=0.02)
    assert factors[-1] < 0.001


def test_weights_of_another_backbone_are_refused_by_name(tmp_path):
    torch.save(Backbone("resnet50").resnet.state_dict(), tmp_path / "resnet50.pth")
    with pytest.raises(UserError, match=r"resnet50.pth: .* another backbone's weights"):
        load_weights(Backbone("resnet18"), tmp_path / "resnet50.pth")
    (tmp_path / "broken.pth").write_bytes(b"no weights")
    with pytest.raises(UserError, match=r"broken.pth: cannot be read as weights"):
        load_weights(Backbone("resnet18"), tmp_path / "broken.pth")


TIMES = ["seconds", "images_per_second"]


def finetune(world: World, folder: Path, recipe: Path) -> list[str]:
    return world.training("pipeline_steps.finetune", recipe, folder / "output", folder / "checkpoints")


@pytest.mark.workflow
def test_a_killed_training_goes_on_to_the_same_result(finished: World, tmp_path: Path):
    made = json.loads((finished.folder / "results/tiny/default/finetune/hybrid/seed0/recipe.json").read_text())
    made["params"]["training"]["epochs"] = 8
    recipe = tmp_path / "recipe.json"
    recipe.write_text(json.dumps(made))
    environment = {"PATH": "/usr/bin:/bin", "HEADPOSE_TRACKING": "off", "PYTHONPATH": str(ROOT)}

    def run(folder: Path) -> str:
        command = finetune(finished, folder, recipe)
        done = subprocess.run(command, env=environment, cwd=tmp_path, text=True, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stderr

    run(tmp_path / "whole")
    killed = tmp_path / "killed"
    process = subprocess.Popen(finetune(finished, killed, recipe), env=environment, cwd=tmp_path)
    deadline = time.monotonic() + 120
    while not (killed / "checkpoints/last.ckpt").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert (killed / "checkpoints/last.ckpt").exists()
    assert not (killed / "output/model.safetensors").exists(), "killed too late to prove anything"
    cut_off = tmp_path / "cut off"
    shutil.copytree(killed, cut_off)
    os.truncate(cut_off / "checkpoints/last.ckpt", 10_000)
    assert "cannot be read" not in run(killed)
    assert "last.ckpt cannot be read" in run(cut_off)
    whole = (tmp_path / "whole/output/model.safetensors").read_bytes()
    history = pd.read_csv(tmp_path / "whole/output/history.csv").drop(columns=TIMES)
    for folder in (killed, cut_off):
        assert (folder / "output/model.safetensors").read_bytes() == whole
        pd.testing.assert_frame_equal(history, pd.read_csv(folder / "output/history.csv").drop(columns=TIMES))
        assert not (folder / "checkpoints").exists()


@pytest.mark.workflow
@pytest.mark.parametrize(("gradient_clip", "moves"), [(1.0, True), (1e-13, False)])
def test_a_gradient_is_no_longer_than_its_limit(finished: World, tmp_path: Path, monkeypatch, gradient_clip, moves):
    """AdamW divides by the gradient's size, or by 1e-8 where it is smaller: so short a gradient moves nothing."""
    monkeypatch.setenv("HEADPOSE_TRACKING", "off")
    made = json.loads((finished.folder / "results/tiny/default/finetune/hybrid/seed0/recipe.json").read_text())
    made["params"]["training"] |= {"epochs": 1, "gradient_clip": gradient_clip, "weight_decay": 0.0}
    (tmp_path / "recipe.json").write_text(json.dumps(made))
    data = finished.folder / "data"
    crops, split = data / "crops/rendered-32px/crops.h5", data / "splits/rendered-32px/split.json"
    finetuning.finetune(tmp_path / "recipe.json", crops, split, tmp_path / "output", tmp_path / "checkpoints")
    network = finetuning.build_network(read_recipe(tmp_path / "recipe.json").params_as(FinetuneParams), None)
    before, (trained, _) = dict(network.named_parameters()), load_model(tmp_path / "output/model.safetensors")
    longest = max((after - before[name]).abs().max().item() for name, after in trained.named_parameters())
    assert longest > 1e-4 if moves else longest < 1e-6


@pytest.mark.workflow
@pytest.mark.parametrize(("choose", "labelled"), [("last", (3, 12)), ("best", (5, 20))])
def test_labels_that_choose_the_epoch_are_counted(
    finished: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, choose: str, labelled: tuple[int, int]
):
    monkeypatch.setenv("HEADPOSE_TRACKING", "off")
    made = json.loads((finished.folder / "results/tiny/default/finetune/baseline/seed0/recipe.json").read_text())
    made["params"]["training"] |= {"choose": choose}
    (tmp_path / "recipe.json").write_text(json.dumps(made))
    data = finished.folder / "data"
    crops, split = data / "crops/rendered-32px/crops.h5", data / "splits/rendered-32px/split.json"
    finetuning.finetune(tmp_path / "recipe.json", crops, split, tmp_path / "output", tmp_path / "checkpoints")
    run = json.loads((tmp_path / "output/run.json").read_text())
    assert (run["labelled_subjects"], run["labelled_images"]) == labelled


@pytest.mark.workflow
def test_the_finished_model_predicts_rotations_without_the_auxiliary_heads(finished: World):
    path = finished.folder / "results/tiny/default/finetune/hybrid/seed0/model.safetensors"
    network, about = load_model(path)
    assert about["image_size"] == "32"
    assert not any("auxiliary" in key for key in load_file(path))
    rotation = network(torch.rand(2, 3, 32, 32)).detach()
    np.testing.assert_allclose(rotation @ rotation.mT, np.tile(np.eye(3), (2, 1, 1)), atol=1e-5)
