"""Which code a step's result depends on."""

import ast
from functools import cache
from pathlib import Path

from pipeline_steps.files import sha256

_ROOT = Path(__file__).resolve().parent.parent
_NEUTRAL = {
    *("params", "recipe", "tracking", "progress", "errors", "step", "files", "registry", "provenance", "worker_pool"),
    *("catalogue", "download", "web", "google_drive", "unfinished", "protocols"),
}
"""Modules, and packages, that cannot change a result: types, paths, messages. Their effect, if any, is in the recipe's
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
        if module not in seen and _NEUTRAL.isdisjoint({module.stem, module.parent.name}):
            seen.add(module)
            waiting += _imports(module)
    seen.update(*(module.parent.glob("*.j2") for module in seen))
    return {str(path.relative_to(_ROOT)): sha256(path) for path in sorted(seen)}
