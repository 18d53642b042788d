"""Who is trained on, labelled, validated and tested on: the file that `split_dataset` writes and the others read."""

import json
from pathlib import Path
from typing import Any

from pipeline_steps.errors import UserError


def read_split(path: Path) -> dict[str, list[str]]:
    """Source ids by part: train, labelled, validation, test."""
    try:
        split: dict[str, Any] = json.loads(path.read_text())
        return {part: list(split[part]) for part in ("train", "labelled", "validation", "test")}
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"{path}: not a readable split ({error}); delete it and run snakemake again") from error
