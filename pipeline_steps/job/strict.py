"""The base class of all parameters."""

import difflib
from collections.abc import Mapping
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, ModelWrapValidatorHandler, ValidationError, model_validator
from pydantic_core import InitErrorDetails


class Strict(BaseModel):
    """Refuses unknown keys, wrong types, NaN and infinity; values cannot be changed afterwards.

    renamed: the new name of every key that has been renamed; the old one is refused with the new one in the message.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)

    renamed: ClassVar[Mapping[str, str]] = {}

    @model_validator(mode="before")
    @classmethod
    def _refuse_renamed(cls, values: Any) -> Any:
        for old, new in cls.renamed.items():
            if isinstance(values, dict) and old in values:
                raise ValueError(f"{old} is now called {new}; rename this key")
        return values

    @model_validator(mode="wrap")
    @classmethod
    def _suggest(cls, values: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        """Put the known key that is nearest to an unknown one into the error's context, as `nearest`."""
        try:
            return handler(values)
        except ValidationError as error:
            problems = error.errors(include_url=False)
            if not any(_is_unknown(problem["loc"], problem["type"]) for problem in problems):
                raise
            details = [
                InitErrorDetails(
                    type=problem["type"],
                    loc=problem["loc"],
                    input=problem["input"],
                    ctx=cls._nearest(problem["loc"][0])
                    if _is_unknown(problem["loc"], problem["type"])
                    else problem.get("ctx", {}),
                )
                for problem in problems
            ]
            raise ValidationError.from_exception_data(error.title, details) from None

    @classmethod
    def _nearest(cls, key: int | str) -> dict[str, str]:
        found = difflib.get_close_matches(str(key), cls.model_fields, 1)
        return {"nearest": found[0]} if found else {}


def _is_unknown(loc: tuple[int | str, ...], kind: str) -> bool:
    """Whether a problem is an unknown key of the model itself."""
    return kind == "extra_forbidden" and len(loc) == 1
