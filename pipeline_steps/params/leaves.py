"""Nested maps as one flat one, as people read parameters: `training.learning_rate`."""

from collections.abc import Mapping
from typing import Any


def leaves(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Values by dotted key, in their order; empty maps are left out.

    pandas.json_normalize puts plain values before nested ones.
    """
    found: dict[str, Any] = {}
    for key, value in values.items():
        found |= leaves(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return found
