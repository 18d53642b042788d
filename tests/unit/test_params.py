"""params.yaml, the studies and the published schema agree with the types."""

import json

import pytest
import yaml

from pipeline_steps.errors import UserError
from pipeline_steps.params import Params, parse_params
from tests.conftest import ROOT, merged

WIDE = {"mean": 0.0, "std": 1.0, "min": -120.0, "max": 9.0}
DEFAULT = yaml.safe_load((ROOT / "params.yaml").read_text())


@pytest.mark.parametrize("study", sorted((ROOT / "studies").glob("*.yaml")), ids=lambda p: p.stem)
def test_every_study_is_valid(study):
    assert parse_params(merged(DEFAULT, yaml.safe_load(study.read_text()))).study == study.stem


def test_the_published_schema_is_that_of_the_types():
    schema = json.loads((ROOT / "workflow/schemas/params.schema.json").read_text())
    assert schema == Params.model_json_schema(), "run: python -m workflow.schemas"


@pytest.mark.parametrize(
    ("overlay", "message"),
    [
        ({"datasets": {"rendered": {"split": {"test_subjects": None}}}}, "give test_subjects, or a protocol"),
        ({"datasets": {"rendered": {"archive": "x.zip"}}}, "archive: this data set has none"),
        (
            {"datasets": {"rendered": {"source": {"pose": {"yaw": WIDE}}}}},
            "at most 90 degrees",
        ),
        ({"pretext": {"puzzling": {"grid": 5}}}, "pretext.puzzling"),
        ({"pretext": {"puzzling": {"grid": 3}}}, "multiple of 3"),
        ({"seeds": []}, "seeds"),
        ({"arms": {"baseline": {"init": "ssl:jigsaw"}}}, "'jigsaw' is not defined"),
        ({"arms": {"hybrid": {"views": "single_view", "auxiliary": {"rotation": 1.0}}}}, "exactly one auxiliary task"),
        ({"train_on": "biwi"}, "train_on: 'biwi' is not defined"),
        ({"compare": {"baseline": "supervised"}}, "compare.baseline"),
    ],
)
def test_an_impossible_value_names_its_key(overlay, message):
    with pytest.raises(UserError, match=r"params.yaml: ") as error:
        parse_params(merged(DEFAULT, overlay))
    assert message in str(error.value)
    assert "\n" not in str(error.value)
