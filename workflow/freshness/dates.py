"""Which results of a plan are up to date, told to Snakemake by the dates of their recipes.

A recipe is written where its key says, once, and never changes. Its modification time is the only thing that decides
whether Snakemake runs the job: long ago where the result's own `recipe.json` is equal, now where it is not. So
the answer depends on content alone, and is the same in a fresh clone whose results were restored.
"""

import os
import time
from contextlib import suppress
from functools import cached_property
from pathlib import Path

from pipeline_steps.job.errors import UserError
from pipeline_steps.job.files import write_text
from pipeline_steps.job.recipe import is_damaged, is_made_by, read_recipe
from workflow.plan import Plan

_LONG_AGO = 86400.0
"""Seconds since 1970: the date of a recipe whose results are there."""


def _date_back(folder: Path, now: float) -> None:
    """Give results from the future, as a clock that has been put back leaves them, a date just before `now`.

    Else they would look newer than a changed recipe, and older outputs than their inputs stop Snakemake.
    """
    for path in (*folder.glob("*.*"), *folder.glob("figures/*.*")):
        if path.stat().st_mtime > now:
            os.utime(path, (now - 1, now - 1))


def _is_dated(recipe: Path, folder: Path, now: float) -> bool:
    """Whether a recipe to be run is later than the results that an earlier run has sealed there.

    Its date then stays: a job may be writing results by it, for another run here or, on a cluster, for this one.
    """
    date, made = recipe.stat().st_mtime, folder / "recipe.json"
    return _LONG_AGO < date <= now and (not made.exists() or made.stat().st_mtime < date)


class Upkeep:
    """What a plan finds on this disk."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self._damaged: dict[str, bool] = {}
        self._current: dict[str, bool] = {}

    def is_current(self, folder: str) -> bool:
        """Whether the results in `folder` were made by the very recipe that is planned for them, and are whole.

        Results of a damaged one are not current either: made again, it may differ in the last digits.
        """
        if folder not in self._current:
            self._current[folder] = folder not in self.plan.recipes or (
                is_made_by(self.plan.recipes[folder], Path(folder)) and not self._is_damaged(folder)
            )
        return self._current[folder]

    @cached_property
    def _trained(self) -> dict[str, list[Path]]:
        """Folders of all trainings that are finished here, of whatever study, by the key of their recipe."""
        found: dict[str, list[Path]] = {}
        for step in ("pretrain", "finetune"):
            for path in sorted(Path("results").glob(f"*/{step}/*/*/recipe.json")):
                with suppress(UserError):
                    found.setdefault(read_recipe(path).key, []).append(path.parent)
        return found

    def equal(self, folder: str) -> Path | None:
        """Whole results of another training whose recipe is equal to this folder's but for the job's names."""
        candidates = self._trained.get(self.plan.recipes[folder].key, [])
        return next((path for path in candidates if path != Path(folder) and not is_damaged(path)), None)

    def _is_damaged(self, folder: str) -> bool:
        if folder not in self._damaged:
            self._damaged[folder] = is_damaged(Path(folder)) or any(map(self._is_damaged, self.plan.sources[folder]))
        return self._damaged[folder]

    def write_recipes(self) -> None:
        """Write the recipes that are not there yet and date them all."""
        for folder, recipe in self.plan.recipes.items():
            path = Path(self.plan.recipe_file(folder))
            text = recipe.text()
            if not path.exists() or path.read_text() != text:
                write_text(path, text)
            now = time.time()
            _date_back(Path(folder), now)
            if self.is_current(folder):
                os.utime(path, (_LONG_AGO, _LONG_AGO))
            elif not _is_dated(path, Path(folder), now):
                os.utime(path, (now, now))
