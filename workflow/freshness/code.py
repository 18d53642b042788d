"""Which code a step's result depends on: the modules that it imports, by what they do, not by how they are written."""

import ast
import hashlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from pipeline_steps.job.files import sha256
from workflow.layout import ROOT

STEPS = ROOT / "pipeline_steps"
CHANGE_NO_RESULT = (
    *("job/", "tracking/", "params/registry", "params/sections", "params/steps", "splits/protocols"),
    *("acquisition/catalogue", "acquisition/download", "acquisition/web", "acquisition/google_drive"),
    *("acquisition/unfinished", "checks/head_size"),
)
"""Folders and modules that only carry values, files and messages, or stop a step; what they do to a result is in the
recipe.
"""


@cache
def _tree(module: Path) -> ast.Module:
    return ast.parse(module.read_bytes())


@cache
def _imports(module: Path) -> frozenset[Path]:
    found: set[Path] = set()
    for node in ast.walk(_tree(module)):
        names: list[str] = []
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        for name in names:
            path = ROOT.joinpath(*name.split(".")).with_suffix(".py")
            if name.startswith("pipeline_steps.") and path.exists():
                found.add(path)
    return frozenset(found)


def _is_for_people(node: object) -> bool:
    """Whether a part of the tree is text for people: a string on its own, such as a docstring, or the description of a
    parameter.
    """
    if isinstance(node, ast.keyword):
        return node.arg in ("description", "help")
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _parts(value: object) -> Iterator[str]:
    """The syntax tree as a sequence of strings; empty fields are left out, as the Python versions differ in them."""
    if isinstance(value, ast.AST):
        yield f"({type(value).__name__}"
        for name, field in ast.iter_fields(value):
            if field is not None and field != [] and name not in ("ctx", "kind", "type_comment"):
                yield name
                yield from _parts(field)
        yield ")"
    elif isinstance(value, list):
        yield "["
        for item in value:
            if not _is_for_people(item):
                yield from _parts(item)
        yield "]"
    else:
        yield f"{type(value).__name__} {value!r}"


@cache
def checksum(path: Path) -> str:
    """SHA-256 of a file; of a Python module that of its syntax tree, without text for people."""
    if path.suffix != ".py":
        return sha256(path)
    return hashlib.sha256("\0".join(_parts(_tree(path))).encode()).hexdigest()


def code_of(*modules: str) -> dict[str, str]:
    """Checksums, by path, of modules of pipeline_steps, all that they import of it, and the templates beside them."""
    waiting = [STEPS / f"{module}.py" for module in modules]
    seen: set[Path] = set()
    while waiting:
        module = waiting.pop()
        if module not in seen and not module.relative_to(STEPS).as_posix().startswith(CHANGE_NO_RESULT):
            seen.add(module)
            waiting += _imports(module)
    seen.update(*(module.parent.glob("*.j2") for module in seen))
    return {path.relative_to(ROOT).as_posix(): checksum(path) for path in sorted(seen)}
