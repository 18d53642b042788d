"""Uncertainty of comparisons against leaving out, against SciPy's intervals, and against normal theory."""

from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from pipeline_steps.evaluation.statistics import Estimates, mean_errors, reductions, simultaneous_interval
from pipeline_steps.evaluation.table import compare_arms
from pipeline_steps.params.sections import Comparison
from tests.evaluation.test_comparison import ERRORS, PARAMS, evaluation

DRAWS = 40_000
PEOPLE = np.array(list("aaabbcdd"))


def crossed(arms: int = 2, seeds: int = 3) -> np.ndarray:
    return np.random.default_rng(1).gamma(2, 3, (arms, seeds, len(PEOPLE)))


def in_folds(errors: np.ndarray, of_image: np.ndarray) -> np.ndarray:
    """Only what the training of an image's fold says of it."""
    return np.where(of_image == np.arange(errors.shape[1])[:, None], errors, np.nan)


def parts_of(rng: np.random.Generator, deviations: np.ndarray, things: int) -> np.ndarray:
    """A part, (A, things), of things that vary independently, with these standard deviations of the estimates."""
    drawn = rng.standard_normal((len(deviations), things))
    drawn -= drawn.mean(1, keepdims=True)
    return drawn / drawn.std(1, ddof=1, keepdims=True) * deviations[:, None] / np.sqrt(things)


def half_width(estimates: Estimates, confidence: float = 0.95) -> np.ndarray:
    low, high = simultaneous_interval(estimates, confidence, DRAWS)
    np.testing.assert_allclose((low + high) / 2, estimates.values)
    return (high - low) / 2


# parts


def test_the_part_of_a_person_is_what_leaving_it_out_changes():
    """The mean of the other people lies away by the part, times all images by those that are left."""
    errors = crossed()
    means = mean_errors(errors, PEOPLE)
    np.testing.assert_allclose(means.values, errors.mean((1, 2)))
    people, _ = means.parts
    for place, name in enumerate("abcd"):
        others = np.array([person != name for person in PEOPLE])
        without = errors[:, :, others].mean((1, 2))
        np.testing.assert_allclose(without - means.values, -people[:, place] * 8 / others.sum())


def test_the_part_of_a_seed_is_what_leaving_it_out_changes():
    errors = crossed()
    means = mean_errors(errors, PEOPLE)
    for seed in range(3):
        without = np.delete(errors, seed, axis=1).mean((1, 2))
        np.testing.assert_allclose(without - means.values, -means.parts[1][:, seed] * 3 / 2)


def test_folds_are_the_only_part_where_each_image_is_tested_once():
    of_image = np.array([0, 0, 0, 1, 1, 1, 2, 2])
    errors = in_folds(crossed(), of_image)
    means = mean_errors(errors, PEOPLE)
    (folds,) = means.parts
    tested = np.stack([errors[:, fold, image] for image, fold in enumerate(of_image)], 1)
    np.testing.assert_allclose(means.values, tested.mean(1))
    for fold in range(3):
        without = tested[:, of_image != fold].mean(1)
        np.testing.assert_allclose(without - means.values, -folds[:, fold] * 8 / (of_image != fold).sum())


def test_parts_of_reductions_are_their_changes_to_first_order():
    """By a small step of one person's errors, which is a derivative of 100 (1 - mean / mean of the baseline)."""
    errors, step = crossed(3), 1e-6
    of_first = np.where(PEOPLE == "a", 1 + step, 1.0)

    def reduction(weights: np.ndarray) -> np.ndarray:
        means = (errors * weights).sum((1, 2)) / weights.sum()
        return 100 * (1 - means[1:] / means[0])

    found = reductions(mean_errors(errors, PEOPLE), np.array([1, 2]), np.array([0, 0]))
    np.testing.assert_allclose(found.values, reduction(np.ones(8)))
    np.testing.assert_allclose(found.parts[0][:, 0], (reduction(of_first) - reduction(np.ones(8))) / step, rtol=1e-4)


