"""Heads that learn Euler angles are not trained on rotated images, whose angles jump."""

from typing import Any

import pytest
import torch
from pydantic import TypeAdapter, ValidationError

import pipeline_steps.pretext
from pipeline_steps.images.augmentation import Motion
from pipeline_steps.params.registry import kinds
from pipeline_steps.params.sections import Task
from pipeline_steps.params.steps import FinetuneParams
from pipeline_steps.pose.geometry import euler_to_matrix

EULER_HEADS = ["euler", "binned"]
ROTATED: dict[str, Any] = {"training": {"augmentation": {"roll": 30.0}}}
UPRIGHT: dict[str, Any] = {}


def single_view(task: dict[str, Any]) -> dict[str, Any]:
    return {"views": "single_view", "auxiliary": {"task": {"weight": 1.0, "task": task}}}


def params(pose_head: str, change: dict[str, Any]) -> FinetuneParams:
    """Parameters of a fine-tuning with this head and this change."""
    training = {"epochs": 1, "batch_size": 2, "learning_rate": 0.001} | change.get("training", {})
    plain = {"seed": 0, "init": "random", "auxiliary": {}, "views": "siamese", "weighting": "fixed", "labels": {}}
    network = {"backbone": "resnet18", "pose_head": pose_head}
    return FinetuneParams.model_validate(
        plain | {"auxiliary_on": "labelled", "network": network} | change | {"training": training}
    )


@pytest.mark.parametrize("head", EULER_HEADS)
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (ROTATED, r"finetune\.augmentation\.roll: Euler angles jump .*; set roll to 0, or the head to rotation_6d"),
        (
            single_view({"kind": "rotation"}),
            "views: the pose loss sees those of task: .*; set siamese, or the head to rotation_6d",
        ),
        (single_view({"kind": "roll_equivariance"}), "sees those of task"),
        (single_view({"kind": "simclr", "view": {"roll": 10.0}}), "sees those of task"),
    ],
)
def test_a_head_of_angles_refuses_what_is_rotated(head: str, change: dict[str, Any], message: str):
    with pytest.raises(ValidationError, match=message) as error:
        params(head, change)
    assert head in str(error.value)
    assert params("rotation_6d", change)


@pytest.mark.parametrize("head", EULER_HEADS)
@pytest.mark.parametrize(
    "change",
    [
        UPRIGHT,
        single_view({"kind": "flip_consistency"}),
        single_view({"kind": "simclr"}),
        {"auxiliary": {"roll": {"weight": 1.0, "task": {"kind": "roll_equivariance"}}}},
        {"auxiliary": {"rotation": {"weight": 1.0, "task": {"kind": "rotation"}}}},
    ],
)
def test_and_nothing_else(head: str, change: dict[str, Any]):
    """Mirrored angles change their sign alone; in siamese mode the pose loss does not see the tasks' views."""
    assert params(head, change).network.pose_head == head


@pytest.mark.parametrize("kind", kinds(pipeline_steps.pretext.__name__))
def test_a_task_that_rolls_no_views_changes_no_angle_but_its_sign(kind: str):
    task = TypeAdapter(Task).validate_python({"kind": kind})
    euler = torch.tensor([[20.0, 5, -10]]).repeat(64, 1)
    targets = task.views(torch.rand(64, 3, 32, 32), torch.Generator().manual_seed(0)).targets
    _, angles = task.view_labels(euler_to_matrix(euler), euler, targets)
    assert task.rolls_views != (angles.abs() == torch.tensor([20.0, 5, 10])).all()


def test_why_the_yaw_of_a_head_rotated_past_a_right_angle_jumps():
    """Two poses 2 degrees apart, about a yaw of 90, have rolls 180 degrees apart once their angles are recomputed."""
    euler = torch.tensor([[89.0, 0, 0], [91.0, 0, 0]])
    motion = Motion(torch.tensor([False, False]), torch.tensor([1e-3, 1e-3]))
    _, angles = motion.labels(euler_to_matrix(euler), euler)
    assert (angles[0] - angles[1]).abs().max() > 170
