"""What was compared, as the recipes and records of the jobs say it: data, seeds, parameters."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from pipeline_steps.evaluation.costs import by_fingerprint, starting_point
from pipeline_steps.evaluation.reading import Trained
from pipeline_steps.job.errors import UserError, brief
from pipeline_steps.job.recipe import RECIPE, JobInput, read_recipe
from pipeline_steps.job.strict import Strict
from pipeline_steps.params.sections import Comparison, Evaluation
from pipeline_steps.splits.split_file import Split, read_folds

Values = dict[str, Any]
"""Nested parameters, with their types."""
FACTS = ("image_size", "labelled_subjects", "labelled_images")
"""Keys of trainings that are no parameters but come from the records of their runs."""


class Study(Strict):
    """What all trainings have in common."""

    seeds: list[int]
    train_on: str
    pretrain_on: str | None = None


class Part(Strict):
    """Size of one part of a split."""

    images: int
    subjects: int


class SplitSizes(Strict):
    """Sizes of a data set's parts; of several folds, training and validation are those of the first, test of all.

    official_test: how many images the test set has in the complete, official data set; None where that is not known.
    """

    train: Part
    validation: Part
    test: Part
    folds: int = 0
    official_test: int | None = None


class Trainings(Strict):
    """Parameters and FACTS of trainings: those that all arms or pretext tasks share, and the others by name."""

    shared: Values
    by_name: dict[str, Values]


class Design(Strict):
    """Content of design.json. data: by data set."""

    study: Study
    data: dict[str, SplitSizes]
    pretrain: Trainings
    finetune: Trainings
    evaluate: Evaluation
    compare: Comparison


def read_design(path: Path) -> Design:
    """Read design.json; UserError where it is missing or corrupt."""
    try:
        return Design.model_validate_json(path.read_text(encoding="utf-8"))
    except (OSError, ValidationError) as error:
        raise UserError(f"{path}: not a readable design ({brief(error)}); run snakemake again") from error


def text(value: object) -> str:
    """A leaf as people read it: text as it is, all else as JSON."""
    return value if isinstance(value, str) else json.dumps(value)


def _shared(values: list[Values]) -> Values:
    """The leaves on which all agree."""
    first, *others = values
    found = Values()
    for key, value in first.items():
        theirs: list[Any] = [other.get(key) for other in others]
        if all(key in other and other[key] == value for other in others):
            found[key] = value
        elif all(isinstance(v, dict) for v in (value, *theirs)) and (inner := _shared([value, *theirs])):
            found[key] = inner
    return found


def _without(shared: Values, values: Values) -> Values:
    """The values that are not among the shared ones."""
    rest = {}
    for key, value in values.items():
        if key not in shared:
            rest[key] = value
        elif value != shared[key]:
            rest[key] = _without(shared[key], value)
    return rest


def folded(by_name: dict[str, Values]) -> Trainings:
    """The values of several names, with those that all share only once."""
    shared = _shared(list(by_name.values())) if len(by_name) > 1 else Values()
    return Trainings(shared=shared, by_name={name: _without(shared, values) for name, values in by_name.items()})


def _by_name(trainings: list[Trained]) -> dict[str, list[Trained]]:
    names = sorted({t.name for t in trainings})
    return {name: [t for t in trainings if t.name == name] for name in names}


def _parameters(trainings: list[Trained]) -> Values:
    """Parameters of one arm's or pretext task's trainings except the seed, and the size of their images in pixels."""
    params = {key: value for key, value in trainings[0].recipe.params.items() if key != "seed"}
    return params | {"image_size": int(trainings[0].run["image_size"])}


def _arm(trainings: list[Trained], pretrainings: dict[str, Trained]) -> Values:
    start, _ = starting_point(trainings[0], pretrainings)
    images = round(sum(t.run["labelled_images"] for t in trainings) / len(trainings))
    labelled = {"labelled_subjects": trainings[0].run["labelled_subjects"], "labelled_images": images}
    return _parameters(trainings) | {"init": start} | labelled


def _sizes(folds: list[Split]) -> SplitSizes:
    first = folds[0]
    tested, people = sum(len(fold.test) for fold in folds), sum(len(fold.subjects.test) for fold in folds)
    return SplitSizes(
        train=Part(images=len(first.train), subjects=len(first.subjects.train)),
        validation=Part(images=len(first.validation), subjects=len(first.subjects.validation)),
        test=Part(images=tested, subjects=people),
        folds=len(folds) if len(folds) > 1 else 0,
        official_test=first.official_test,
    )


def _dataset_of(training: Trained, datasets: Mapping[str, str]) -> str:
    """The data set that a training learned from; datasets: by the fingerprint of their split."""
    split = training.recipe.inputs["split"]
    if not isinstance(split, JobInput) or split.fingerprint not in datasets:
        raise UserError(f"{training.name}/seed{training.run['seed']}: its split is missing; --split it")
    return datasets[split.fingerprint]


def split_of(dataset: str, splits: list[Path]) -> Path:
    """split.json of a data set; splits: folders, that of this data set among them."""
    return next(folder / "split.json" for folder in splits if read_recipe(folder / RECIPE).job["dataset"] == dataset)


def design(
    params: Comparison,
    evaluate: Evaluation,
    trainings: list[Trained],
    pretrainings: list[Trained],
    splits: list[Path],
) -> Design:
    """Parameters and facts of a study. splits: folders, one for each data set."""
    known = by_fingerprint(pretrainings)
    recipes = {split: read_recipe(split / RECIPE) for split in splits}
    datasets = {recipe.fingerprint: str(recipe.job["dataset"]) for recipe in recipes.values()}
    return Design(
        study=Study(
            seeds=sorted({int(t.run["seed"]) for t in trainings}),
            train_on=_dataset_of(trainings[0], datasets),
            pretrain_on=_dataset_of(pretrainings[0], datasets) if pretrainings else None,
        ),
        data={str(of.job["dataset"]): _sizes(read_folds(split / "split.json")) for split, of in recipes.items()},
        pretrain=folded({name: _parameters(of) for name, of in _by_name(pretrainings).items()}),
        finetune=folded({name: _arm(of, known) for name, of in _by_name(trainings).items()}),
        evaluate=evaluate,
        compare=params,
    )
