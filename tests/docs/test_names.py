"""Pages name nothing that is gone: files, modules and make's targets that they mention are there."""

import re
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.conftest import ROOT

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", ROOT / "studies/README.md"]
PAGES += sorted((ROOT / "docs").glob("*.md"))
FOLDERS = "pipeline_steps|workflow|studies|tests|docs|drills|benchmarks|stand_ins|profiles"
WRITTEN_BY_THE_READER = {"mirrored", "portraits", "photos", "elsewhere", "NAME"}
"""Files that docs/extending.md has its reader write."""


def without_code_addresses(text: str) -> str:
    """A page without links to elsewhere and without other repositories' files."""
    return re.sub(r"https?://\S+|github\.com/\S+", "", text)


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_files_that_a_page_names_exist(page: Path):
    named = re.findall(rf"(?<![\w/.-])((?:{FOLDERS})/[\w./-]*\w)", without_code_addresses(page.read_text("utf-8")))
    expected = {name for name in named if Path(name).stem not in WRITTEN_BY_THE_READER}
    assert not {name for name in expected if not (ROOT / name).exists()}


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_links_of_a_page_lead_somewhere(page: Path):
    links = re.findall(r"\]\((?!https?:|#|mailto:)([^)#\s]+)", page.read_text("utf-8"))
    assert not {link for link in links if not (page.parent / link).exists()}


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_commands_that_a_page_names_exist(page: Path):
    text = page.read_text("utf-8")
    modules = set(re.findall(r"python -m ([a-z_]+(?:\.[a-z_]+)*)", text))
    assert not {module for module in modules if find_spec(module) is None}
    targets = set(re.findall(r"`make ([a-z]+)", text)) | set(re.findall(r"^make ([a-z]+)", text, re.M))
    known = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.M))
    gone = {"report"} if page.name == "CHANGELOG.md" else set()  # the change log says that it went
    assert targets - gone <= known
