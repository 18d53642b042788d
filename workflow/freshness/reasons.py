"""Why a job would run, in words: which parameter, module, input or file differs from when its results were made."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pipeline_steps.job.recipe import RECIPE, JobInput, Recipe, read_recipe
from pipeline_steps.job.seal import SEAL, corruption, library_versions, read_seal
from pipeline_steps.params.leaves import leaves
from workflow.freshness.state import State

FEW = 3
"""Inputs that are named one by one; of more, only the first."""


def reasons(state: State, folder: str) -> list[str]:
    """Why the job of the results in `folder` would run; empty where they are up to date."""
    job, path = state.jobs[folder], Path(folder)
    if not (path / SEAL).exists():
        left = "its results are incomplete" if path.is_dir() and any(path.iterdir()) else "it has no results yet"
        return [f"{left} ({path / SEAL} is missing)"]
    if what := corruption(path):
        return [f"its results are corrupt: {what}"]
    if not (path / RECIPE).exists():
        return [f"{path / RECIPE} is missing"]
    sealed = read_recipe(path / RECIPE)
    found = list(_differences(state, sealed, job.recipe))
    found += [f"{other} is corrupt" for other in job.upstream if state.is_corrupt(other)]
    if not found and sealed != job.recipe:
        found.append(f"its names changed: {_shown(sealed.job)} -> {_shown(job.recipe.job)}")
    found += [f"{name} is missing" for name in job.outputs if not Path(name).exists()]
    return found


def other_versions(folder: Path) -> list[str]:
    """Libraries whose versions differ from those that computed the sealed results, such as `torch 2.11.0 -> 2.14.1`.

    A library that is missing here is left out.
    """
    then, now = read_seal(folder).versions, library_versions()
    return [f"{name} {then[name]} -> {now[name]}" for name in then if now.get(name, then[name]) != then[name]]


def _differences(state: State, then: Recipe, now: Recipe) -> Iterator[str]:
    yield from _changes(_as_written(then), _as_written(now))
    for path in sorted(then.code.keys() | now.code.keys()):
        if then.code.get(path) != now.code.get(path):
            verb = "is new" if path not in then.code else "is no longer used" if path not in now.code else "changed"
            yield f"{path} {verb}"
    jobs = {job.recipe.fingerprint: job.name for job in state.jobs.values()}
    other_runs: dict[str, str] = {}
    for role in sorted(then.inputs.keys() | now.inputs.keys()):
        before, after = then.inputs.get(role), now.inputs.get(role)
        if before == after:
            continue
        if after is None:
            yield f"it no longer reads {role}"
        elif before is None:
            yield f"it newly reads {role}"
        elif isinstance(after, JobInput):
            other_runs[role] = jobs.get(after.fingerprint, "another job")
        else:
            values = _shown(before.model_dump()), _shown(after.model_dump())
            yield f"the content of its {after.kind} changed: {' -> '.join(values)}"
    if len(other_runs) > FEW:
        some = ", ".join(list(other_runs.values())[:FEW])
        yield f"its inputs come from other runs of {some} and {len(other_runs) - FEW} more"
    else:
        yield from (f"its input {role} comes from another run of {name}" for role, name in other_runs.items())


def _as_written(recipe: Recipe) -> dict[str, Any]:
    """A recipe's parameters by dotted names: those of a training by the section of params.yaml that they come from."""
    of_training = f"{recipe.step}."  # pretrain, finetune
    return {
        of_training + key.removeprefix("training.") if key.startswith("training.") else key: value
        for key, value in leaves(recipe.params).items()
    }


def _changes(then: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    for key in [*now, *(key for key in then if key not in now)]:
        if key not in then:
            yield f"{key} is new: {_shown(now[key])}"
        elif key not in now:
            yield f"{key} is gone; it was {_shown(then[key])}"
        elif then[key] != now[key]:
            yield f"{key} {_shown(then[key])} -> {_shown(now[key])}"


def _shown(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
