"""The table of data sets: complete, typed, and the same in the documentation."""

import pytest
import yaml

from pipeline_steps.acquisition.catalogue import CATALOGUE, as_markdown, read_catalogue
from pipeline_steps.job.errors import UserError
from pipeline_steps.params.registry import kinds
from tests.conftest import ROOT, shown_table

ROWS = yaml.safe_load(CATALOGUE.read_text())


def test_every_data_set_has_a_row_with_its_terms():
    rows = read_catalogue()
    assert sorted(rows) == kinds("pipeline_steps.datasets")
    for row in rows.values():
        assert row.licence
        assert row.accept
        assert row.citation
        assert row.page


def test_the_documentation_shows_this_table():
    shown = shown_table(ROOT / "docs/data.md", "python -m pipeline_steps.acquisition.catalogue")
    assert shown == as_markdown(read_catalogue())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sha256": "abc"}, "aflw2000.sha256: String should match pattern"),
        ({"file": "../x.zip"}, "aflw2000.file: String should match pattern"),
        ({"urls": ["file:///etc/passwd"]}, "aflw2000.urls.0: String should match pattern"),
        ({"bytes": -1}, "aflw2000.bytes: Input should be greater than 0"),
        ({"file": None}, "aflw2000: access is `download` where, and only where"),
        ({"licens": "x"}, "aflw2000.licens: unknown key; did you mean licence?"),
    ],
)
def test_an_error_names_the_row_and_field(tmp_path, change, message):
    (tmp_path / "table.yaml").write_text(yaml.safe_dump({"aflw2000": ROWS["aflw2000"] | change}))
    with pytest.raises(UserError) as error:
        read_catalogue(tmp_path / "table.yaml")
    assert f"table.yaml: {message}" in str(error.value)
