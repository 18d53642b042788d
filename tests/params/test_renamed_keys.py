"""Keys of params.yaml that have a new name: the old one is refused, and the message gives the new one."""

from collections.abc import Iterator

import pytest
import yaml

import workflow.params  # noqa: F401 - defines every class that reads a part of params.yaml
from pipeline_steps.job.errors import UserError
from pipeline_steps.job.strict import Strict
from tests.conftest import ROOT
from workflow.params import merged, parse_params

DEFAULT = yaml.safe_load((ROOT / "params.yaml").read_text())


def classes(base: type[Strict] = Strict) -> Iterator[type[Strict]]:
    for subclass in base.__subclasses__():
        yield subclass
        yield from classes(subclass)


RENAMED = [(one, old, new) for one in classes() for old, new in one.renamed.items()]


@pytest.mark.parametrize(("section", "old", "new"), RENAMED)
def test_an_old_name_is_refused_with_a_new_one_that_exists(section: type[Strict], old: str, new: str):
    assert new in section.model_fields
    assert old not in section.model_fields
    with pytest.raises(ValueError, match=f"{old} is now called {new}; rename this key"):
        section.model_validate({old: 1})


@pytest.mark.parametrize(
    ("overlay", "message"),
    [
        (
            {"finetune": {"backbone_learning_rate": 0.1}},
            "finetune: backbone_learning_rate is now called backbone_learning_rate_factor",
        ),
        (
            {"arms": {"baseline": {"finetune": {"backbone_learning_rate": 0.1}}}},
            "arms.baseline.finetune: backbone_learning_rate is now called backbone_learning_rate_factor",
        ),
        (
            {"pretext": {"flip_consistency": {"spread_deg": 10.0}}},
            "pretext.flip_consistency: spread_deg is now called min_dispersion_deg",
        ),
    ],
)
def test_params_yaml_with_an_old_name_says_where_it_stands(overlay: dict, message: str):
    with pytest.raises(UserError) as error:
        parse_params(merged(DEFAULT, overlay))
    assert str(error.value) == f"params.yaml: {message}; rename this key"
