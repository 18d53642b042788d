"""What a finished job leaves beside its results: the recipe that it followed, and a seal on the files that it wrote.

The seal is written last, so that results with a seal are complete. Where the recipe beside it equals the one that is
planned, the results are up to date, on any machine.
"""

import os
import platform
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from pipeline_steps.job.errors import UserError
from pipeline_steps.job.files import sha256, write_json, write_text
from pipeline_steps.job.hold import hold, release
from pipeline_steps.job.main_process import is_main_process
from pipeline_steps.job.provenance import code, keep_patch, patch_beside
from pipeline_steps.job.recipe import RECIPE, FileInput, JobInput, Recipe, read_recipe

SEAL = "seal.json"
LIBRARIES = (
    *("torch", "torchvision", "lightning", "kornia", "lightly", "anny", "warp-lang"),
    *("numpy", "scipy", "scikit-learn", "pandas", "pillow"),
)
"""Packages whose code computes numbers of results."""


class SealedFile(BaseModel):
    """Size in bytes and checksum of a file when its job ended."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    size: int
    sha256: str


class SealedFolder(BaseModel):
    """Number of files below a folder, and their bytes, when its job ended."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    files: int
    bytes: int


class Seal(BaseModel):
    """fingerprint: of the recipe. files: by name. folders: within the folder of results, by name.

    versions: of Python and of the libraries that compute, by name. code: `git_commit` and `git_changed_files`, whose
    changes are in code.patch beside it; empty where not known.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    fingerprint: str
    files: dict[str, SealedFile]
    folders: dict[str, SealedFolder] = {}
    versions: dict[str, str]
    code: dict[str, str] = {}


def read_seal(folder: Path) -> Seal:
    """The seal of the results in a folder; UserError where it is missing or corrupt."""
    path = folder / SEAL
    try:
        return Seal.model_validate_json(path.read_text())
    except (OSError, ValidationError) as error:
        raise UserError(f"{path}: not a readable seal ({str(error).splitlines()[0]}); run snakemake again") from error


class Inputs:
    """Files that a step reads, which must be those of its recipe when it begins and unchanged when it ends.

    A seal among them stands for its whole folder. Raises UserError where a file was made by a job that the recipe does
    not name, or where its content is not what that job wrote. Files from outside have no seal.
    """

    def __init__(self, recipe: Path, *paths: Path) -> None:
        code()  # as it is now: it may change while the job runs
        _date_no_later_than_now(recipe, *paths, *(path.with_name(SEAL) for path in paths))
        self.stamps = {path: _stamp(path) for path in paths}
        read = read_recipe(recipe).inputs.values()
        jobs = {source.fingerprint for source in read if isinstance(source, JobInput)}
        named = {source.sha256 for source in read if isinstance(source, FileInput)}
        for path in paths:
            if path.with_name(SEAL).exists():
                _require_made_by(path, jobs, named)

    def require_unchanged(self) -> None:
        """Raise UserError where a file has been written to, or replaced, since the step began."""
        for path, stamp in self.stamps.items():
            if _stamp(path) != stamp:
                raise UserError(f"{path}: changed while this job was reading it; run snakemake again")


def _require_made_by(path: Path, jobs: set[str], named: set[str]) -> None:
    """Raise UserError where a file is none that a job of these fingerprints wrote, nor of these checksums."""
    made = read_seal(path.parent)
    again = f"delete {path.parent} and run snakemake again"
    if made.fingerprint not in jobs:
        if path.name != SEAL and sha256(path) in named:
            return
        raise UserError(f"{path}: made by another recipe than the one that this job reads; {again}")
    if path.name == SEAL and (lost := missing(path.parent)):
        raise UserError(f"{lost[0]}; {again}")
    sealed = made.files.get(path.name)
    if sealed and not path.exists():
        raise UserError(f"{path}: is missing; {again}")
    if sealed and sealed.sha256 != sha256(path):
        raise UserError(f"{path}: its content is not what its job wrote (the SHA-256 differs); {again}")


def _date_no_later_than_now(*paths: Path) -> None:
    """Correct dates in the future, which a clock that was put back leaves: Snakemake wants results to be later."""
    now = time.time()
    for path in paths:
        if path.exists() and path.stat().st_mtime > now:
            os.utime(path, (now, now))


def _stamp(path: Path) -> tuple[int, int, int] | None:
    if not path.exists():
        return None
    status = path.stat()
    return status.st_ino, status.st_size, status.st_mtime_ns


def unseal(folder: Path) -> None:
    """Hold a folder whose results are about to be replaced, and take their seal off: the first thing that a step does.

    Raises UserError where another process still writes there.
    """
    hold(folder)
    if is_main_process():
        (folder / SEAL).unlink(missing_ok=True)


def seal(recipe: Recipe, folder: Path, inputs: Inputs | None = None, copied: Path | None = None) -> None:
    """Put the recipe and the seal beside finished results: the very last thing that a step does.

    copied: the folder of the results that these were copied from, whose code and libraries are then named; by default
    they are those of this process. Raises UserError, and seals nothing, where an input has changed meanwhile.
    """
    if inputs:
        inputs.require_unchanged()
    if copied:
        made = read_seal(copied)
        versions, facts, changes = made.versions, made.code, patch_beside(copied)
    else:
        versions, facts, changes = library_versions(), code().facts(), code().patch
    keep_patch(folder, changes)
    write_text(folder / RECIPE, recipe.text())
    written = sorted(f for f in folder.iterdir() if f.is_file() and f.name != SEAL and f.name[0] != ".")
    files = {file.name: SealedFile(size=file.stat().st_size, sha256=sha256(file)) for file in written}
    folders = {path.name: _contents(path) for path in sorted(folder.iterdir()) if _is_own_folder(path)}
    sealed = Seal(fingerprint=recipe.fingerprint, files=files, folders=folders, versions=versions, code=facts)
    write_json(folder / SEAL, sealed.model_dump(mode="json"))
    release(folder)


def _is_own_folder(path: Path) -> bool:
    """Whether a path in a folder of results is a folder of the same job."""
    return path.is_dir() and path.name[0] != "." and not (path / SEAL).exists()


def _contents(folder: Path) -> SealedFolder:
    sizes = [path.stat().st_size for path in folder.rglob("*") if path.is_file()]
    return SealedFolder(files=len(sizes), bytes=sum(sizes))


def library_versions() -> dict[str, str]:
    """Versions of Python and of all installed LIBRARIES."""
    found = {"python": platform.python_version()}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def is_sealed_by(recipe: Recipe, folder: Path) -> bool:
    """Whether the results in a folder are complete and follow this very recipe."""
    try:
        return read_seal(folder).fingerprint == recipe.fingerprint and read_recipe(folder / RECIPE) == recipe
    except UserError:
        return False


def corruption(folder: Path) -> str:
    """What has been cut off of sealed results since, or of their seal; empty where nothing has."""
    if not (folder / SEAL).exists():
        return ""
    try:
        sealed = read_seal(folder).files
    except UserError:
        return f"{folder / SEAL} cannot be read"
    sizes = {name: (folder / name).stat().st_size for name in sealed if (folder / name).exists()}
    return ", ".join(
        f"{folder / name} has {size:,} of {sealed[name].size:,} bytes"
        for name, size in sizes.items()
        if size != sealed[name].size
    )


def missing(folder: Path) -> list[str]:
    """What is no longer there of sealed results, or not all there: a line for each file, and for each folder in them.

    Raises UserError where the seal is missing or corrupt.
    """
    made = read_seal(folder)
    lost = [f"{folder / name}: is missing" for name in made.files if not (folder / name).exists()]
    for name, then in made.folders.items():
        if (now := _contents(folder / name)) != then:
            words = f"{now.files:,} files of {now.bytes:,} bytes instead of {then.files:,} of {then.bytes:,}"
            lost.append(f"{folder / name}: {words}")
    return lost


def is_whole(folder: Path) -> bool:
    """Whether results are sealed, and nothing of them is missing or cut off."""
    try:
        return not missing(folder) and not is_corrupt(folder)
    except UserError:
        return False


def is_corrupt(folder: Path) -> bool:
    """Whether sealed results, or their seal, have been cut off since."""
    return bool(corruption(folder))
