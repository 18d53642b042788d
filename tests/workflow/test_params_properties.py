"""params.yaml after any change: it is accepted, or refused in one line that names a key."""

import copy
import json
import math
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline_steps.job.errors import UserError
from tests.conftest import ROOT
from workflow.params import Params, parse_params

DEFAULT = json.loads(json.dumps(yaml.safe_load((ROOT / "params.yaml").read_text())))  # what YAML shares is copied
Place = tuple[str | int, ...]


def below(value: Any, place: Place = ()) -> dict[Place, Any]:
    """Every value in a document by its place, the document itself aside."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    found = {}
    for key, part in items:
        found |= {(*place, key): part} | below(part, (*place, key))
    return found


PLACES = below(DEFAULT)
MAPS = [place for place, value in PLACES.items() if isinstance(value, dict) and "sizes" not in place]
NUMBERS = [place for place, value in PLACES.items() if type(value) in (int, float) and "sizes" not in place]

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**3), 10**3),
    st.sampled_from(
        [0, -1, 2**31, 2**63, 10**400, 1e308, math.nan, math.inf, -math.inf, "", "1e-3", "all", "ssl:pose"]
    ),
    st.floats(-2, 2),
    st.dates(),
    st.text(max_size=20),
)
values = st.one_of(
    scalars,
    st.sampled_from(list(PLACES.values())),  # such as a map where a number belongs
    st.recursive(
        scalars,
        lambda part: st.lists(part, max_size=3) | st.dictionaries(scalars, part, max_size=3),
        max_leaves=8,
    ),
)


def changed(*changes: tuple[Place, Any]) -> dict[str, Any]:
    """The default study with values put in their places, as far as earlier ones left these."""
    document = copy.deepcopy(DEFAULT)
    for place, value in changes:
        found = {(): document} | below(document)
        if isinstance(parent := found.get(place[:-1]), dict) or place in found:
            parent[place[-1]] = copy.deepcopy(value)
    return document


def refusal(document: dict[str, Any]) -> str | None:
    """Why it is refused."""
    try:
        parse_params(document)
    except UserError as error:
        return str(error)
    return None


@settings(max_examples=2000)
@given(st.lists(st.tuples(st.sampled_from(list(PLACES)), values), min_size=1, max_size=2))
def test_any_value_at_any_place_is_accepted_or_refused_by_key(changes):
    if (message := refusal(changed(*changes))) is not None:
        file, key, problem = message.split(": ", 2)
        assert file == "params.yaml"
        assert key.split(".")[0] in Params.model_fields
        assert problem
        assert len(message.splitlines()) == 1
        assert len(message) < 1500


@given(st.sampled_from(NUMBERS), st.sampled_from([math.nan, math.inf, -math.inf, "0.1", True, [1]]))
def test_what_is_no_number_is_refused_where_it_stands(place, value):
    message = refusal(changed((place, value)))
    assert message is not None
    assert all(str(key) in message.split(": ")[1].split(".") for key in place)


@given(st.sampled_from(MAPS), st.from_regex(r"[A-Z][a-z0-9_]{0,20}", fullmatch=True))
def test_an_unknown_key_is_named(place, key):
    message = refusal(changed(((*place, key), 1)))
    assert message is not None
    assert key in message.split(": ")[1].split(".")


@given(st.sampled_from([place for place in PLACES if len(place) == 1]))
def test_a_key_that_is_missing_is_named_or_has_a_default(place):
    document = copy.deepcopy(DEFAULT)
    del document[place[0]]
    if Params.model_fields[place[0]].is_required():
        assert refusal(document) == f"params.yaml: {place[0]}: missing; add it"


@pytest.mark.parametrize(
    ("size", "sizes"),
    [(["small"], {"small": {}}), ("small", {"small": 3}), ("small", {"small": None}), ("small", {1: {}, "s": {}})],
)
def test_a_size_that_is_none_is_refused_by_key(size, sizes):
    message = refusal(DEFAULT | {"size": size, "sizes": sizes})
    assert message is not None
    assert message.startswith("params.yaml: size")
