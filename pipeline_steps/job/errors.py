"""The one exception for everything that the user can fix, and how a failed validation becomes one."""

from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

_SHOWN = 4
"""Problems of a file that are named beside the first; of more, only the number."""


class UserError(Exception):
    """Bad input: the message is one line that names the file or key and says how to fix it."""


def brief(reason: object) -> str:
    """Text from elsewhere, such as a library's message or a corrupt file's content, shortened to fit into one line."""
    return " ".join(str(reason).split())[:300]


def _key_path(loc: tuple[int | str, ...], values: Any, missing: bool = False) -> str:
    """Where in `values` a problem is, without the names of union branches, which pydantic adds and no file contains."""
    parts, here = [], values
    for place, part in enumerate(loc):
        is_missing = missing and place == len(loc) - 1
        if isinstance(here, dict) and (part in here or is_missing):
            here = here.get(part)
        elif isinstance(here, list | tuple) and isinstance(part, int) and (part < len(here) or is_missing):
            here = here[part] if part < len(here) else None
        else:
            continue
        parts.append(str(part))
    return brief(".".join(parts))


def refusal(error: ValidationError, file: str, values: Any) -> UserError:
    """One line for all problems in the `values` of a file: of each its key path, what is wrong, and the value given."""
    by_key: dict[str, list[ErrorDetails]] = {}  # several for one key: of the branches of a union
    for problem in error.errors(include_url=False):
        by_key.setdefault(_key_path(problem["loc"], values, problem["type"] == "missing"), []).append(problem)
    for key, (problem, *_) in [*by_key.items()]:  # what is missed under its right name is not missing, too
        nearest = problem.get("ctx", {}).get("nearest")
        meant = ".".join([*key.split(".")[:-1], str(nearest)])
        if nearest and meant in by_key and by_key[meant][0]["type"] == "missing":
            del by_key[meant]
    first, *others = [": ".join(filter(None, [key, _words(problems)])) for key, problems in by_key.items()]
    more = [f"{len(others) - _SHOWN} more"] if len(others) > _SHOWN else []
    return UserError("; also ".join([f"{file}: {first}", *map(brief, others[:_SHOWN]), *more]))


def _words(problems: list[ErrorDetails]) -> str:
    """What is wrong with one key."""
    first, value = problems[0], problems[0]["input"]
    if first["type"] == "extra_forbidden":
        nearest = first.get("ctx", {}).get("nearest")
        return f"unknown key; did you mean {nearest}?" if nearest else "unknown key; remove it or correct its spelling"
    if first["type"] == "missing":
        return "missing; add it"
    alternatives = [other["msg"].removeprefix("Input should be ") for other in problems[1:]]
    message = brief(" or ".join([first["msg"].removeprefix("Value error, "), *alternatives]))
    given = "" if isinstance(value, dict) else f" (given: {brief(repr(value))})"
    if isinstance(value, str) and first["type"] == "float_type":
        given += "; YAML reads a number such as 1e-3 as text: write 1.0e-3"
    return f"{message}{given}"
