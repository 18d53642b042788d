"""Which code a step's result depends on."""

import ast
from functools import cache
from pathlib import Path

from pipeline_steps.job.files import sha256

_ROOT = Path(__file__).resolve().parents[2]
_NEUTRAL = (
    *("job/", "tracking/", "params/registry", "params/sections", "params/steps", "splits/protocols"),
    *("acquisition/catalogue", "acquisition/download", "acquisition/web", "acquisition/google_drive"),
    "acquisition/unfinished",
)
"""Folders and modules that cannot change a result: types, files, messages. Their effect, if any, is in the recipe's
values."""


@cache
def _imports(module: Path) -> frozenset[Path]:
    found: set[Path] = set()
    for node in ast.walk(ast.parse(module.read_bytes())):
        names: list[str] = []
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        for name in names:
            path = _ROOT.joinpath(*name.split(".")).with_suffix(".py")
            if name.startswith("pipeline_steps.") and path.exists():
                found.add(path)
    return frozenset(found)


def code_of(*modules: str) -> dict[str, str]:
    """SHA-256, by path, of the given modules of pipeline_steps, all they import of it, and templates beside them."""
    waiting = [_ROOT / "pipeline_steps" / f"{module}.py" for module in modules]
    seen: set[Path] = set()
    while waiting:
        module = waiting.pop()
        if module not in seen and not str(module.relative_to(_ROOT / "pipeline_steps")).startswith(_NEUTRAL):
            seen.add(module)
            waiting += _imports(module)
    seen.update(*(module.parent.glob("*.j2") for module in seen))
    return {str(path.relative_to(_ROOT)): sha256(path) for path in sorted(seen)}
