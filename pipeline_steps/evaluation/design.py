"""What was compared, as the jobs' own recipes and records say it: data, seeds, schedules, arms."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline_steps.evaluation.costs import by_key, starting_point
from pipeline_steps.evaluation.reading import Trained
from pipeline_steps.job.recipe import read_recipe
from pipeline_steps.params.sections import Comparison
from pipeline_steps.splits.split_file import read_split

Facts = dict[str, str]


def flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Leaves of nested maps as dotted key and value; text as it is, all else as JSON."""
    for key, value in values.items():
        if isinstance(value, dict) and value:
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value if isinstance(value, str) else json.dumps(value)


def _rows(of: str, facts: dict[str, Facts]) -> list[tuple[str, str, str, str]]:
    return [(of, name, *fact) for name, of_name in facts.items() for fact in of_name.items()]


def _folded(facts: dict[str, Facts]) -> dict[str, Facts]:
    """The same facts with what several names share put first, under the name ''."""
    if len(facts) < 2:
        return facts
    shared = set.intersection(*(set(of_name.items()) for of_name in facts.values()))
    common = {key: value for key, value in next(iter(facts.values())).items() if (key, value) in shared}
    return {"": common} | {name: {k: v for k, v in f.items() if k not in common} for name, f in facts.items()}


def _by_name(trainings: list[Trained]) -> dict[str, list[Trained]]:
    names = sorted({t.name for t in trainings})
    return {name: [t for t in trainings if t.name == name] for name in names}


def _parameters(trainings: list[Trained]) -> Facts:
    """What one arm's or pretext's trainings were told, whatever the seed, and the size of their pictures."""
    told = dict(trainings[0].recipe.params) | {"image_size": trainings[0].run["image_size"]}
    return dict(flat({key: value for key, value in told.items() if key != "seed"}))


def _data(split: Path) -> tuple[str, Facts]:
    """A data set's name, and images and subjects of the parts of its split."""
    subjects = json.loads((split / "split.json").read_text())["subjects"]
    parts, facts = read_split(split / "split.json")._asdict(), Facts()
    for part in ("train", "validation", "test"):
        facts |= {f"{part}_images": str(len(parts[part])), f"{part}_subjects": str(len(subjects[part]))}
    return str(read_recipe(split / "recipe.json").job["dataset"]), facts


def design(
    params: Comparison,
    evaluate: Mapping[str, Any],
    trainings: list[Trained],
    pretrainings: list[Trained],
    splits: list[Path],
) -> pd.DataFrame:
    """of, name, key, value: parameters and facts of the study; those that all names share stand once, without name.

    of: study, data (by data set), pretrain (by pretext), finetune (by arm), evaluate, compare. splits: folders.
    """
    pretexts, arms = by_key(pretrainings), {}
    for arm, of_arm in _by_name(trainings).items():
        images = sum(t.run["labelled_images"] for t in of_arm) / len(of_arm)
        labelled = {"labelled_subjects": str(of_arm[0].run["labelled_subjects"]), "labelled_images": f"{images:.0f}"}
        arms[arm] = _parameters(of_arm) | {"init": starting_point(of_arm[0], pretexts)[0]} | labelled
    of_split = {read_recipe(split / "recipe.json").key: _data(split) for split in splits}
    study = {"seeds": ", ".join(map(str, sorted({int(t.run["seed"]) for t in trainings})))}
    for role, of_role in (("train_on", trainings), ("pretrain_on", pretrainings)):
        if of_role:
            study[role], _ = of_split[of_role[0].recipe.inputs["split"]]
    rows = [
        *_rows("study", {"": study}),
        *_rows("data", dict(of_split.values())),
        *_rows("pretrain", _folded({name: _parameters(of) for name, of in _by_name(pretrainings).items()})),
        *_rows("finetune", _folded(arms)),
        *_rows("evaluate", {"": dict(flat(evaluate))}),
        *_rows("compare", {"": dict(flat(params.model_dump(mode="json")))}),
    ]
    return pd.DataFrame(rows, columns=["of", "name", "key", "value"])
