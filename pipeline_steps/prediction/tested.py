"""What an exported model says of its tests where it is used: its errors, beside those of one answer to every image."""

import json
from collections.abc import Mapping, Sequence

from pydantic import TypeAdapter, ValidationError

from pipeline_steps.job.strict import Strict

KEY = "tested"
"""Of the metadata inside an exported model."""


class ErrorsOn(Strict):
    """One test of a model; kind: of its images. Errors in degrees, by their names, as far as labels allow them.

    constants: errors of poses that are the same for every image, by their names.
    """

    dataset: str
    kind: str
    part: str
    images: int
    flip_test: bool
    errors: dict[str, float]
    constants: dict[str, dict[str, float]]

    @property
    def beats_constants(self) -> bool:
        """Whether the mean absolute error is below that of each constant pose."""
        return all(self.errors["mae"] < errors["mae"] for errors in self.constants.values())

    @property
    def sentence(self) -> str:
        """Such as: 8.2 degrees on rendered heads (rendered), always frontal 16.9, always the mean pose 16.5."""
        where = self.dataset + (", validation images" if self.part == "validation" else "")
        parts = [f"{self.errors['mae']:.1f} degrees on {self.kind} ({where})"]
        parts += [f"{name} {errors['mae']:.1f}" for name, errors in self.constants.items()]
        return ", ".join(parts) + ("" if self.beats_constants else ": no better than one answer to every image")


def not_on_photographs(tests: Sequence[ErrorsOn]) -> bool:
    """Whether the model was tested, but on rendered heads alone."""
    return all(test.kind == "rendered heads" for test in tests)


def as_metadata(tests: Sequence[ErrorsOn]) -> str:
    """The tests as text for the metadata of a model."""
    return json.dumps([test.model_dump() for test in tests])


def notice(about: Mapping[str, str]) -> str:
    """One line on a model's tests, from its metadata, for people who are about to use it."""
    if KEY not in about:
        return "how good it is was not stored when it was exported; export it again"
    try:
        tests = TypeAdapter(list[ErrorsOn]).validate_json(about[KEY])
    except ValidationError:
        return "how good it is was stored by another version of this program; export it again"
    if not tests:
        return "never tested"
    errors = "; ".join(test.sentence for test in tests)
    return f"mean absolute error {errors}" + ("; not tested on photographs" if not_on_photographs(tests) else "")
