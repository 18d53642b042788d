"""What a model says of its own tests where it is used."""

import json
from pathlib import Path

import numpy as np
import pytest

from pipeline_steps.job.errors import UserError
from pipeline_steps.params.steps import ExportParams
from pipeline_steps.pose.geometry import euler_to_matrix
from pipeline_steps.prediction.export import read_test
from pipeline_steps.prediction.head_pose import HeadPose
from pipeline_steps.prediction.model_card import model_card
from pipeline_steps.prediction.onnx_model import add_metadata
from pipeline_steps.prediction.tested import ErrorsOn, FoundFaces, as_metadata, notice
from tests.prediction.made_up import write_model, yaw_of
from tests.steps.made_up import Study

CARDS = {"rendered": {"record": {"shows": "rendered heads"}}, "faces": {"record": {"shows": "photographs"}}}


def on_heads(kind: str, mae: float, part: str = "test", images: int = 9) -> ErrorsOn:
    constants = {"always frontal": {"mae": 16.94}, "always the mean pose": {"mae": 16.5}}
    return ErrorsOn(
        dataset="heads",
        kind=kind,
        part=part,
        images=images,
        flip_test=False,
        errors={"mae": mae},
        constants=constants,
    )


def said(*tests: ErrorsOn) -> str:
    return notice({"tested": as_metadata(tests)})


def test_a_model_of_rendered_heads_says_that_it_was_not_tested_on_photographs():
    assert said(on_heads("rendered heads", 8.21, images=1234)) == (
        "mean absolute error by the data's own boxes 8.2 degrees on rendered heads (heads, 1,234 images), "
        "always frontal 16.9, always the mean pose 16.5; not tested on photographs"
    )


def test_a_model_that_does_not_beat_one_answer_says_so_for_the_kind_of_image():
    text = said(on_heads("rendered heads", 8.0, "validation"), on_heads("photographs", 16.5))
    rendered, photographs = text.split("; ")
    assert "no better" not in rendered
    assert "(heads, 9 validation images)" in rendered
    assert photographs.endswith("always the mean pose 16.5: no better than one answer to every image")
    assert "not tested on photographs" not in text


@pytest.mark.parametrize(
    ("kind", "images", "enough"),
    [
        *(("your own images", 24, False), ("images", 99, False), ("your own images", 100, True)),
        *(("images", 100, True), ("photographs", 24, True), ("rendered heads", 6000, False)),
    ],
)
def test_a_few_images_of_a_kind_that_nobody_told_are_no_test_on_photographs(kind: str, images: int, enough: bool):
    text = said(on_heads("rendered heads", 8.0), on_heads(kind, 8.0, images=images))
    assert ("not tested on photographs" not in text) == enough
    assert f"{kind} (heads, {images:,} images)" in text


FOUND = {
    "searched_images": 256.0,
    "faces_found": 0.87,
    "found_box_median_geodesic_error": 11.31,
    "own_box_median_geodesic_error": 7.82,
}


def test_how_far_off_found_faces_are_is_said_beside_the_errors_by_own_boxes():
    tested = as_metadata([on_heads("photographs", 8.21)])
    text = notice({"tested": tested, "found_faces": FoundFaces.model_validate(FOUND).model_dump_json()})
    assert text.startswith("mean absolute error by the data's own boxes 8.2 degrees")
    assert text.endswith(
        "; median geodesic error 11.3 degrees where heads are cropped by found faces, 7.8 by the data's own boxes, "
        "no face found in 13% (of 256 crops of validation people)"
    )


def test_metadata_that_is_added_to_an_exported_model_leaves_what_it_had(tmp_path: Path):
    model = write_model(tmp_path / "model.onnx")
    before = HeadPose.load(model)
    add_metadata(model, {"found_faces": "{}"})
    after = HeadPose.load(model)
    assert after.model.about == before.model.about | {"found_faces": "{}"}
    crop = np.full((32, 32, 3), 99, np.uint8)
    (pose,) = after(crop, whole_image=True)
    assert pose.yaw == pytest.approx(yaw_of(99), abs=1e-3)


def test_the_card_says_in_how_many_crops_a_face_was_looked_for():
    about = {"backbone": "resnet18", "pose_head": "rotation_6d", "image_size": "64"}
    crop = {"crop": json.dumps({"box": "given_box", "margin": 0.1, "border": "reflect"})}
    data = {"dataset": "heads", "images": 9, "subjects": 3, "pose": {}, "record": None}
    measured = {"checked_images": 512.0, "model_from_torch_worst": 0.0, "model_int8_from_torch_worst": 1.0}
    measured |= {"model_int8_from_torch_mean": 0.5} | FOUND
    job: dict[str, str | int] = {"study": "quick", "arm": "hybrid", "seed": 0}
    card = model_card(job, about | crop, data, ExportParams(seed=0, detail=None, window=1.0), measured, [], [])
    assert "On 512 crops of validation subjects" in card
    assert "In 256 of these crops `predict` looked for a face. It finds one in 87%, and crops by it" in card


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
