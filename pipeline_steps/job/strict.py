"""The base class of all parameters."""

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, model_validator


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
