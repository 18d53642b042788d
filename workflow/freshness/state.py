"""Which jobs are up to date, and how Snakemake gets to know.

Every job has a fingerprint: of its parameters, its code, and the fingerprints of its inputs. A finished job keeps its
fingerprint beside its results. A job runs where the two differ.

Snakemake itself looks only at dates. So every job has its recipe as an input, in a file that is written once, and the
recipe's date says whether the job is up to date: long ago where it is, later than the results where it is not. Results
of other jobs are `ancient` inputs, whose dates mean nothing. The answer therefore depends on content alone, also in a
fresh clone whose results were restored.
"""

import os
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from pipeline_steps.job.errors import UserError
from pipeline_steps.job.files import write_text
from pipeline_steps.job.recipe import RECIPE, Recipe, read_recipe
from pipeline_steps.job.seal import SEAL, is_corrupt, is_sealed_by
from workflow import layout

_LONG_AGO = 86400.0
"""Seconds since 1970: the date of the recipe of a job that is up to date."""


@dataclass(frozen=True)
class Job:
    """A planned job: the folder of its results, its recipe, and the folders of the jobs whose results it reads."""

    folder: str
    recipe: Recipe
    upstream: tuple[str, ...]

    @property
    def recipe_file(self) -> Path:
        """Where the workflow writes the recipe."""
        return Path(layout.recipe(self.folder, self.recipe.fingerprint))

    @property
    def name(self) -> str:
        """What people call it, such as `finetune hybrid/seed0`."""
        names = {key: str(value) for key, value in self.recipe.job.items() if key != "study"}
        seed = [f"seed{names.pop('seed')}"] if "seed" in names else []
        return " ".join(filter(None, [self.recipe.step, "/".join([*names.values(), *seed])]))


class State:
    """What there is, in this working directory, of the jobs that are planned; jobs: by the folder of their results."""

    def __init__(self, jobs: Mapping[str, Job]) -> None:
        self.jobs = jobs
        self._corrupt: dict[str, bool] = {}
        self._current: dict[str, bool] = {}

    def is_current(self, folder: str) -> bool:
        """Whether the results in `folder` are complete and follow the planned recipe.

        Those of a corrupt upstream job are not current either: run again, it may give other last digits.
        """
        if folder not in self._current:
            sealed = is_sealed_by(self.jobs[folder].recipe, Path(folder))
            self._current[folder] = sealed and not self.is_corrupt(folder)
        return self._current[folder]

    def is_corrupt(self, folder: str) -> bool:
        """Whether results in `folder`, or in that of a job upstream, have been cut off since they were sealed."""
        if folder not in self._corrupt:
            upstream = self.jobs[folder].upstream
            self._corrupt[folder] = is_corrupt(Path(folder)) or any(self.is_corrupt(other) for other in upstream)
        return self._corrupt[folder]

    @cached_property
    def _trained(self) -> dict[str, list[Path]]:
        """Folders of all finished trainings, of whatever study, by fingerprint."""
        found: dict[str, list[Path]] = {}
        for sealed in layout.finished_trainings():
            with suppress(UserError):
                found.setdefault(read_recipe(sealed.with_name(RECIPE)).fingerprint, []).append(sealed.parent)
        return found

    def equal_training(self, folder: str) -> Path | None:
        """A finished training with the fingerprint of the one planned for `folder`, but under another name."""
        candidates = self._trained.get(self.jobs[folder].recipe.fingerprint, [])
        return next((path for path in candidates if path != Path(folder) and not is_corrupt(path)), None)

    def write_recipes(self) -> None:
        """Write the recipes that are not there yet, and date all of them."""
        for folder, job in self.jobs.items():
            path, text = job.recipe_file, job.recipe.text()
            if not path.exists() or path.read_text() != text:
                write_text(path, text)
            date, sealed = path.stat().st_mtime, Path(folder, SEAL)
            if self.is_current(folder):
                os.utime(path, (_LONG_AGO, _LONG_AGO))
                continue
            # A recipe that is later than the results keeps its date: a job may be at work by it right now, started by
            # another Snakemake or on another machine.
            before = sealed.stat().st_mtime if sealed.exists() else 0.0
            if not max(_LONG_AGO, before) < date:
                moment = max(time.time(), before + 1)
                os.utime(path, (moment, moment))
