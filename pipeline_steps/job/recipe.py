"""A recipe says all that a job's result depends on: its step, resolved parameters, code, and its inputs' recipes.

The workflow writes a recipe for every job before it runs anything; a step reads its parameters from it and, once all
results are in place, puts a copy beside them as `recipe.json`. Equal recipes mean an up-to-date result, on any machine.
"""

import hashlib
import json
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from pipeline_steps.job.errors import UserError
from pipeline_steps.job.files import sha256, write_text

P = TypeVar("P", bound=BaseModel)


class Recipe(BaseModel):
    """step: the module's name. job: what tells this job from the step's others, such as study, arm and seed.

    code: SHA-256 of every module that the step imports, by path. inputs: key of the recipe behind every input, by role;
    for a file from outside, its SHA-256. results: size in bytes of every file that the job made, by name, and digests:
    their SHA-256; none before.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    step: str
    job: dict[str, str | int]
    params: dict[str, Any]
    code: dict[str, str] = {}
    inputs: dict[str, str] = {}
    results: dict[str, int] = {}
    digests: dict[str, str] = {}

    def text(self) -> str:
        """Canonical JSON."""
        return json.dumps(self.model_dump(mode="json"), indent=2, sort_keys=True) + "\n"

    @property
    def key(self) -> str:
        """16 hexadecimal digits that stand for the whole recipe but its `job` names and what is said of the results."""
        content = self.model_dump(mode="json", exclude={"job", "results", "digests"})
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]

    def params_as(self, model: type[P]) -> P:
        """The parameters, typed; UserError where they do not fit the step."""
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


class Inputs:
    """Files that a step reads: as they were made when it begins, and still so when it ends.

    Raises UserError where a file's content is not what was sealed beside it; one from outside has no seal.
    """

    def __init__(self, *paths: Path) -> None:
        self.stamps = {path: _stamp(path) for path in paths}
        for path in paths:
            sealed = path.with_name("recipe.json")
            if sealed.exists() and read_recipe(sealed).digests.get(path.name, "") not in ("", sha256(path)):
                raise UserError(
                    f"{path}: its content is not what was made (another SHA-256); delete {path.parent} and run "
                    "snakemake again"
                )

    def require_unchanged(self) -> None:
        """Raise UserError where a file has been written to, or replaced, since the step began."""
        for path, stamp in self.stamps.items():
            if _stamp(path) != stamp:
                raise UserError(f"{path}: changed while this job was reading it; run snakemake again")


def _stamp(path: Path) -> tuple[int, int, int] | None:
    if not path.exists():
        return None
    status = path.stat()
    return status.st_ino, status.st_size, status.st_mtime_ns


def seal(recipe: Recipe, path: Path, inputs: Inputs | None = None) -> None:
    """Put the recipe, with the results' sizes and digests, beside finished results: the very last thing a step does.

    Raises UserError, and seals nothing, where an input has changed meanwhile.
    """
    if inputs:
        inputs.require_unchanged()
    made = sorted(file for file in path.parent.iterdir() if file.is_file() and file != path and file.name[0] != ".")
    known = {"results": {file.name: file.stat().st_size for file in made}, "digests": {f.name: sha256(f) for f in made}}
    sealed = recipe.model_copy(update=known)
    write_text(path, sealed.text())


def is_made_by(recipe: Recipe, folder: Path) -> bool:
    """Whether the results in a folder were made by this very recipe."""
    try:
        made = read_recipe(folder / "recipe.json")
    except UserError:
        return False
    return made.model_copy(update={"results": {}, "digests": {}}).text() == recipe.text()


def is_damaged(folder: Path) -> bool:
    """Whether results that were finished have been cut off since, or their recipe has."""
    if not (folder / "recipe.json").exists():
        return False
    try:
        sealed = read_recipe(folder / "recipe.json").results
    except UserError:
        return True
    return any((folder / name).exists() and (folder / name).stat().st_size != size for name, size in sealed.items())
