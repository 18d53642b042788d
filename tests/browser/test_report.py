"""The report as people see it: on a desk and a phone, in light and dark, on paper, without a network."""

import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pandas as pd
import pytest
from playwright.sync_api import Browser, Page

from tests.conftest import World

pytestmark = pytest.mark.browser


@pytest.fixture(params=[(1280, "light"), (390, "light"), (390, "dark")], ids=["desk", "phone", "phone in the dark"])
def page(request, browser: Browser, finished: World) -> Page:
    width, scheme = request.param
    context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme, offline=True)
    page = context.new_page()
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("requestfailed", lambda request: said.append(f"asked for {request.url}"))
    page.goto((finished.folder / "results/tiny/default/report/report.html").as_uri())
    yield page
    context.close()
    assert not said


def luminance(colour: str) -> float:
    """Relative luminance of a CSS colour rgb(r, g, b), WCAG 2.2."""
    channels = [int(value) / 255 for value in re.findall(r"\d+", colour)[:3]]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return sum(weight * c for weight, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def test_it_fits_the_screen_and_can_be_read(page: Page):
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    text, ground = page.evaluate("(s => [s.color, s.backgroundColor])(getComputedStyle(document.body))")
    light, dark = sorted((luminance(text), luminance(ground)), reverse=True)
    assert (light + 0.05) / (dark + 0.05) > 7, "contrast of WCAG's level AAA"
    for picture in page.locator("img").all():
        assert picture.evaluate("image => image.naturalWidth") > 0
    assert page.locator("figure svg").count() >= 4


def test_it_says_what_the_table_says(page: Page, finished: World):
    table = pd.read_csv(finished.folder / "results/tiny/default/compare/table.csv").set_index("arm")
    rows = page.locator("table.arms tbody tr").all()
    shown = {row.locator("th").inner_text(): row.locator("td").all_inner_texts() for row in rows}
    assert sorted(shown) == sorted(table.index)
    for arm, cells in shown.items():
        assert cells[:2] == [f"{table.loc[arm, 'mae']:.2f}", table.loc[arm, "verdict"]]
    assert table["mae"].idxmin() in page.locator(".headline").inner_text()


def test_every_number_leads_to_a_file_or_a_place_in_the_page(page: Page):
    links = page.locator("a").evaluate_all("all => all.map(a => a.href)")
    assert len(links) > 30
    for link in links:
        parts = urlsplit(link)
        assert parts.scheme == "file"
        assert Path(unquote(parts.path)).exists(), link
        if parts.fragment:
            assert page.locator(f"[id='{unquote(parts.fragment)}']").count() == 1, link


def test_it_prints_with_everything_unfolded(page: Page):
    page.emulate_media(media="print")
    assert page.get_by_text("optimizer", exact=False).count() + page.get_by_text("learning_rate").count() > 0
    assert page.pdf(format="A4").startswith(b"%PDF")
