"""The local page after something went wrong: nothing of an earlier picture stays beside the message."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser

from tests.browser.conftest import page_of
from tests.prediction.made_up import write_model

pytestmark = pytest.mark.browser
SAID = {"no image": "broken.png is not", "refused": "why", "ended": "start it again", "no camera": "camera cannot"}
"""What the page says, by what went wrong."""


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The page of a model that answers to every image, without any training."""
    model = write_model(tmp_path_factory.mktemp("model") / "model.onnx")
    with page_of(model) as url:
        yield url


@pytest.mark.parametrize("failure", list(SAID))
def test_nothing_of_an_earlier_picture_stays_under_an_error(
    failure: str, address: str, tmp_path: Path, browser: Browser
):
    picture = tmp_path / "grey.png"
    Image.fromarray(np.full((64, 64, 3), 99, np.uint8)).save(picture)
    page = browser.new_page()
    page.goto(address)
    page.check("#whole")
    page.set_input_files("#file", picture)
    page.wait_for_selector("#faces tbody tr")
    if failure == "no image":
        (tmp_path / "broken.png").write_text("not a picture")
        page.set_input_files("#file", tmp_path / "broken.png")
    elif failure == "no camera":
        page.click("#camera")
    else:
        refused = {"status": 422, "json": {"detail": "Not an image that can be read: why"}}
        page.route("**/predict?*", lambda route: route.abort() if failure == "ended" else route.fulfill(**refused))
        page.check("#flip")
    page.locator("#said", has_text=SAID[failure]).wait_for()
    assert not page.locator("#view").is_visible()
    assert not page.locator("#faces").is_visible()
    assert page.locator("#faces tbody tr").count() == 0
    assert page.locator("#hint").is_visible()
    page.unroute_all()
    page.set_input_files("#file", [])
    page.set_input_files("#file", picture)
    page.wait_for_selector("#faces tbody tr")
    assert page.locator("#view").is_visible()
    page.close()
