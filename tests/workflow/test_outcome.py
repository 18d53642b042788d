"""What `make reproduce` says at its end about the images that a study was tested on."""

import pytest

from workflow.commands.outcome import kinds_tested
from workflow.params import load_params
from workflow.plan import Plan


@pytest.mark.parametrize(
    ("source", "test_on", "said"),
    [
        (None, ["rendered"], "rendered heads alone, not on photographs"),
        ({"kind": "aflw2000"}, ["rendered", "faces"], "photographs, rendered heads"),
        ({"kind": "image_folder"}, ["faces"], "your own images"),
    ],
)
def test_the_kinds_of_test_images_are_named(source: dict | None, test_on: list[str], said: str, tmp_path):
    (tmp_path / "faces").mkdir()
    (tmp_path / "faces/labels.csv").write_text("path,yaw,pitch,roll\na.jpg,1,2,3\n")
    faces = {"source": source, "archive": str(tmp_path / "faces"), "split": {"test_subjects": "all"}}
    faces["crop"] = {"box": "whole_image"}
    config = {"test_on": test_on} | ({"datasets": {"faces": faces}} if source else {})
    assert kinds_tested(Plan(load_params(config=config))) == said
