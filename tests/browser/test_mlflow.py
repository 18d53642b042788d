"""MLflow in a real browser, as `make ui` opens it: a study's trainings, best first, compared and as curves."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress

import pandas as pd
import pytest
import requests
from playwright.sync_api import Browser, Page

from tests.conftest import ROOT, World

pytestmark = [pytest.mark.browser, pytest.mark.workflow]
WAIT = 120_000  # milliseconds: the first pages of a server that has just started come slowly


def answers(address: str) -> None:
    """Return once the server at an address does."""
    for _ in range(120):
        with suppress(requests.ConnectionError):
            assert requests.get(address, timeout=60).ok
            return
        time.sleep(1)
    pytest.fail(f"{address} does not answer")


@pytest.fixture(scope="module")
def link(finished: World) -> Iterator[str]:
    """The link that `make ui` prints for the finished study."""
    command = [sys.executable, "-m", "pipeline_steps.tracking", "ui"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        command, cwd=finished.folder, env=environment, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as program:
        assert program.stdout
        printed = [program.stdout.readline() for _ in range(2)]
        assert re.fullmatch(r"MLflow: http://127\.0\.0\.1:\d+\n", printed[0])
        name, found = printed[1].strip().split(": ", 1)
        assert name == "headpose-tiny"
        answers(found.split("#")[0])
        yield found
        os.killpg(program.pid, signal.SIGTERM)


@pytest.fixture
def page(link: str, browser: Browser) -> Iterator[Page]:
    page = browser.new_page(viewport={"width": 1500, "height": 1000})
    page.set_default_timeout(WAIT)
    yield page
    page.close()


@pytest.fixture(scope="module")
def errors(finished: World) -> "pd.Series[float]":
    """Mean absolute error on the test images in degrees by arm, least first."""
    table = pd.read_csv(finished.folder / "results/tiny/default/compare/table.csv", index_col="arm")
    return table.loc[table["verdict"] != "constant", "mae"].sort_values()


def test_the_link_lists_the_trainings_by_test_error(page: Page, link: str, errors: "pd.Series[float]"):
    page.goto(link)
    page.get_by_text("finetune/baseline/seed0").wait_for()
    shown = page.locator(".ag-center-cols-container [col-id='metrics.`test/rendered/mae`']").all_inner_texts()
    assert [float(text) for text in shown] == pytest.approx(errors.to_list())
    assert page.locator(".ag-center-cols-container [col-id='tags.`arm`']").all_inner_texts() == errors.index.to_list()
    page.get_by_text(f"Lowest mae on rendered: {errors.index[0]}, {errors.iloc[0]:.2f} degrees").wait_for()


def test_selected_trainings_are_compared_by_parameter_and_error(page: Page, link: str, errors: "pd.Series[float]"):
    page.goto(link)
    page.get_by_text("finetune/baseline/seed0").wait_for()
    page.locator(".ag-header-select-all input:visible").first.check()
    page.get_by_role("button", name="Compare").click()
    page.get_by_text("Comparing 4 Runs from 1 Experiment").wait_for()
    metrics, values = (page.locator("[role=grid]").nth(place) for place in range(2))  # side by side, line by line
    metrics.scroll_into_view_if_needed()
    values.hover()
    for _ in range(30):  # only the lines in sight are in the page
        if metrics.get_by_text("test/rendered/mae", exact=True).count():
            break
        page.mouse.wheel(0, 90)
        page.wait_for_timeout(500)
    line = metrics.inner_text().split("\n").index("test/rendered/mae")
    shown = values.inner_text().split("\n")[len(errors) * line :][: len(errors)]
    assert [float(text) for text in shown] == pytest.approx(errors.to_list(), abs=5e-3)
    assert page.locator("tr", has_text="auxiliary.puzzling.weight").first.is_visible()


def test_charts_hold_the_validation_error_of_every_epoch(page: Page, link: str):
    page.goto(f"{link}&compareRunsMode=CHART")
    page.get_by_placeholder("Search metric charts").fill("val_geodesic_deg")
    page.get_by_text("val_geodesic_deg").first.wait_for()
    page.locator(".js-plotly-plot .trace").first.wait_for(state="attached")
