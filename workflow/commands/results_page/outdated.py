"""Whether the trainings behind a committed table are those that its study asks for today."""

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel

from pipeline_steps.evaluation.design import Design, Trainings, text
from pipeline_steps.params.leaves import leaves
from workflow.params import Params
from workflow.plan import finetuning, pretraining
from workflow.questions import merged


def outdated(design: Design, params: Params) -> list[str]:
    """What has changed since a table was made, such as `finetune baseline: training.epochs 8 -> 6`.

    design: of the table; params: of the study today, at the same size and for the same question. A parameter that only
    one of the two has is newer or older than the table, and does not count.
    """
    seed, found = params.seeds[0], []
    if design.study.seeds != sorted(params.seeds):
        found.append(f"seeds {text(design.study.seeds)} -> {text(sorted(params.seeds))}")
    if design.study.train_on != params.train_on:
        found.append(f"train_on {design.study.train_on} -> {params.train_on}")
    pretrainings = {name: _values(params, pretraining(params, name, seed)) for name in params.pretexts()}
    arms = {
        name: _values(params, finetuning(params, name, seed)) | {"init": arm.init, "auxiliary": sorted(arm.auxiliary)}
        for name, arm in params.arms.items()
    }
    found += _of_trainings("pretrain", design.pretrain, pretrainings)
    found += _of_trainings("finetune", design.finetune, arms)
    for name, then, now in (
        ("evaluate", design.evaluate, params.evaluate),
        ("compare", design.compare, params.compare),
    ):
        found += [f"{name}: {line}" for line in _changes(_leaves(then), _leaves(now))]
    return found


def _leaves(values: BaseModel) -> dict[str, Any]:
    return leaves(values.model_dump(mode="json"))


def _values(params: Params, told: BaseModel) -> dict[str, Any]:
    return _leaves(told) | {"image_size": params.crops.size}


def _of_trainings(step: str, then: Trainings, now: Mapping[str, dict[str, Any]]) -> Iterator[str]:
    if then.by_name.keys() != now.keys():
        yield f"{step}: {', '.join(sorted(then.by_name))} -> {', '.join(sorted(now))}"
    for name in sorted(then.by_name.keys() & now.keys()):
        values = merged(then.shared, then.by_name[name])
        was = leaves(values) | {"auxiliary": sorted(values.get("auxiliary", {}))}
        if was.get("init") == "file":  # weights from elsewhere, in the place of those that the study names
            was.pop("init")
        yield from (f"{step} {name}: {line}" for line in _changes(was, now[name]))


def _changes(then: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    yield from (f"{key} {text(then[key])} -> {text(now[key])}" for key in then if then[key] != now.get(key, then[key]))
