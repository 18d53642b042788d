"""How sure a comparison is: what each person and each training adds to it, and intervals for all arms at once.

A bootstrap shows too little variation where few things are drawn: without any effect, 12 to 26% of tables of 7 people,
3 seeds and 10 arms had a false verdict, where 5% were promised. Here variances are estimated from people and trainings,
and quantiles allow for how few these are (`tests/evaluation/test_coverage.py`: at most 6%).
"""

from typing import NamedTuple

import numpy as np


class Estimates(NamedTuple):
    """Values (A,), and what each thing that might have been drawn otherwise adds to them.

    parts: a matrix (A, things) per source of variation, such as people and seeds, whose rows sum to zero: how far a
    value lies where it does because of this person or seed (the empirical influence values of Davison & Hinkley,
    Bootstrap Methods and their Application, 1997, section 2.7).
    """

    values: np.ndarray
    parts: tuple[np.ndarray, ...]


def mean_errors(errors: np.ndarray, subjects: np.ndarray) -> Estimates:
    """Mean error of every arm over all images that were tested, in the unit of the errors.

    errors: (arms, trainings, images), equal trainings of all arms paired, NaN where a training did not test an image.
    subjects: (images,). Where every training tested every image, people and trainings vary independently. Where each
    image was tested by one training, they are drawn together: the folds of a cross-validation are the only parts, since
    a fold's mean holds the variation of its training and of its people. That folds share training images, which no
    estimate from one cross-validation can show (Bengio & Grandvalet, JMLR 5, 2004), is left out.
    """
    tested = ~np.isnan(errors[0])
    values = np.nanmean(errors, (1, 2))
    added = np.where(tested, errors - values[:, None, None], 0) / tested.sum()
    of_trainings = added.sum(2)
    if not tested.all():
        return Estimates(values, (of_trainings,))
    order = np.argsort(subjects, kind="stable")
    _, starts = np.unique(subjects[order], return_index=True)
    return Estimates(values, (np.add.reduceat(added.sum(1)[:, order], starts, axis=1), of_trainings))


def reductions(means: Estimates, arms: np.ndarray, baselines: np.ndarray) -> Estimates:
    """How much lower the mean errors of some arms are than those of their baselines, in percent of the latter.

    arms, baselines: places in `means`, equally many. What arm and baseline have in common cancels in the parts.
    """
    ratios = means.values[arms] / means.values[baselines]
    scale = 100 / means.values[baselines][:, None]
    parts = (scale * (ratios[:, None] * part[baselines] - part[arms]) for part in means.parts)
    return Estimates(100 * (1 - ratios), tuple(parts))


def simultaneous_interval(estimates: Estimates, confidence: float, draws: int) -> tuple[np.ndarray, np.ndarray]:
    """Lower and upper ends (A,) of intervals that all contain their true values at once with that confidence.

    estimates: differences of A arms from one baseline; every part has at least two things. draws: simulated tables.
    The largest |t| over the arms sets the width of all, in standard errors (Westfall & Young, Resampling-Based Multiple
    Testing, 1993). It is simulated: normal deviations with the correlations of the estimates, each divided by the
    square root of a chi-squared number over its degrees of freedom, as far as its standard error may be off. Degrees of
    freedom are Satterthwaite's for a sum of variances (Biometrics Bulletin 2(6), 1946). No arm is taken to vary less
    than the arms usually do, see `_variances`.

    Two things err on the careful side: the chi-squared numbers are independent from arm to arm, and what varies with
    both person and seed is counted with each. With a single arm and three seeds that differ more than people do, 7% of
    tables without any effect have a false verdict in place of 5.
    """
    rng = np.random.default_rng(0)
    own, variances, freedom = _variances(estimates.parts)
    moves = variances.sum(0) > 1e-18 * (1 + estimates.values**2)  # anything less is rounding
    total, degrees = np.where(moves, variances.sum(0), 1), np.where(moves, _satterthwaite(variances, freedom), 1)
    normal = _deviations(estimates.parts, draws, rng) / np.sqrt(np.where(own.sum(0) > 0, own.sum(0), 1))
    largest = np.abs(normal / np.sqrt(rng.chisquare(degrees, normal.shape) / degrees)).max(1)
    width = np.quantile(largest, confidence) * np.where(moves, np.sqrt(total), 0)
    return estimates.values - width, estimates.values + width


def drawn_values(estimates: Estimates, difference: np.ndarray, draws: int) -> np.ndarray:
    """The values as other people and trainings might have given them, (draws, A).

    Normal deviations with the variances and correlations of the estimates, all of one draw divided by the square root
    of one chi-squared number over its degrees of freedom. These are Satterthwaite's for a difference, a weighted sum of
    the values; difference: the weights (A,).
    """
    rng = np.random.default_rng(0)
    variances, freedom = _own_variances(tuple(difference[None] @ part for part in estimates.parts))
    degrees = _satterthwaite(variances, freedom)[0] if variances.any() else freedom.min()
    errors = np.sqrt(rng.chisquare(degrees, (draws, 1)) / degrees)
    drawn: np.ndarray = estimates.values + _deviations(estimates.parts, draws, rng) / errors
    return drawn


def _deviations(parts: tuple[np.ndarray, ...], draws: int, rng: np.random.Generator) -> np.ndarray:
    """Normal deviations of A values, (draws, A), with their variances and correlations by all sources."""
    deviations = np.zeros((draws, len(parts[0])))
    for part in parts:
        things = part.shape[1]
        root = np.linalg.qr(part.T, mode="r")  # root.T @ root is part @ part.T, and no larger than (A, A)
        deviations += rng.standard_normal((draws, len(root))) @ root * np.sqrt(things / (things - 1))
    return deviations


def _satterthwaite(variances: np.ndarray, freedom: np.ndarray) -> np.ndarray:
    """Degrees of freedom (A,) of sums of variances (sources, A), of which each source has its own (sources, 1)."""
    with np.errstate(invalid="ignore"):
        return np.asarray(variances.sum(0) ** 2 / (variances**2 / freedom).sum(0))


def _own_variances(parts: tuple[np.ndarray, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Variances of A values by source, (sources, A), and their degrees of freedom, (sources, 1)."""
    things = np.array([[part.shape[1]] for part in parts])
    return things / (things - 1) * np.array([(part**2).sum(1) for part in parts]), things - 1


def _variances(parts: tuple[np.ndarray, ...]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Variances of A differences by source, (sources, A), as they are and as they are used, and degrees of freedom.

    Used is an arm's own variance or the median over the arms, whichever is larger: three seeds alone can make an arm
    look as if it hardly varied. (By the mean, one arm that diverged would leave no verdict on any.) The degrees of
    freedom, (sources, 1), are those of a mean over the arms. Differences from one baseline correlate by 1/2, their
    squares by 1/4, so that the mean of A variances has 4 A / (A + 3) times those of one.
    """
    own, freedom = _own_variances(parts)
    arms = own.shape[1]
    return own, np.maximum(own, np.median(own, 1, keepdims=True)), freedom * 4 * arms / (arms + 3)
