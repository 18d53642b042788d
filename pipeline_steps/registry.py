"""Pretext tasks and data sets register themselves by existing: one module each, found by name."""

import functools
import inspect
import operator
import pkgutil
from importlib import import_module
from typing import Annotated, Any

from pydantic import BaseModel, Field


def kinds(package: str) -> list[str]:
    """Names of the modules in `package` that define a kind: all but `base` and private ones."""
    paths = import_module(package).__path__
    return sorted(m.name for m in pkgutil.iter_modules(paths) if m.name != "base" and not m.name.startswith("_"))


def tagged_union(package: str, base: type[BaseModel]) -> Any:
    """A pydantic union over the one concrete subclass of `base` in every module of `package`, told apart by `kind`.

    Raises TypeError where a module defines none or several, or where its `kind` differs from the module's name.
    """
    classes: list[Any] = []
    for kind in kinds(package):
        module = import_module(f"{package}.{kind}")
        found = [
            c
            for c in vars(module).values()
            if inspect.isclass(c) and issubclass(c, base) and c.__module__ == module.__name__
        ]
        if len(found) != 1:
            raise TypeError(
                f"{module.__name__} must define exactly one subclass of {base.__name__}, found {len(found)}"
            )
        if found[0].model_fields["kind"].default != kind:
            raise TypeError(f'{module.__name__}.{found[0].__name__}: kind must be Literal["{kind}"] = "{kind}"')
        classes.append(found[0])
    union = functools.reduce(operator.or_, classes)
    return Annotated[union, Field(discriminator="kind")] if len(classes) > 1 else union
