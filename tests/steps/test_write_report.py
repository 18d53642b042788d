"""The report of a study whose errors are known."""

import re
from pathlib import Path

import pytest

from tests.steps.made_up import Study


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder: Path = tmp_path_factory.mktemp("study")
    study = Study(folder)
    return study.report(folder / "report", study.compare(folder / "compare")).read_text("utf-8")


def test_the_report_holds_every_arm_against_constant_poses(page: str):
    (headline,) = re.findall(r'<div class="headline.*?faces \(photographs\).*?</div>', page, re.DOTALL)[-1:]
    assert "Always frontal errs by 0.67° and always the mean pose errs by 9.33°." in headline
    assert "No better than the lower of these two: " in headline
    (table,) = re.findall(r'<table class="arms">.*?</table>', page.split("Errors on faces")[1], re.DOTALL)[:1]
    (row,) = re.findall(r'<tr class="constant"><th scope="row">always frontal</th>.*?</tr>', table, re.DOTALL)
    assert "0.67" in row
    assert "href" not in row, "no run is behind it"
    assert "Not tested on photographs" not in page
