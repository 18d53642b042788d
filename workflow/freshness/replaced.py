"""Results that were replaced by those of another recipe: kept for a while, so that a revert takes seconds.

Snakemake deletes the results of a job before it runs the job. Results whose recipe has changed are therefore linked to
`.replaced/{folder}/{fingerprint}` before the first job runs. A hard link copies nothing; it takes space of its own only
once the results are gone from their folder. Where their recipe is planned again, they are moved back instead of being
computed again.
"""

import os
import shutil
import sys
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from pipeline_steps.job.errors import UserError
from pipeline_steps.job.hold import hold, release
from pipeline_steps.job.recipe import RECIPE, Recipe, read_recipe
from pipeline_steps.job.seal import SEAL, is_sealed_by, is_whole
from workflow.layout import REPLACED, replaced

KEPT_DAYS = 30
KEPT_BYTES = 50_000_000_000
"""Replaced results are deleted when they are older than this or, the oldest first, where they take more than this."""


UNFINISHED_DAYS = 1
"""Age of copies that nobody finishes any more, nor finishes deleting."""


def keep(planned: Mapping[Path, Recipe]) -> None:
    """Link complete results of other recipes than the planned ones, by their folder, to where they are kept.

    Where links are impossible, one line on standard error says that these results will be gone.
    """
    kept = False
    for folder, recipe in planned.items():
        if not is_whole(folder):
            continue
        try:
            made = read_recipe(folder / RECIPE)
        except UserError:
            continue
        target = replaced(folder, made.fingerprint)
        if made == recipe or is_whole(target):
            continue
        unfinished = target.with_name(f".{target.name}.{os.getpid()}.tmp")
        try:
            unfinished.parent.mkdir(parents=True, exist_ok=True)
            shutil.copytree(folder, unfinished, copy_function=os.link, ignore=_other_jobs)
            os.utime(unfinished)  # the day on which they were replaced, which says when they are deleted
            forget(target)  # what is left of a corrupt copy
            unfinished.replace(target)
            kept = True
        except (OSError, shutil.Error) as error:
            shutil.rmtree(unfinished, ignore_errors=True)
            if not target.exists():  # else another process has just kept them
                reason = error.args[0][0][2] if isinstance(error, shutil.Error) else error.strerror
                print(f"{folder}: results that are replaced cannot be kept here ({reason})", file=sys.stderr)
                break
    if kept:
        prune()


def earlier(recipe: Recipe, folder: Path, outputs: Iterable[str]) -> Path | None:
    """Where complete earlier results of this very recipe are kept; None where there are none.

    outputs: paths, in the folder, of all files that the recipe's job writes.
    """
    kept = replaced(folder, recipe.fingerprint)
    whole = kept.exists() and all(Path(kept, Path(name).relative_to(folder)).exists() for name in outputs)
    return kept if whole and is_sealed_by(recipe, kept) and is_whole(kept) else None


def take_back(kept: Path, folder: Path) -> None:
    """Put kept results back into their folder, the seal last, in place of what lies there.

    Raises UserError where a step still writes there.
    """
    hold(folder)
    folder.mkdir(parents=True, exist_ok=True)
    present = list(folder.iterdir())
    others = _other_jobs(str(folder), [path.name for path in present])
    for path in present:
        if path.is_dir() and path.name not in others:
            shutil.rmtree(path)
        elif path.name not in others:
            path.unlink()
    shutil.copytree(kept, folder, copy_function=os.link, ignore=shutil.ignore_patterns(SEAL), dirs_exist_ok=True)
    os.link(kept / SEAL, folder / SEAL)
    release(folder)
    forget(kept)


def forget(kept: Path) -> None:
    """Delete kept results, at once for everybody else; another process may have done so."""
    with suppress(FileNotFoundError):
        shutil.rmtree(kept.replace(kept.with_name(f".{kept.name}.{os.getpid()}.gone.tmp")))


def prune() -> None:
    """Delete replaced results that are too old or take too much space, the oldest first, and unfinished copies."""
    for left in [*Path(REPLACED).rglob(".*.tmp")]:
        with suppress(FileNotFoundError):
            if time.time() - left.stat().st_ctime > UNFINISHED_DAYS * 86400:
                shutil.rmtree(left)
    kept = [seal.parent for seal in Path(REPLACED).rglob(SEAL) if not seal.parent.name.startswith(".")]
    dated = sorted((folder.stat().st_mtime, folder) for folder in kept)
    sizes = {path: _own_bytes(path) for _, path in dated}
    total = sum(sizes.values())
    for date, path in dated:
        if total > KEPT_BYTES or time.time() - date > KEPT_DAYS * 86400:
            total -= sizes[path]
            forget(path)


def _own_bytes(folder: Path) -> int:
    """Space that would be free without a folder: of its files that are linked from nowhere else."""
    states = [path.stat() for path in folder.rglob("*") if path.is_file()]
    return sum(state.st_size for state in states if state.st_nlink == 1)


def _other_jobs(folder: str, names: list[str]) -> set[str]:
    """Names in a folder of results that are not the job's own: folders of other jobs, and unfinished files."""
    return {name for name in names if name.startswith(".") or (Path(folder, name, SEAL)).exists()}
