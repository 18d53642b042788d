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
from pipeline_steps.job.files import atomic_write, write_text
from pipeline_steps.job.recipe import RECIPE, Recipe, read_recipe
from pipeline_steps.job.seal import SEAL, is_corrupt, is_sealed_by, is_whole
from workflow import layout
from workflow.freshness import replaced

_LONG_AGO = 86400.0
"""Seconds since 1970: the date of the recipe of a job that is up to date."""


@dataclass(frozen=True)
class Job:
    """A planned job: the folder of its results, its recipe, and the folders of the jobs whose results it reads.

    more: names of files that it writes besides those that every job of its step writes.
    """

    folder: str
    recipe: Recipe
    upstream: tuple[str, ...]
    more: tuple[str, ...] = ()

    @property
    def outputs(self) -> list[str]:
        """Paths of all files that it writes."""
        return layout.outputs(self.recipe.step, self.folder, self.more)

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
        self._earlier: dict[str, Path | None] = {}

    def is_current(self, folder: str) -> bool:
        """Whether the results in `folder` are complete and follow the planned recipe.

        Those of a corrupt upstream job are not current either: run again, it may give other last digits.
        """
        if folder not in self._current:
            job = self.jobs[folder]
            whole = all(Path(name).exists() for name in job.outputs) and not self.is_corrupt(folder)
            self._current[folder] = whole and is_sealed_by(job.recipe, Path(folder))
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
        return next((path for path in candidates if path != Path(folder) and is_whole(path)), None)

    def earlier(self, folder: str) -> Path | None:
        """Where earlier results by the planned recipe are kept, to be put back instead of running the job.

        None as well where results that they were made from must change too and cannot be put back: those are made
        anew, and may come out with other last digits.
        """
        if folder not in self._earlier:
            upstream = [other for other in self.jobs[folder].upstream if self.must_follow(other)]
            follow = all(self.earlier(other) is not None for other in upstream)
            self._earlier[folder] = self._kept(folder) if follow else None
        return self._earlier[folder]

    def _kept(self, folder: str) -> Path | None:
        if self.is_current(folder) or self.is_corrupt(folder):
            return None
        job = self.jobs[folder]
        return replaced.earlier(job.recipe, Path(folder), job.outputs)

    def must_follow(self, folder: str) -> bool:
        """Whether a job has to run, or be put back, when results that were made from its own are put back.

        Results of another recipe must not stay beside them; where there are none, none are needed.
        """
        return not self.is_current(folder) and (Path(folder, SEAL).exists() or self._kept(folder) is not None)

    def to_put_back(self) -> list[str]:
        """Folders whose results are put back even where nothing that is asked for reads them.

        A changed run that was stopped has replaced some results, and left those that were made from them.
        """
        return [folder for folder in self.jobs if self.earlier(folder) is not None]

    def keep_what_is_replaced(self) -> None:
        """Keep the results of other recipes, which Snakemake deletes before the jobs of this plan run."""
        replaced.keep({Path(folder): job.recipe for folder, job in self.jobs.items() if not self.is_current(folder)})

    def forget_what_is_in_place(self) -> None:
        """Forget what is kept of results that are in their folders, as after a run that was stopped and undone.

        Whoever deletes these afterwards wants them computed again.
        """
        for folder, job in self.jobs.items():
            kept = layout.replaced(folder, job.recipe.fingerprint)
            if kept.exists() and self.is_current(folder):
                replaced.forget(kept)

    def write_recipes(self) -> None:
        """Write the recipes that are not there yet, and date all of them."""
        for folder, job in self.jobs.items():
            path, text = job.recipe_file, job.recipe.text()
            if not path.exists() or path.read_text() != text:
                write_text(path, text)
            date, sealed = path.stat().st_mtime, Path(folder, SEAL)
            if self.is_current(folder):
                _set_date(path, _LONG_AGO)
                continue
            # A recipe that is later than the results keeps its date: a job may be at work by it right now, started by
            # another Snakemake or on another machine.
            before = sealed.stat().st_mtime if sealed.exists() else 0.0
            if not max(_LONG_AGO, before) < date:
                _set_date(path, max(time.time(), before + 1))


def _set_date(path: Path, date: float) -> None:
    """Date a file; one of another user, who alone may date it, gives way to a copy."""
    if path.stat().st_mtime == date:
        return
    try:
        os.utime(path, (date, date))
    except PermissionError:
        with atomic_write(path) as copy:
            copy.write_text(path.read_text(encoding="utf-8"), encoding="utf-8")
            os.utime(copy, (date, date))
