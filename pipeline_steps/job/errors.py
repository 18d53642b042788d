"""The one exception for everything that the user can fix, and how a failed validation becomes one."""

from typing import Any

from pydantic import ValidationError


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


def first_problem(error: ValidationError, file: str, values: Any) -> UserError:
    """One line for the first problem in the `values` of a file: key path, what is wrong, and the value given."""
    problems = error.errors(include_url=False)
    problem = problems[0]
    key = _key_path(problem["loc"], values, problem["type"] == "missing")
    branches = [other["msg"] for other in problems[1:] if _key_path(other["loc"], values) == key]
    alternatives = [message.removeprefix("Input should be ") for message in branches]
    message = brief(" or ".join([problem["msg"].removeprefix("Value error, "), *alternatives]))
    if problem["type"] == "extra_forbidden":
        return UserError(f"{file}: {key}: unknown key; remove it or correct its spelling")
    if problem["type"] == "missing":
        return UserError(f"{file}: {key}: missing; add it")
    value = problem["input"]
    given = "" if isinstance(value, dict) else f" (given: {brief(repr(value))})"
    if isinstance(value, str) and problem["type"] == "float_type":
        given += "; YAML reads a number such as 1e-3 as text: write 1.0e-3"
    return UserError(f"{file}: {key + ': ' if key else ''}{message}{given}")
