"""split.json is read as it was written, and anything else is refused in one line."""

import json
from pathlib import Path

import pytest

from pipeline_steps.job.errors import UserError
from pipeline_steps.splits.split_file import Parts, Split, read_split, write_split

SPLIT = Split(
    train=["a/2", "a/1"],
    validation=["b/1"],
    test=[],
    subjects=Parts(train=["a"], validation=["b"], test=[]),
    left_out=3,
)


def test_a_split_survives_its_file(tmp_path: Path):
    write_split(tmp_path / "split.json", SPLIT)
    assert read_split(tmp_path / "split.json", 0) == SPLIT
    assert json.loads((tmp_path / "split.json").read_text())["subjects"]["train"] == ["a"]


@pytest.mark.parametrize(
    "content",
    [
        None,
        "",
        "[]",
        SPLIT.model_dump_json()[:40],
        SPLIT.model_dump_json(exclude={"subjects"}),
        SPLIT.model_dump_json().replace("3", "true"),
    ],
    ids=["missing", "empty", "list", "truncated", "without subjects", "wrong type"],
)
def test_a_corrupt_split_is_refused_in_one_line(tmp_path: Path, content: str | None):
    path = tmp_path / "split.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(UserError, match=r"not a readable split .*; delete it and run snakemake again") as error:
        read_split(path, 0)
    assert str(error.value).startswith(str(path))
    assert "\n" not in str(error.value)
