"""Protocols: the image lists, filters and test subjects that make results comparable, each a file with its source."""

import hashlib
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipeline_steps.job.errors import UserError, first_problem


class Protocol(BaseModel):
    """Which images of a data set count, and who of them is tested on."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

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
        description="file beside this one with a source id a line; all other images are left out",
    )
    test: list[str] | None = Field(default=None, min_length=1, description="subjects that are tested on")
    expected_images: Annotated[int, Field(gt=0)] | None = Field(
        default=None, description="how many images of the whole, official data set it keeps"
    )


def listed_images(protocol: Protocol, path: Path) -> list[str] | None:
    """Source ids that the protocol at `path` keeps, None where it names none; UserError where the list is missing."""
    if protocol.images is None:
        return None
    try:
        lines = (path.parent / protocol.images).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: images: no readable file {protocol.images} beside it") from error
    return [name for line in lines if (name := line.strip())]


def protocol_digest(protocol: Protocol, path: Path) -> str:
    """SHA-256 that stands for the protocol at `path` and its list of images."""
    listed = listed_images(protocol, path)
    return hashlib.sha256(path.read_bytes() + "\n".join(listed or []).encode()).hexdigest()


def read_protocol(path: Path) -> Protocol:
    """Read a protocol; UserError that names the file and key where something is wrong."""
    try:
        values: Any = yaml.safe_load(path.read_bytes())
        return Protocol.model_validate(values)
    except (OSError, yaml.YAMLError) as error:
        raise UserError(f"{path}: not a readable protocol ({str(error).splitlines()[0]})") from error
    except ValidationError as error:
        raise first_problem(error, str(path), values) from error
