"""The report and the data card on a desk and a phone, in light and dark: nothing is cut off, broken or overlapped."""

import re
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser, Page

from pipeline_steps.acquisition.catalogue import read_catalogue
from pipeline_steps.figures.histograms import pose_histogram
from pipeline_steps.images.crop_file import CropFile
from pipeline_steps.images.rejected_file import Rejected
from pipeline_steps.reporting.data_card import page as card_page
from pipeline_steps.reporting.data_card import summarise
from tests.steps.made_up import Study

pytestmark = pytest.mark.browser

HIDDEN = """() => {
  const wide = innerWidth, whole = document.documentElement.scrollWidth, found = [];
  if (whole > wide) found.push(`the page is ${whole} wide`);
  for (const box of document.querySelectorAll(".wide:not(.drawing)"))
    if (box.scrollWidth > box.clientWidth) found.push(`${box.ariaLabel}: ${box.scrollWidth} in ${box.clientWidth}`);
  for (const cell of document.querySelectorAll("th, td, dt, dd, p, h1, h2, h3, figcaption, li")) {
    const {left, right} = cell.getBoundingClientRect();
    const text = cell.textContent.trim();
    if (cell.scrollWidth > cell.clientWidth + 1 && cell.clientWidth) found.push(`overflows: ${text}`);
    if (left < 0 || right > wide + 1) found.push(`outside: ${text}`);
  }
  return found;
}"""
OVERLAPPING = """() => {
  const boxes = [...document.querySelectorAll("tbody th, tbody td, thead th, tr > th, tr > td")]
    .map(cell => [cell, cell.getBoundingClientRect()]).filter(([, box]) => box.width && box.height);
  const apart = (a, b) =>
    a.right <= b.left + 1 || b.right <= a.left + 1 || a.bottom <= b.top + 1 || b.bottom <= a.top + 1;
  return boxes.flatMap(([one, a], n) => boxes.slice(n + 1).filter(([, b]) => !apart(a, b))
    .map(([other]) => `${one.textContent.trim()} over ${other.textContent.trim()}`));
}"""
BROKEN = r"""() => {
  const found = [], walker = document.createTreeWalker(document.querySelector("body"), NodeFilter.SHOW_TEXT);
  while (walker.nextNode())
    for (const number of walker.currentNode.data.matchAll(/(?<![\w-])[+-]?\d[\d.,]*(?!\w)/g)) {
      if (walker.currentNode.parentElement.closest("svg, style, script, code, a")) continue;
      const range = document.createRange();
      range.setStart(walker.currentNode, number.index);
      range.setEnd(walker.currentNode, number.index + number[0].length);
      if (new Set([...range.getClientRects()].map(box => box.top)).size > 1) found.push(number[0]);
    }
  return found;
}"""
"""Numbers that stand on two lines."""


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Reports with one baseline and with two, and a data card with every table that a card can have."""
    folder = tmp_path_factory.mktemp("study")
    study = Study(folder)
    found = {}
    for name, baselines in (("one", ["baseline"]), ("two", ["baseline", "pretrained"])):
        found[name] = study.report(folder / "report" / name, study.compare(folder / "compare" / name, *baselines))
    pose = {"n": 122450, "mean": -10.59, "std": 40.04, "min": -179.93, "max": 179.95}
    worst = [f"HELEN_Flip/HELEN_1269874180_1_{n}.jpg" for n in range(3)]
    agreed = {"images": 122450, "disagree": 61225, "worst": worst, "median_deg": 3.91, "limit": "20 degrees"}
    inside = {"images": 122450, "disagree": 0, "worst": [], "limit": "90% of the landmarks inside the box"}
    with CropFile(folder / "crops/rendered/crops.h5") as crops:
        card = summarise(crops, [], read_catalogue()["biwi"])
    card |= {"images": 122450, "archive": "kinect_head_pose_db.tgz", "sha256": "d8" * 32, "official": True}
    card |= {"pose": dict.fromkeys(("yaw", "pitch", "roll"), pose)}
    card |= {"checks": {"pose against landmarks": agreed, "box against landmarks": inside}}
    angles = np.random.default_rng(0).normal(0, 30, (300, 3))
    rejected = [Rejected("hpdb/01/frame_00003_rgb.png", "box [800.0, 8.0, 848.0, 56.0] is outside the 64x64 image")]
    found["card"] = folder / "card.html"
    found["card"].write_text(card_page(card, rejected, pose_histogram(angles), b""))
    return found


@pytest.fixture(params=[(w, s) for w in (390, 1400) for s in ("light", "dark")], ids=lambda of: f"{of[0]} px, {of[1]}")
def page(request, browser: Browser) -> Page:
    width, scheme = request.param
    context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme, offline=True)
    yield context.new_page()
    context.close()


@pytest.mark.parametrize("name", ["one", "two", "card"])
def test_nothing_is_cut_off_broken_or_overlapped(name: str, page: Page, reports: dict[str, Path]):
    page.goto(reports[name].as_uri())
    assert page.locator("td").count() > 20
    assert page.evaluate(HIDDEN) == []
    assert page.evaluate(OVERLAPPING) == []
    assert page.evaluate(BROKEN) == []


def test_a_table_that_has_no_room_is_scrolled_in_its_own_box_with_a_shadow(browser: Browser, reports: dict[str, Path]):
    """Between phone and desk two baselines may be too many for the table; the page itself never moves sideways."""
    page = browser.new_page(viewport={"width": 970, "height": 800})
    page.goto(reports["two"].as_uri())
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    box = page.locator(".wide").first
    assert box.evaluate("box => getComputedStyle(box).overflowX") == "auto"
    assert re.search("gradient.*gradient", box.evaluate("box => getComputedStyle(box).backgroundImage"))
    page.close()
