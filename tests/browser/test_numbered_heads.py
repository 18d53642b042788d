"""Heads on the local page bear the numbers of the list below the picture."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.browser.conftest import page_of
from tests.prediction.made_up import write_model

pytestmark = pytest.mark.browser

KEEP_TEXTS = """
window.texts = [];
const draw = CanvasRenderingContext2D.prototype.fillText;
CanvasRenderingContext2D.prototype.fillText = function (text, x, y) {
  window.texts.push([String(text), x, y]);
  return draw.call(this, text, x, y);
};
"""


def head(left: int, top: int, yaw: float) -> dict:
    box = [left, top, left + 200, top + 200]
    return {"box": box, "yaw": yaw, "pitch": 0, "roll": 0, "matrix": np.eye(3).tolist(), "confidence": 0.9}


def test_numbers_in_the_picture_are_those_of_the_list(tmp_path: Path, browser):
    """Three heads, of which one reaches beyond the picture's upper left corner."""
    heads = [head(400, 150, 1.5), head(-40, -30, 2.5), head(100, 200, 3.5)]
    Image.new("RGB", (640, 480), (90, 120, 90)).save(tmp_path / "three.png")
    model = write_model(tmp_path / "model.onnx")
    with page_of(model) as url:
        page = browser.new_page()
        page.add_init_script(KEEP_TEXTS)
        page.route("**/predict?*", lambda route: route.fulfill(json=heads))
        page.goto(url)
        page.set_input_files("#file", tmp_path / "three.png")
        page.wait_for_selector("#faces tbody tr")
        drawn = {text: (x, y) for text, x, y in page.evaluate("texts")}
        listed = [row.split("\t")[:2] for row in page.locator("#faces tbody tr").all_inner_texts()]
        seen = np.reshape(
            page.evaluate("[...document.getElementById('view').getContext('2d').getImageData(0, 0, 60, 60).data]"),
            (60, 60, 4),
        )
        page.close()
    assert listed == [["1", "1.5"], ["2", "2.5"], ["3", "3.5"]], json.dumps(listed)
    assert sorted(drawn) == ["1", "2", "3"]
    for number, (left, top) in {"1": (400, 150), "2": (0, 0), "3": (100, 200)}.items():
        x, y = drawn[number]
        assert left <= x <= left + 60, f"{number} stands in its box's upper left corner"
        assert top <= y <= top + 60
    assert (seen[..., :3] > 250).all(2).sum() > 20, "white on dark, within the picture"
