"""What design.json says, and that it says it once."""

from pathlib import Path

import pytest

from pipeline_steps.evaluation.design import folded, read_design, text
from pipeline_steps.job.errors import UserError
from pipeline_steps.params.leaves import leaves


def test_what_all_arms_share_is_stored_once_at_any_depth():
    arms = {
        "a": {"epochs": 3, "labels": {"fraction": 0.5, "subjects": "all"}, "auxiliary": {}},
        "b": {"epochs": 3, "labels": {"fraction": 0.1, "subjects": "all"}, "auxiliary": {"rotation": {"weight": 1.0}}},
    }
    of = folded(arms)
    assert of.shared == {"epochs": 3, "labels": {"subjects": "all"}}
    assert of.by_name == {
        "a": {"labels": {"fraction": 0.5}, "auxiliary": {}},
        "b": {"labels": {"fraction": 0.1}, "auxiliary": {"rotation": {"weight": 1.0}}},
    }


def test_a_single_arm_keeps_its_values_under_its_name():
    assert folded({"a": {"epochs": 3}}).by_name == {"a": {"epochs": 3}}
    assert folded({"a": {"epochs": 3}}).shared == {}


def test_leaves_are_dotted_keys_in_the_order_of_the_sections():
    values = {"z": {"a": None, "b": {"c": [0.8, 1.0]}}, "a": True, "empty": {}}
    assert list(leaves(values).items()) == [("z.a", None), ("z.b.c", [0.8, 1.0]), ("a", True)]
    assert [text(value) for value in leaves(values).values()] == ["null", "[0.8, 1.0]", "true"]


def test_a_corrupt_design_is_named(tmp_path: Path):
    (tmp_path / "design.json").write_text('{"study": {}}')
    with pytest.raises(UserError, match=r"design\.json: not a readable design .*; run snakemake again"):
        read_design(tmp_path / "design.json")
