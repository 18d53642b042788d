"""Headless Chromium from the system's packages."""

import shutil
from collections.abc import Callable, Iterator

import pytest

sync_api = pytest.importorskip("playwright.sync_api")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


Launch = Callable[..., "sync_api.Browser"]


@pytest.fixture(scope="session")
def launch() -> Iterator[Launch]:
    """Start a browser, with further arguments."""
    if CHROMIUM is None:
        pytest.skip("no Chromium here (on Debian: apt-get install chromium)")
    with sync_api.sync_playwright() as playwright:
        yield lambda *arguments: playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", *arguments])


@pytest.fixture(scope="session")
def browser(launch: Launch) -> "Iterator[sync_api.Browser]":
    browser = launch()
    yield browser
    browser.close()