def test_what_arms_share_is_no_uncertainty(tmp_path: Path):
    """Every image of every seed gains a fifth, whatever its subject, however much the seeds differ."""
    evaluations = []
    for seed, level in enumerate((1.0, 1.7, 0.6)):
        evaluations += [
            evaluation(tmp_path, arm, f * level * ERRORS, seed) for arm, f in (("baseline", 1), ("less", 0.8))
        ]
    row = compare_arms(evaluations, PARAMS).iloc[1]
    assert row[["reduction", "low", "high"]].tolist() == pytest.approx([20, 20, 20])
    assert row["verdict"] == "better"


# intervals


def test_the_interval_of_one_arm_is_students_where_only_people_vary(tmp_path: Path):
    """Baseline at 10 degrees for every image, so that an arm's reduction is linear in its errors; one image each."""
    errors, names = np.random.default_rng(2).normal(8, 1.5, 6), [f"s{n}" for n in range(6)]
    evaluations = [
        evaluation(tmp_path, arm, of, seed, subjects=names)
        for seed in range(3)
        for arm, of in (("baseline", np.full(6, 10.0)), ("other", errors))
    ]
    row = compare_arms(evaluations, Comparison(baselines=["baseline"], bootstrap=DRAWS)).iloc[1]
    expected = stats.ttest_1samp(100 * (1 - errors / 10), 0).confidence_interval(0.95)
    assert (row["low"], row["high"]) == pytest.approx(
        (expected.low, expected.high), abs=0.03 * (expected.high - expected.low)
    )


def test_the_interval_of_one_arm_is_students_over_equal_folds():
    of_image, people = np.repeat(np.arange(4), 2), np.array(list("abcdefgh"))
    errors = in_folds(np.stack([np.full((4, 8), 10.0), np.random.default_rng(3).normal(8, 2, (4, 8))]), of_image)
    found = reductions(mean_errors(errors, people), np.array([1]), np.array([0]))
    expected = stats.ttest_1samp(100 * (1 - np.nanmean(errors[1], 1) / 10), 0).confidence_interval(0.95)
    assert half_width(found)[0] == pytest.approx((expected.high - expected.low) / 2, rel=0.03)


def test_degrees_of_freedom_of_people_and_seeds_together_are_satterthwaites():
    """Variances 9 and 4 of the estimate, by 7 people and 3 seeds: 13^2 / (81 / 6 + 16 / 2)."""
    rng = np.random.default_rng(0)
    both = Estimates(np.zeros(1), (parts_of(rng, np.array([3.0]), 7), parts_of(rng, np.array([2.0]), 3)))
    for confidence in (0.9, 0.99):
        expected = stats.t.ppf((1 + confidence) / 2, 13**2 / (81 / 6 + 16 / 2)) * np.sqrt(13)
        assert half_width(both, confidence)[0] == pytest.approx(expected, rel=0.04)


def test_intervals_of_several_arms_hold_together():
    """Of three arms that vary independently over many people: Sidak's quantile of normal deviations."""
    rng, deviations = np.random.default_rng(0), np.array([1.0, 3.0, 2.0])
    part = parts_of(rng, deviations, 400)
    sidak = stats.norm.ppf((1 + 0.95 ** (1 / 3)) / 2)
    widths = half_width(Estimates(np.array([1.0, -2, 0]), (part,)))
    np.testing.assert_allclose(widths, sidak * np.array([2.0, 3.0, 2.0]), rtol=0.03)  # the first: by the median


def test_an_arm_that_diverged_widens_no_other():
    rng = np.random.default_rng(0)
    parts = [parts_of(rng, np.array([1.0, 1, 1, 1, last]), 5) for last in (1.0, 50.0)]
    usual, diverged = (half_width(Estimates(np.zeros(5), (part,))) for part in parts)
    np.testing.assert_allclose(diverged[:4], usual[:4], rtol=0.1)
    assert diverged[4] == pytest.approx(50 * diverged[0])


def test_arms_that_never_move_have_no_width():
    assert half_width(Estimates(np.array([3.0, 5.0]), (np.zeros((2, 7)), np.zeros((2, 3))))).tolist() == [0, 0]
