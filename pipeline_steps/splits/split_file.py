"""Who is trained on, validated and tested on: the file that `split_dataset` writes and the others read."""

import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from pipeline_steps.images.crop_file import CropFile
from pipeline_steps.job.errors import UserError
from pipeline_steps.params.sections import Labels


class Split(NamedTuple):
    """Source ids by part, and the training subjects in the order in which a label budget takes them."""

    train: list[str]
    validation: list[str]
    test: list[str]
    order: list[str]


def read_split(path: Path) -> Split:
    """Read split.json; UserError where it is missing or cut off."""
    try:
        split: dict[str, Any] = json.loads(path.read_text())
        train, validation, test = (list(split[part]) for part in ("train", "validation", "test"))
        return Split(train, validation, test, list(split["subjects"]["train"]))
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"{path}: not a readable split ({error}); delete it and run snakemake again") from error


def labelled_images(split: Split, crops: CropFile, labels: Labels, seed: int) -> list[str]:
    """Source ids of the training images whose labels the budget pays for, subject by subject.

    Of each subject, the images are spread evenly over those of its sequence whose pose is known. The subjects are the
    first of the split's order, so that a larger budget only adds; with `redraw` they are the next that many for each
    next `seed`, going round. Raises UserError where the budget names more subjects than are trained on.
    """
    wanted = len(split.order) if labels.subjects == "all" else labels.subjects
    if wanted > len(split.order):
        raise UserError(f"labels.subjects: {wanted}, but only {len(split.order)} subjects are trained on; lower it")
    start = seed * wanted if labels.redraw else 0
    chosen = [split.order[(start + i) % len(split.order)] for i in range(wanted)]
    images: dict[str, list[str]] = {subject: [] for subject in sorted(chosen)}
    trained = set(split.train)
    known = np.isfinite(crops.rotation).all((1, 2))
    for source_id, subject, label in zip(crops.source_ids, crops.subjects, known, strict=True):
        if label and subject in images and source_id in trained:
            images[subject].append(source_id)

    def thinned(ids: list[str]) -> list[str]:
        count = max(1, round(labels.fraction * len(ids))) if ids else 0
        return [ids[i] for i in np.linspace(0, len(ids) - 1, count).round().astype(int)]

    return [source_id for ids in images.values() for source_id in thinned(ids)]
