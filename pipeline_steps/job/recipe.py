"""What a job is asked to do: its step, parameters, code and inputs. A recipe's fingerprint stands for all of them.

The workflow writes a recipe for every job before it runs anything. The step reads its parameters from it and, when it
has finished, leaves a copy beside the results, sealed (`pipeline_steps.job.seal`).
"""

import hashlib
import json
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipeline_steps.job.errors import UserError

P = TypeVar("P", bound=BaseModel)
RECIPE = "recipe.json"
"""Name of the copy beside the results."""


class _Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class JobInput(_Frozen):
    """The results of another job, identified by that job's fingerprint."""

    kind: Literal["job"] = "job"
    fingerprint: str


class ArchiveInput(_Frozen):
    """A data set's archive: its SHA-256 or, before a first download whose checksum nobody published, its edition."""

    kind: Literal["archive"] = "archive"
    sha256: str | None = None
    edition: str | None = None


class FileInput(_Frozen):
    """A file that the user names, such as initial weights."""

    kind: Literal["file"] = "file"
    sha256: str


class ProtocolInput(_Frozen):
    """A protocol of a data set together with its list of images."""

    kind: Literal["protocol"] = "protocol"
    sha256: str


Input = Annotated[JobInput | ArchiveInput | FileInput | ProtocolInput, Field(discriminator="kind")]


class Recipe(_Frozen):
    """step: the name of the module. job: names that distinguish this job from others of its step: study, arm, seed.

    params: the step's parameters, resolved. code: checksum of every module that the step imports, by path.
    inputs: by role, such as `crops`.
    """

    step: str
    job: dict[str, str | int]
    params: dict[str, Any]
    code: dict[str, str] = {}
    inputs: dict[str, Input] = {}

    def text(self) -> str:
        """Canonical JSON."""
        return json.dumps(self.model_dump(mode="json"), indent=2, sort_keys=True) + "\n"

    @property
    def fingerprint(self) -> str:
        """16 hexadecimal digits for everything in the recipe except the names in `job`."""
        content = self.model_dump(mode="json", exclude={"job"})
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]

    def params_as(self, model: type[P]) -> P:
        """The parameters as the step's own type; UserError where they do not fit it."""
        try:
            return model.model_validate_json(json.dumps(self.params))
        except ValidationError as error:
            problem = error.errors(include_url=False)[0]
            raise UserError(
                f"recipe of {self.step}: params.{'.'.join(map(str, problem['loc']))}: {problem['msg']}"
            ) from error


def read_recipe(path: Path) -> Recipe:
    """Read a recipe; UserError where it is missing, cut off, or not a recipe."""
    try:
        return Recipe.model_validate_json(path.read_text())
    except (OSError, ValidationError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(
            f"{path}: not a readable recipe ({reason}); run the step through snakemake to make one"
        ) from error
