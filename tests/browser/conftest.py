"""Headless Chromium from the system's packages."""

import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.conftest import ROOT

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


@contextmanager
def page_of(model: Path) -> Iterator[str]:
    """The local page of a model, on a free port; its address."""
    command = [sys.executable, "-m", "pipeline_steps.page", str(model), "--port", "0"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as program:
        try:
            assert program.stdout
            found = re.search(r"http://127\.0\.0\.1:\d+", program.stdout.readline())
            assert found
            yield found[0]
        finally:
            program.terminate()
