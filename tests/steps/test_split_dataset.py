"""Splits and protocols: which subjects are trained on, validated on and tested on, and which images are used."""

import json
from pathlib import Path

import h5py
import numpy as np
import pytest

from pipeline_steps.images.crop_file import CropFile
from pipeline_steps.job.errors import UserError
from pipeline_steps.params.sections import Labels
from pipeline_steps.pose.geometry import euler_to_matrix
from pipeline_steps.split_dataset import split_dataset
from pipeline_steps.splits.label_budget import labelled_images
from pipeline_steps.splits.split_file import read_split

EULER = {f"p{n % 4}/{n}": (25.0 * n - 100, 0.0, 5.0 * n) for n in range(12)}  # yaw -100 to 175


def write_crops(path: Path, euler: dict[str, tuple[float, float, float]]) -> None:
    angles = np.array(list(euler.values()))
    with h5py.File(path, "w") as file:
        file.attrs.update({"schema_version": 2, "dataset": "mine", "source": "{}", "crop": '{"size": 4}'})
        file.create_dataset("images", data=np.zeros((len(euler), 4, 4, 3), np.uint8), chunks=(1, 4, 4, 3))
        file["rotation"] = euler_to_matrix(angles)
        file["euler_deg"] = angles
        file["subject"] = [name.split("/")[0] for name in euler]
        file["source_id"] = list(euler)


def split(folder: Path, rule: dict, protocol: str | None = None, euler: dict | None = None) -> dict:
    write_crops(folder / "crops.h5", euler or EULER)
    values = {"step": "split_dataset", "job": {"dataset": "mine"}, "params": {"split": {"seed": 0} | rule}}
    (folder / "recipe.json").write_text(json.dumps(values))
    file = None
    if protocol is not None:
        file = folder / "protocol.yaml"
        file.write_text(f"title: t\nsource: s\nverified: true\n{protocol}")
    split_dataset(folder / "recipe.json", folder / "crops.h5", folder / "out", file)
    return json.loads((folder / "out/split.json").read_text())


def labelled(folder: Path, seed: int = 0, **labels) -> set[str]:
    with CropFile(folder / "crops.h5") as crops:
        return set(labelled_images(read_split(folder / "out/split.json", seed), crops, Labels(**labels), seed))


def test_parts_share_no_subject_and_contain_every_image(tmp_path):
    made = split(tmp_path, {"test_subjects": 1, "validation_subjects": 1})
    subjects = made["subjects"]
    assert sorted(subjects["train"] + subjects["validation"] + subjects["test"]) == ["p0", "p1", "p2", "p3"]
    assert sorted(made["train"] + made["validation"] + made["test"]) == sorted(EULER)
    assert made["left_out"] == 0


def test_a_larger_budget_only_adds_labels(tmp_path):
    made = split(tmp_path, {"test_subjects": 1, "validation_subjects": 1})
    small, large = (labelled(tmp_path, subjects=n) for n in (1, 2))
    assert small < large == set(made["train"])
    assert small == {i for i in EULER if i.split("/")[0] == made["subjects"]["train"][0]}
    assert labelled(tmp_path, subjects=1, fraction=0.34) < small
    with pytest.raises(UserError, match=r"labels.subjects: 3, but only 2"):
        labelled(tmp_path, subjects=3)


def test_every_seed_may_label_other_subjects(tmp_path):
    split(tmp_path, {"test_subjects": 1, "validation_subjects": 0})
    drawn = [labelled(tmp_path, seed, subjects=1, redraw=True) for seed in range(4)]
    assert len(set.union(*drawn[:3])) == 9
    assert drawn[3] == drawn[0] == labelled(tmp_path, 7, subjects=1)


def test_a_protocol_leaves_out_images_beyond_its_angle(tmp_path):
    made = split(tmp_path, {"test_subjects": "all"}, "max_angle: 99.0")
    assert sorted(made["test"]) == sorted(i for i, (yaw, _, _) in EULER.items() if abs(yaw) <= 99)
    assert made["left_out"] == 12 - len(made["test"])


def test_a_protocol_lists_images_and_subjects(tmp_path, caplog):
    (tmp_path / "list.txt").write_text("p0/0\np1/1\np1/my photo\np2/2\n\np3/3\nelsewhere\n")
    text = "images: list.txt\ntest: [p1]\nexpected_images: 6"
    euler = EULER | {"p1/my photo": (0.0, 0.0, 0.0), "p1/my": (0.0, 0.0, 0.0)}
    made = split(tmp_path, {"protocol": "protocol.yaml", "validation_subjects": 1}, text, euler)
    assert made["test"] == ["p1/1", "p1/my photo"]
    assert made["left_out"] == 9
    assert "keeps 5 images here and 6 of the official data set" in caplog.text


def test_an_unverified_protocol_is_reported(tmp_path, caplog):
    split(tmp_path, {"test_subjects": "all"}, "notes: its list was never published\nmax_angle: 180.0")
    assert "could not be verified" not in caplog.text
    path = tmp_path / "protocol.yaml"
    path.write_text(path.read_text().replace("verified: true", "verified: false"))
    split_dataset(tmp_path / "recipe.json", tmp_path / "crops.h5", tmp_path / "out", path)
    assert "could not be verified against its source: its list was never published" in caplog.text


def test_images_without_a_pose_are_in_the_split_but_not_labelled(tmp_path):
    euler = EULER | {f"p9/{n}": (np.nan, np.nan, np.nan) for n in range(3)}
    made = split(tmp_path, {"test_subjects": 1, "validation_subjects": 1}, euler=euler)
    parts = made["train"] + made["validation"] + made["test"]
    assert {f"p9/{n}" for n in range(3)} < set(parts)
    assert labelled(tmp_path) == {i for i in made["train"] if not i.startswith("p9/")}


@pytest.mark.parametrize(
    ("rule", "protocol", "message"),
    [
        ({"test_subjects": 9}, None, "4 subjects are too few for 9 to test on"),
        ({"test_subjects": 0, "validation_subjects": 4}, None, "are too few"),
        ({"protocol": "x"}, "test: [nobody]", "no subject 'nobody'"),
        ({"test_subjects": "all"}, "max_angle: 0.5", "leaves out all 12 images"),
        ({"test_subjects": "all"}, "images: missing.txt", "no readable file missing.txt"),
        ({"test_subjects": "all"}, "images: ../x.txt", "images: String should match"),
        ({"test_subjects": "all"}, "max_angel: 99", "max_angel: unknown key"),
        ({"test_subjects": "all"}, "max_angle: [", "protocol.yaml, line 4: not YAML"),
    ],
)
def test_an_impossible_split_is_refused_in_one_line(tmp_path, rule, protocol, message):
    with pytest.raises(UserError) as error:
        split(tmp_path, rule, protocol)
    assert message in str(error.value)
    assert "\n" not in str(error.value)
