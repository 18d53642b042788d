"""Cross-validation over subjects: each is tested on once, by a training that never saw it, or only validated on."""

from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline_steps.job.errors import UserError
from pipeline_steps.params.sections import SplitRule
from pipeline_steps.splits.partition import partition
from pipeline_steps.splits.split_file import Folds, Split, read_folds, read_split, write_split


def images_of(people: int) -> pd.DataFrame:
    """Three images of every person, and one more of the first."""
    rows = [(f"p{n:02}/{i}", f"p{n:02}") for n in range(people) for i in range(3)] + [("p00/3", "p00")]
    return pd.DataFrame(rows, columns=["source_id", "subject"])


def folds_of(people: int, folds: int, validation: int, seed: int = 0) -> list[Split]:
    rule = SplitRule(seed=seed, folds=folds, validation_subjects=validation)
    made = partition(images_of(people), rule, None, left_out=2)
    assert isinstance(made, Folds)
    return made.folds


@given(st.integers(5, 25), st.integers(2, 5), st.integers(0, 3), st.integers(0, 9))
def test_every_subject_but_those_validated_on_is_tested_once_and_its_fold_learns_nothing_from_it(
    people: int, folds: int, validation: int, seed: int
):
    if people - validation < folds:
        with pytest.raises(UserError, match=f"^split: {people} subjects are too few for {folds} folds"):
            folds_of(people, folds, validation, seed)
        return
    made = folds_of(people, folds, validation, seed)
    everybody = sorted(set(images_of(people)["subject"]))
    validated = made[0].subjects.validation
    assert len(set(validated)) == validation
    assert sorted([*validated, *(s for fold in made for s in fold.subjects.test)]) == everybody
    sizes = [len(fold.subjects.test) for fold in made]
    assert max(sizes) - min(sizes) <= 1
    for fold in made:
        parts = fold.subjects
        assert sorted([*parts.train, *parts.validation, *parts.test]) == everybody
        assert parts.train
        assert parts.validation == validated
        for images, subjects in (
            (fold.train, parts.train),
            (fold.validation, parts.validation),
            (fold.test, parts.test),
        ):
            assert {name.split("/")[0] for name in images} == set(subjects)
        assert len(fold.train) + len(fold.validation) + len(fold.test) == 3 * people + 1
        assert fold.left_out == 2


def test_another_seed_of_the_split_draws_other_folds():
    assert folds_of(20, 5, 2, seed=0) == folds_of(20, 5, 2, seed=0) != folds_of(20, 5, 2, seed=1)


def test_the_seed_of_a_training_chooses_its_fold(tmp_path: Path):
    made = folds_of(10, 3, 1)
    write_split(tmp_path / "split.json", Folds(folds=made))
    assert read_folds(tmp_path / "split.json") == made
    assert [read_split(tmp_path / "split.json", seed) for seed in (0, 1, 2, 3, 7)] == [made[k] for k in (0, 1, 2, 0, 1)]
    write_split(tmp_path / "split.json", made[1])
    assert read_split(tmp_path / "split.json", 5) == made[1]


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ({}, "give test_subjects, folds, or a protocol"),
        ({"folds": 5, "test_subjects": 3}, "give either test_subjects or folds"),
        ({"folds": 1}, "greater than or equal to 2"),
    ],
)
def test_a_rule_that_contradicts_itself_is_refused(rule: dict, message: str):
    with pytest.raises(ValueError, match=message):
        SplitRule(**rule)
