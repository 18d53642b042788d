"""Which parameters learn how fast, and which decay."""

import pytest
import torch
from torch import nn

from pipeline_steps.params.sections import Training
from pipeline_steps.training.optimiser import FROM_SCRATCH, BackboneSchedule, configured_optimiser

TRAINING = Training(epochs=4, batch_size=2, learning_rate=0.01, weight_decay=0.1, warmup_epochs=0)
STEPS = 40


def groups(backbone: BackboneSchedule) -> dict[str, list[tuple[float, float]]]:
    """Learning rate at every step, and weight decay, of each parameter."""
    parameters = {
        "backbone.weight": nn.Parameter(torch.zeros(2, 2)),
        "backbone.bias": nn.Parameter(torch.zeros(2)),
        "pose_head.weight": nn.Parameter(torch.zeros(2, 2)),
        "pose_head.bias": nn.Parameter(torch.zeros(2)),
    }
    names = {id(parameter): name for name, parameter in parameters.items()}
    configured = configured_optimiser(parameters.items(), TRAINING, backbone, STEPS)
    optimiser, schedule = configured["optimizer"], configured["lr_scheduler"]["scheduler"]
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in parameters}
    for _ in range(STEPS):
        for group in optimiser.param_groups:
            for parameter in group["params"]:
                found[names[id(parameter)]].append((group["lr"], group["weight_decay"]))
        optimiser.step()
        schedule.step()
    return found


def test_only_matrices_decay():
    decay = {name: of_steps[0][1] for name, of_steps in groups(FROM_SCRATCH).items()}
    assert decay == {"backbone.weight": 0.1, "backbone.bias": 0, "pose_head.weight": 0.1, "pose_head.bias": 0}


def test_a_backbone_from_scratch_learns_like_the_head():
    found = groups(FROM_SCRATCH)
    assert found["backbone.weight"] == found["pose_head.weight"]
    assert found["pose_head.weight"][0][0] == 0.01
    assert found["pose_head.weight"][STEPS // 2][0] == pytest.approx(0.005), "half of the cosine"


def test_a_pretrained_backbone_learns_more_slowly_once_it_is_no_longer_frozen():
    found = groups(BackboneSchedule(learning_rate_factor=0.1, frozen_epochs=1))
    backbone, head = ([rate for rate, _ in found[name]] for name in ("backbone.weight", "pose_head.weight"))
    assert backbone[:10] == [0] * 10, "one of four epochs"
    assert backbone[10:] == pytest.approx([0.1 * rate for rate in head[10:]])
    assert head[0] == 0.01
