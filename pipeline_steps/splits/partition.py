"""Divide the images of a data set by subject into train, validation and test."""

from itertools import pairwise

import numpy as np
import pandas as pd

from pipeline_steps.images.crop_file import CropFile
from pipeline_steps.job.errors import UserError
from pipeline_steps.params.sections import SplitRule
from pipeline_steps.splits.split_file import Folds, Parts, Split


def selected(crops: CropFile, max_angle: float | None, listed: list[str] | None) -> np.ndarray:
    """Whether (N,) a protocol keeps each image: no angle beyond `max_angle` degrees, and its source id `listed`.

    An unknown angle excludes no image; None excludes none either.
    """
    kept = np.ones(len(crops), bool)
    if max_angle is not None:
        kept &= ~(np.abs(crops.euler_deg) > max_angle).any(1)
    if listed is not None:
        kept &= np.isin(crops.source_ids, listed)
    return kept


def draw_subjects(subjects: list[str], rule: SplitRule, test_subjects: list[str] | None) -> list[Parts]:
    """Subjects by part, each part in a random order given by the rule's seed; of every fold, or once without folds.

    test_subjects: the protocol's, where it names them; otherwise they are drawn. In a cross-validation the subjects to
    validate on are the same in every fold and are never tested on, so that whatever is chosen on them is chosen on
    nobody who is tested; every other subject is tested on in one fold. Raises UserError where a test subject is
    unknown, or where there are fewer subjects than the rule needs.
    """
    unique = sorted(set(subjects))
    order = [unique[i] for i in np.random.default_rng(rule.seed).permutation(len(unique))]
    if rule.folds is not None:
        return _folds(order, rule.folds, rule.validation_subjects)
    if test_subjects is not None:
        unknown = sorted(set(test_subjects) - set(unique))
        if unknown:
            raise UserError(f"split.protocol: no subject {unknown[0]!r}; there are {', '.join(unique[:5])}, ...")
        test = list(test_subjects)
    else:
        test = order if rule.test_subjects == "all" else order[: rule.test_subjects]
    tested = set(test)
    rest = [s for s in order if s not in tested]
    validation, train = rest[: rule.validation_subjects], rest[rule.validation_subjects :]
    if rule.test_subjects != "all":
        too_few = isinstance(rule.test_subjects, int) and len(test) < rule.test_subjects
        if too_few or not train or len(validation) < rule.validation_subjects:
            raise UserError(
                f"split: {len(unique)} subjects are too few for {rule.test_subjects or len(test)} to test on, "
                f"{rule.validation_subjects} to validate on and 1 to train on; lower test_subjects or "
                "validation_subjects"
            )
    return [Parts(train=train, validation=validation, test=test)]


def _folds(order: list[str], folds: int, validation: int) -> list[Parts]:
    """Parts of every fold, from the subjects in random order; sizes of the folds differ by one at most."""
    validated, tested = order[:validation], order[validation:]
    if len(tested) < folds:
        raise UserError(
            f"split: {len(order)} subjects are too few for {folds} folds and {validation} to validate on; lower folds "
            "or validation_subjects"
        )
    ends = [len(tested) * k // folds for k in range(folds + 1)]
    return [
        Parts(train=tested[end:] + tested[:start], validation=validated, test=tested[start:end])
        for start, end in pairwise(ends)
    ]


def partition(
    images: pd.DataFrame,
    rule: SplitRule,
    test_subjects: list[str] | None,
    left_out: int,
    official_test: int | None = None,
) -> Split | Folds:
    """The split, or folds, of images with columns source_id and subject, of which `left_out` more are not used.

    test_subjects: the protocol's, where it names them. official_test: `Split.official_test`. Raises UserError as
    `draw_subjects`.
    """
    by_subject = images.groupby("subject")["source_id"].apply(list)

    def images_of(part: list[str]) -> list[str]:
        return [source_id for subject in sorted(part) for source_id in by_subject[subject]]

    splits = [
        Split(
            train=images_of(subjects.train),
            validation=images_of(subjects.validation),
            test=images_of(subjects.test),
            subjects=subjects,
            left_out=left_out,
            official_test=official_test,
        )
        for subjects in draw_subjects(list(images["subject"]), rule, test_subjects)
    ]
    return splits[0] if rule.folds is None else Folds(folds=splits)
