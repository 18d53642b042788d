"""Divide the images of a data set by subject into train, validation and test."""

import numpy as np
import pandas as pd

from pipeline_steps.images.crop_file import CropFile
from pipeline_steps.job.errors import UserError
from pipeline_steps.params.sections import SplitRule
from pipeline_steps.splits.split_file import Parts, Split


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


def draw_subjects(subjects: list[str], rule: SplitRule, test_subjects: list[str] | None) -> Parts:
    """Subjects by part, each part in a random order given by the rule's seed.

    test_subjects: the protocol's, where it names them; otherwise they are drawn. Raises UserError where a test subject
    is unknown, or where there are fewer subjects than the rule needs.
    """
    unique = sorted(set(subjects))
    order = [unique[i] for i in np.random.default_rng(rule.seed).permutation(len(unique))]
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
    return Parts(train=train, validation=validation, test=test)


def partition(images: pd.DataFrame, rule: SplitRule, test_subjects: list[str] | None, left_out: int) -> Split:
    """The split of images with columns source_id and subject, of which `left_out` more are not used.

    test_subjects: the protocol's, where it names them. Raises UserError as `draw_subjects`.
    """
    subjects = draw_subjects(list(images["subject"]), rule, test_subjects)
    by_subject = images.groupby("subject")["source_id"].apply(list)

    def images_of(part: list[str]) -> list[str]:
        return [source_id for subject in sorted(part) for source_id in by_subject[subject]]

    return Split(
        train=images_of(subjects.train),
        validation=images_of(subjects.validation),
        test=images_of(subjects.test),
        subjects=subjects,
        left_out=left_out,
    )
