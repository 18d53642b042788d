"""The folders of the project as its imports show them: who may know whom."""

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from tests.conftest import ROOT

PACKAGES = ("pipeline_steps", "workflow", "stand_ins", "benchmarks", "drills")
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts): path
    for package in PACKAGES
    for path in (ROOT / package).rglob("*.py")
}


def imported(path: Path) -> set[str]:
    """Full names of all that a module imports, wherever in it: modules, and names within them."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: imports are absolute"
            found |= {f"{node.module}.{alias.name}" for alias in node.names} | {str(node.module)}
    return found


def ours(path: Path) -> set[str]:
    return imported(path) & MODULES.keys()


def folder_of(module: str) -> str:
    """The folder that a module lives in; a module at the top of its package stands for itself."""
    parts = module.split(".")
    return ".".join(parts[:2])


def test_no_folders_import_each_other_in_a_circle():
    graph: dict[str, set[str]] = {}
    for module, path in MODULES.items():
        here = folder_of(module)
        graph.setdefault(here, set()).update({folder_of(other) for other in ours(path)} - {here})
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"a circle: {' <- '.join(error.args[1])}")


def rooms() -> list[str]:
    """Modules of pipeline_steps that are no step and no command."""
    return [m for m in MODULES if m.startswith("pipeline_steps.") and m.count(".") > 1 and not m.endswith("__main__")]


@pytest.mark.parametrize("module", rooms())
def test_library_rooms_import_neither_steps_nor_command_line_code(module: str):
    steps = {other for other in ours(MODULES[module]) if other.count(".") == 1 and other != "pipeline_steps.__init__"}
    assert not steps, "a step is what people and Snakemake call; what others need of it belongs in a folder"
    if not module.startswith("pipeline_steps.job."):
        assert not {"pipeline_steps.job.command_line", "pipeline_steps.job.signals"} & ours(MODULES[module])
        assert not {"typer"} & {name.partition(".")[0] for name in imported(MODULES[module])}


@pytest.mark.parametrize(
    ("library", "knows"),
    [
        ("snakemake", []),
        ("h5py", ["pipeline_steps.images.crop_file"]),
        ("mlflow", [f"pipeline_steps.tracking.{module}" for module in ("models", "served_model", "server", "store")]),
    ],
)
def test_a_library_is_known_in_one_place(library: str, knows: list[str]):
    users = [
        module
        for module, path in MODULES.items()
        if module.startswith("pipeline_steps.") and library in {name.partition(".")[0] for name in imported(path)}
    ]
    assert sorted(users) == knows


def test_tests_mirror_the_folders_that_they_test():
    tested = {path.name for path in (ROOT / "pipeline_steps").iterdir() if path.is_dir() and path.name[0] != "_"}
    mirrored = {path.name for path in (ROOT / "tests").iterdir() if path.is_dir() and path.name[0] != "_"}
    others = {"steps", "workflow", "stand_ins", "drills", "e2e", "browser", "cluster", "docs", "studies", "structure"}
    assert mirrored - others <= tested
