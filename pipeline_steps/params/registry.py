"""Pretext tasks and data sets register themselves by existing: one module each, found by name."""

import functools
import inspect
import operator
import pkgutil
from importlib import import_module
from typing import Annotated, Any

from pydantic import BaseModel, Field

from pipeline_steps.job.errors import UserError


def kinds(package: str) -> list[str]:
    """Names of the modules in `package` that define a kind: all but `base` and private ones."""
    paths = import_module(package).__path__
    return sorted(m.name for m in pkgutil.iter_modules(paths) if m.name != "base" and not m.name.startswith("_"))


def tagged_union(package: str, base: type[BaseModel]) -> Any:
    """A pydantic union over the one concrete subclass of `base` in every module of `package`, told apart by `kind`.

    Raises UserError where a module defines none or several, where its `kind` differs from the module's name, or where
    the class lacks one of the methods that `base` asks for.
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
            raise UserError(f"{module.__file__}: must define one subclass of {base.__name__}, defines {len(found)}")
        place = f"{module.__file__}: {found[0].__name__}"
        if (field := found[0].model_fields.get("kind")) is None or field.default != kind:
            raise UserError(f'{place}: needs the line kind: Literal["{kind}"] = "{kind}", as the file is named')
        if missing := sorted(found[0].__abstractmethods__):
            raise UserError(f"{place}: lacks {', '.join(missing)}; {base.__module__} says what each has to do")
        classes.append(found[0])
    union = functools.reduce(operator.or_, classes)
    return Annotated[union, Field(discriminator="kind")] if len(classes) > 1 else union
