"""What a model says of its own tests where it is used."""

import json
from pathlib import Path

import numpy as np
import pytest

from pipeline_steps.job.errors import UserError
from pipeline_steps.pose.geometry import euler_to_matrix
from pipeline_steps.prediction.export import read_test
from pipeline_steps.prediction.tested import ErrorsOn, as_metadata, notice
from tests.steps.made_up import Study

CARDS = {"rendered": {"record": {"shows": "rendered heads"}}, "faces": {"record": {"shows": "photographs"}}}


def on_heads(kind: str, mae: float, part: str = "test") -> ErrorsOn:
    constants = {"always frontal": {"mae": 16.94}, "always the mean pose": {"mae": 16.5}}
    return ErrorsOn(
        dataset="heads", kind=kind, part=part, images=9, flip_test=False, errors={"mae": mae}, constants=constants
    )


def said(*tests: ErrorsOn) -> str:
    return notice({"tested": as_metadata(tests)})


def test_a_model_of_rendered_heads_says_that_it_was_not_tested_on_photographs():
    assert said(on_heads("rendered heads", 8.21)) == (
        "mean absolute error 8.2 degrees on rendered heads (heads), always frontal 16.9, always the mean pose 16.5; "
        "not tested on photographs"
    )


def test_a_model_that_does_not_beat_one_answer_says_so_for_the_kind_of_image():
    text = said(on_heads("rendered heads", 8.0, "validation"), on_heads("photographs", 16.5))
    rendered, photographs = text.split("; ")
    assert "no better" not in rendered
    assert "(heads, validation images)" in rendered
    assert photographs.endswith("always the mean pose 16.5: no better than one answer to every image")
    assert "not tested on photographs" not in text


@pytest.mark.parametrize("kind", ["your own images", "images"])
def test_images_of_a_kind_that_nobody_told_are_not_called_rendered(kind: str):
    assert "not tested on photographs" not in said(on_heads(kind, 8.0))


@pytest.mark.parametrize(
    ("about", "words"),
    [
        ({}, "was not stored when it was exported; export it again"),
        ({"tested": "[{}]"}, "was stored by another version of this program; export it again"),
        ({"tested": "[]"}, "never tested"),
    ],
)
def test_a_model_without_readable_tests_says_so(about: dict[str, str], words: str):
    assert words in notice(about)


def test_a_test_is_read_from_its_evaluation_beside_constant_poses(tmp_path: Path):
    study = Study(tmp_path)
    poses = {"always frontal": np.eye(3), "always the mean pose": euler_to_matrix(np.array([30.0, 0, 0]))}
    folders = [study.folder / "evaluate" / dataset / "pretrained/seed0" for dataset in CARDS]
    rendered, faces = (read_test(folder, CARDS, poses) for folder in folders)
    assert (rendered.kind, rendered.images, rendered.errors["yaw"]) == ("rendered heads", 3, pytest.approx(6, abs=1e-4))
    assert rendered.beats_constants
    assert faces.constants["always frontal"]["mae"] == pytest.approx(2 / 3, abs=1e-4)
    assert not faces.beats_constants
    assert json.loads(as_metadata([faces]))[0]["kind"] == "photographs"
    with pytest.raises(UserError, match="the card of faces is missing; add --card"):
        read_test(folders[1], {}, poses)
