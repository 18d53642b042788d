"""Which training images a label budget pays for."""

import numpy as np

from pipeline_steps.images.crop_file import CropFile
from pipeline_steps.job.errors import UserError
from pipeline_steps.params.sections import Labels
from pipeline_steps.splits.split_file import Split


def labelled_images(split: Split, crops: CropFile, labels: Labels, seed: int) -> list[str]:
    """Source ids of the training images whose labels the budget pays for, subject by subject.

    The subjects are the first in the split's order, so that a larger budget only adds subjects; with `redraw`, every
    seed takes the next ones, starting again from the first at the end. Of each subject, the images are evenly spaced
    among those with a known pose. Raises UserError where the budget names more subjects than are trained on.
    """
    order = split.subjects.train
    wanted = len(order) if labels.subjects == "all" else labels.subjects
    if wanted > len(order):
        raise UserError(f"labels.subjects: {wanted}, but only {len(order)} subjects are trained on; lower it")
    start = seed * wanted if labels.redraw else 0
    chosen = [order[(start + i) % len(order)] for i in range(wanted)]
    images: dict[str, list[str]] = {subject: [] for subject in sorted(chosen)}
    trained_on = set(split.train)
    pose_known = np.isfinite(crops.rotation).all((1, 2))
    for source_id, subject, known in zip(crops.source_ids, crops.subjects, pose_known, strict=True):
        if known and subject in images and source_id in trained_on:
            images[subject].append(source_id)

    def evenly_spaced(ids: list[str]) -> list[str]:
        count = max(1, round(labels.fraction * len(ids))) if ids else 0
        return [ids[i] for i in np.linspace(0, len(ids) - 1, count).round().astype(int)]

    return [source_id for ids in images.values() for source_id in evenly_spaced(ids)]
