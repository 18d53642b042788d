"""Protocols: lists of images, filters and test subjects that make results comparable, each a file with its source."""

import hashlib
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Field, ValidationError, model_validator

from pipeline_steps.job.errors import UserError, refusal
from pipeline_steps.job.strict import Strict
from pipeline_steps.job.yaml_file import read_yaml


class Protocol(Strict):
    """Which images of a data set are used, and which subjects are tested on."""

    title: str
    source: str = Field(description="paper, repository and file that the rule or list comes from")
    verified: bool = Field(description="whether it was compared with that source")
    notes: str = ""
    max_angle: Annotated[float, Field(gt=0, le=180)] | None = Field(
        default=None, description="leave out images with a yaw, pitch or roll beyond this many degrees"
    )
    images: str | None = Field(
        default=None,
        pattern=r"^[^/]+\.txt$",
        description="file in the same folder with one source id per line; all other images are left out",
    )
    test: list[str] | None = Field(default=None, min_length=1, description="subjects that are tested on")
    expected_images: Annotated[int, Field(gt=0)] | None = Field(
        default=None, description="how many images of the complete, official data set it keeps"
    )
    expected_test_images: Annotated[int, Field(gt=0)] | None = Field(
        default=None, description="how many of these show the subjects of `test`"
    )

    @model_validator(mode="after")
    def _test_images_of_test_subjects(self) -> Self:
        if self.expected_test_images is not None and self.test is None:
            raise ValueError("expected_test_images: `test` names no subjects; give expected_images alone")
        return self

    def official_test_images(self, everyone: bool) -> int | None:
        """How many images the test set has in the complete, official data set: the 1,969 of "297 of 1,969 images".

        everyone: whether all subjects are tested on, at once or in folds. None where this is not known, or where the
        test subjects are drawn, which makes no official test set.
        """
        if self.test is not None:
            return self.expected_test_images
        return self.expected_images if everyone else None


def read_protocol(path: Path) -> Protocol:
    """Read a protocol; UserError that names the file and key where something is wrong."""
    try:
        values: Any = read_yaml(path)
        return Protocol.model_validate(values)
    except OSError as error:
        raise UserError(f"{path}: not a readable protocol ({str(error).splitlines()[0]})") from error
    except ValidationError as error:
        raise refusal(error, str(path), values) from error


def listed_images(protocol: Protocol, path: Path) -> list[str] | None:
    """Source ids that the protocol at `path` keeps, None where it has no list; UserError where the list is missing."""
    if protocol.images is None:
        return None
    try:
        lines = (path.parent / protocol.images).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: images: no readable file {protocol.images} in the same folder; add it") from error
    return [name for line in lines if (name := line.strip())]


def protocol_checksum(protocol: Protocol, path: Path) -> str:
    """SHA-256 of the protocol at `path` together with its list of images."""
    listed = listed_images(protocol, path)
    return hashlib.sha256(path.read_bytes() + "\n".join(listed or []).encode()).hexdigest()
