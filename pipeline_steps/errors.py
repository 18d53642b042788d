"""The one exception for everything that the user can mend, and how a failed check of values becomes one."""

from pydantic import ValidationError


class UserError(Exception):
    """Bad input: the message is one line that names the file or key and says how to mend it."""


def brief(reason: object) -> str:
    """The beginning of somebody else's message, or of a damaged file's content, for a message of one line."""
    return " ".join(str(reason).split())[:300]


def first_problem(error: ValidationError, file: str) -> UserError:
    """One line for the first thing that is wrong: file, key path, what stands there, what is allowed."""
    problem = error.errors(include_url=False)[0]
    key = brief(".".join(str(part) for part in problem["loc"]))
    message = brief(problem["msg"].removeprefix("Value error, "))
    if problem["type"] == "extra_forbidden":
        return UserError(f"{file}: {key}: unknown key; remove it or mend its spelling")
    if problem["type"] == "missing":
        return UserError(f"{file}: {key}: missing; add it")
    value = problem["input"]
    given = "" if isinstance(value, dict) else f" (given: {brief(repr(value))})"
    if isinstance(value, str) and problem["type"] == "float_type":
        given += ", YAML reads a number such as 1e-3 as text: write 1.0e-3"
    return UserError(f"{file}: {key + ': ' if key else ''}{message}{given}")
