"""The one exception for everything that the user can mend, and how a failed check of values becomes one."""

from typing import Any

from pydantic import ValidationError


class UserError(Exception):
    """Bad input: the message is one line that names the file or key and says how to mend it."""


def brief(reason: object) -> str:
    """The beginning of somebody else's message, or of a damaged file's content, for a message of one line."""
    return " ".join(str(reason).split())[:300]


def _key_path(loc: tuple[int | str, ...], values: Any) -> str:
    """Where in `values` a problem lies; pydantic names the branches of unions on the way, which stand in no file."""
    parts, here = [], values
    for place, part in enumerate(loc):
        is_last = place == len(loc) - 1  # the place of what is missing, too
        if isinstance(here, dict) and (part in here or is_last):
            here = here.get(part)
        elif isinstance(here, list | tuple) and isinstance(part, int) and (part < len(here) or is_last):
            here = here[part] if part < len(here) else None
        else:
            continue
        parts.append(str(part))
    return brief(".".join(parts))


def first_problem(error: ValidationError, file: str, values: Any) -> UserError:
    """One line for the first thing that is wrong with the `values` of a file: key path, what is there, what may be."""
    problems = error.errors(include_url=False)
    problem, key = problems[0], _key_path(problems[0]["loc"], values)
    branches = [other["msg"] for other in problems[1:] if _key_path(other["loc"], values) == key]
    alternatives = [message.removeprefix("Input should be ") for message in branches]
    message = brief(" or ".join([problem["msg"].removeprefix("Value error, "), *alternatives]))
    if problem["type"] == "extra_forbidden":
        return UserError(f"{file}: {key}: unknown key; remove it or mend its spelling")
    if problem["type"] == "missing":
        return UserError(f"{file}: {key}: missing; add it")
    value = problem["input"]
    given = "" if isinstance(value, dict) else f" (given: {brief(repr(value))})"
    if isinstance(value, str) and problem["type"] == "float_type":
        given += ", YAML reads a number such as 1e-3 as text: write 1.0e-3"
    return UserError(f"{file}: {key + ': ' if key else ''}{message}{given}")
