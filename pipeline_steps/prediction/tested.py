"""What an exported model says of its tests where it is used: its errors, beside those of one answer to every image.

Tests crop heads by the data's own boxes. How far off the faces are that `predict` finds is told beside them.
"""

import json
from collections.abc import Mapping, Sequence

from pydantic import TypeAdapter, ValidationError

from pipeline_steps.job.strict import Strict

KEY, FOUND = "tested", "found_faces"
"""Of the metadata inside an exported model: a list of `ErrorsOn`, and `FoundFaces`."""
FEW = 100
"""Images below which a test on images of a kind that nobody told does not count as one on photographs."""


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
        """Such as: 8.2 degrees on rendered heads (rendered, 600 images), always frontal 16.9."""
        images = f"{self.images:,} {'validation ' if self.part == 'validation' else ''}images"
        parts = [f"{self.errors['mae']:.1f} degrees on {self.kind} ({self.dataset}, {images})"]
        parts += [f"{name} {errors['mae']:.1f}" for name, errors in self.constants.items()]
        return ", ".join(parts) + ("" if self.beats_constants else ": no better than one answer to every image")


class FoundFaces(Strict):
    """Errors by the boxes that the detector finds and by the data's own, on crops of validation people; in degrees.

    faces_found: share of the crops searched in which there is a face; both errors are of these.
    """

    searched_images: float
    faces_found: float
    found_box_median_geodesic_error: float
    own_box_median_geodesic_error: float

    @property
    def sentence(self) -> str:
        """Such as: median geodesic error 11.3 degrees where heads are cropped by found faces, 7.8 by own boxes."""
        return (
            f"median geodesic error {self.found_box_median_geodesic_error:.1f} degrees where heads are cropped by "
            f"found faces, {self.own_box_median_geodesic_error:.1f} by the data's own boxes, no face found in "
            f"{1 - self.faces_found:.0%} (of {self.searched_images:.0f} crops of validation people)"
        )


def not_on_photographs(tests: Sequence[ErrorsOn]) -> bool:
    """Whether the model was tested, but on rendered heads alone, or else on FEW images of a kind that nobody told."""
    return not any(
        test.kind == "photographs" or (test.kind != "rendered heads" and test.images >= FEW) for test in tests
    )


def as_metadata(tests: Sequence[ErrorsOn]) -> str:
    """The tests as text for the metadata of a model."""
    return json.dumps([test.model_dump() for test in tests])


def notice(about: Mapping[str, str]) -> str:
    """One line on a model's tests and on found faces, from its metadata, for people who are about to use it."""
    if KEY not in about:
        return "how good it is was not stored when it was exported; export it again"
    try:
        tests = TypeAdapter(list[ErrorsOn]).validate_json(about[KEY])
        found = [FoundFaces.model_validate_json(about[FOUND]).sentence] if FOUND in about else []
    except ValidationError:
        return "how good it is was stored by another version of this program; export it again"
    if not tests:
        return "never tested"
    unlike = ["not tested on photographs"] if not_on_photographs(tests) else []
    said = "; ".join([*(test.sentence for test in tests), *unlike, *found])
    return f"mean absolute error by the data's own boxes {said}"
