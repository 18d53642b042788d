"""How sure a comparison is: a paired, hierarchical bootstrap, and intervals that hold for all arms at once."""

from collections.abc import Iterator

import numpy as np


def _drawn(times: int | np.ndarray, among: int, rng: np.random.Generator, size: int | None = None) -> np.ndarray:
    """How often each of `among` things comes up in that many draws with replacement."""
    return rng.multinomial(times, np.full(among, 1 / among), size)


def _fewer(things: int) -> int:
    """How many of a few things to draw so that their mean varies as that of a new sample would: one less.

    Drawing all would show (n - 1) / n of the variance (Rao & Wu, JASA 83, 1988): with three seeds, two thirds.
    """
    return max(1, things - 1)


def image_draws(images: np.ndarray, resamples: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Per subject, how often each of its images is drawn: int (resamples, images of the subject).

    images: their number by subject (S,). S - 1 subjects are drawn with replacement, then within each drawn one as many
    images as it has, with replacement again (Davison & Hinkley, Bootstrap Methods, 1997, section 3.8).
    """
    subjects = _drawn(_fewer(len(images)), len(images), rng, resamples)
    for times, number in zip(subjects.T, images, strict=True):
        yield _drawn(times * number, int(number), rng)


def seed_draws(seeds: int, resamples: int, rng: np.random.Generator) -> np.ndarray:
    """How often each seed is drawn, seeds - 1 in all: int (resamples, seeds)."""
    return _drawn(_fewer(seeds), seeds, rng, resamples)


def resampled_means(errors: np.ndarray, subjects: np.ndarray, resamples: int) -> np.ndarray:
    """Mean error of every arm in every resample, (resamples, arms).

    errors: (arms, seeds, images), the images in one order for all and the seeds too. subjects: (images,), theirs.
    Subjects, images and seeds are drawn once for all arms: these share the images, and equal seeds share initial
    weights, order of batches and, where these are redrawn, labelled subjects. So a difference between arms does not
    contain what they have in common.
    """
    rng = np.random.default_rng(0)
    arms, seeds, _ = errors.shape
    trainings = errors.reshape(arms * seeds, -1).astype(float)
    _, of_subject, images = np.unique(subjects, return_inverse=True, return_counts=True)
    total, number = np.zeros((resamples, arms * seeds)), np.zeros((resamples, 1))
    for subject, drawn in enumerate(image_draws(images, resamples, rng)):
        total += drawn @ trainings[:, of_subject == subject].T
        number += drawn.sum(1, keepdims=True)
    means = (total / number).reshape(resamples, arms, seeds)
    result: np.ndarray = np.einsum("bas,bs->ba", means, seed_draws(seeds, resamples, rng)) / _fewer(seeds)
    return result


def simultaneous_interval(point: np.ndarray, resampled: np.ndarray, confidence: float) -> tuple[np.ndarray, np.ndarray]:
    """Lower and upper ends (A,) of intervals that all contain their true values at once with that confidence.

    point: estimates (A,). resampled: their bootstrap values (resamples, A). Each deviation is measured in its standard
    deviation; the largest over the A estimates sets the width of all (max-|t|: Westfall & Young, Resampling-Based
    Multiple Testing, 1993; Romano & Wolf, Econometrica 73(4), 2005). An estimate that never moves has width zero.
    """
    deviation = np.abs(resampled - point)
    std = resampled.std(0, ddof=1)
    moves = std > 1e-9 * (1 + np.abs(point))  # anything less is rounding
    largest = np.where(moves, deviation / np.where(moves, std, 1), 0).max(1)
    width = np.quantile(largest, confidence) * np.where(moves, std, 0)
    return point - width, point + width
