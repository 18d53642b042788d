"""How often tables without any effect call an arm better or worse, by simulation of whole tables.

`python -m tests.evaluation.test_coverage` prints the rates for more designs, and how often a true effect is found.
"""

from itertools import product
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from pipeline_steps.evaluation.label_curves import label_curve, labels_saved
from pipeline_steps.evaluation.metrics import prediction_table, summarise
from pipeline_steps.evaluation.reading import Trained
from pipeline_steps.evaluation.statistics import mean_errors, reductions, simultaneous_interval
from pipeline_steps.job.recipe import Recipe
from pipeline_steps.params.sections import Comparison, Evaluation
from pipeline_steps.pose.geometry import euler_to_matrix
from tests.evaluation.test_comparison import Known, known

TABLES = 600
NOMINAL = 0.06
"""The most false verdicts that are accepted; tables promise 5%."""
IMAGES = 2
"""Of each person; more would only take longer."""


class Design(NamedTuple):
    """People, trainings of each arm, arms with their baseline, and whether trainings are folds over the people."""

    people: int
    trainings: int
    arms: int
    folds: bool = False


DESIGNS = [Design(7, 3, 10), Design(7, 5, 11), Design(15, 5, 5, folds=True), Design(60, 3, 5)]


def deviations(design: Design, share: float) -> tuple[float, float]:
    """Standard deviations in degrees of arm by person and of arm by seed, with this share of an arm's variance seeds'.

    The variance of an arm's mean is what it would be if people alone varied from arm to arm, by 0.7 degrees.
    """
    of_mean = 0.7**2 / design.people
    return np.sqrt((1 - share) * of_mean * design.people), np.sqrt(share * of_mean * design.trainings)


def simulated(
    design: Design, of_person: float, of_seed: float, rng: np.random.Generator, effect: float = 0
) -> np.ndarray:
    """Errors in degrees (arms, trainings, images) of one table, NaN where a fold did not test.

    Around 6 degrees; people differ by 2 degrees (to the right further than to the left), seeds by 0.3, for all arms
    alike. of_person, of_seed: by how much these differ from arm to arm. What else varies is counted with both, which
    makes intervals too wide, so that there is little of it here. effect: taken off the errors of the second arm.
    """
    people, trainings, arms, folds = design
    level = rng.gamma(9, 6 / 9, (1, 1, people)) + rng.normal(0, 0.3, (1, trainings, 1))
    errors = level + rng.normal(0, of_person, (arms, 1, people)) + rng.normal(0, of_seed, (arms, trainings, 1))
    errors = (errors + rng.normal(0, 0.15, (arms, trainings, people))).repeat(IMAGES, 2)
    errors = errors + rng.normal(0, 0.2, errors.shape)
    errors[1] -= effect
    if folds:
        of_image = (np.arange(people) % trainings).repeat(IMAGES)
        errors[:, of_image != np.arange(trainings)[:, None]] = np.nan
    return errors


def verdicts(errors: np.ndarray, draws: int) -> np.ndarray:
    """1, 0 or -1 for each arm but the first that is better, within noise or worse, at 95% confidence."""
    arms = np.arange(1, len(errors))
    means = mean_errors(errors, np.arange(errors.shape[2]) // IMAGES)
    low, high = simultaneous_interval(reductions(means, arms, np.zeros_like(arms)), 0.95, draws)
    return (low > 0).astype(int) - (high < 0)


def false_verdicts(design: Design, share: float, tables: int, draws: int = 400) -> float:
    """Share of tables without any effect in which some arm is called better or worse."""
    rng, wrong = np.random.default_rng(0), 0
    for _ in range(tables):
        wrong += bool(verdicts(simulated(design, *deviations(design, share), rng), draws).any())
    return wrong / tables


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("design", DESIGNS, ids=str)
def test_tables_without_any_effect_seldom_have_a_verdict(design: Design, share: float) -> None:
    """Within two standard errors of the simulation, which tells 6 from 10%."""
    accepted = NOMINAL + 2 * np.sqrt(NOMINAL * (1 - NOMINAL) / TABLES)
    assert false_verdicts(design, share, TABLES) <= accepted


def found(design: Design, of_seed: float, tables: int, effect: float = 0.84) -> float:
    """Share of tables that call an arm better whose errors are lower by 0.84 of 6 degrees, which is 14%."""
    rng, right = np.random.default_rng(0), 0
    for _ in range(tables):
        right += verdicts(simulated(design, 0.5, of_seed, rng, effect), 400)[0] == 1
    return right / tables


# the interval of one run


def of_run(errors: np.ndarray, people: np.ndarray, resamples: int) -> dict[str, float]:
    """Metrics of a run with these MAEs in degrees, (images,): only the yaw is wrong, by three times as much."""
    euler = np.zeros((len(errors), 3))
    predicted = euler_to_matrix(euler + 3 * errors[:, None] * [1, 0, 0])
    names = [f"p{person}" for person in people]
    table = prediction_table(names, names, euler_to_matrix(euler), euler, predicted)
    return summarise(table, Evaluation(bootstrap=resamples))


def covered(people: int, runs: int) -> float:
    """Share of runs in whose interval of the MAE lies the mean error of all people, of whom a few were tested.

    People err by 6 degrees in the mean and differ by 2; they have 2 to 5 images each.
    """
    rng, inside = np.random.default_rng(0), 0
    for _ in range(runs):
        images = rng.integers(2, 6, people)
        found = of_run(rng.gamma(9, 6 / 9, people).repeat(images), np.arange(people).repeat(images), 200)
        inside += found["mae_low"] <= 6 <= found["mae_high"]
    return inside / runs


def test_the_interval_of_a_run_holds_the_mean_error_of_all_people() -> None:
    """93 of 100 times with 7 people; between the percentiles of a bootstrap it was 82 times."""
    assert covered(7, 150) >= 0.88


def test_the_interval_of_a_run_is_students_where_people_have_one_image_each() -> None:
    errors = np.random.default_rng(1).normal(8, 1.5, 6)
    found = of_run(errors, np.arange(6), 20_000)
    expected = stats.ttest_1samp(errors, 0).confidence_interval(0.95)
    assert (found["mae_low"], found["mae_high"]) == pytest.approx((expected.low, expected.high), abs=0.03)


def test_an_interval_does_not_begin_below_zero_and_one_person_has_none() -> None:
    assert of_run(np.array([1.0, 9.0]), np.arange(2), 100)["mae_low"] == 0
    assert not {"mae_low", "mae_high"} & set(of_run(np.array([1.0, 9.0]), np.zeros(2, int), 100))


# labels saved


LABELS = (100, 200, 400, 800)
"""Labelled images of the four budgets."""


def curve(gain: float) -> np.ndarray:
    """True errors of an arm in degrees by budget: `gain` less than the baseline's 8.0, 6.8, 6.0, 5.4."""
    return (1 - gain) * (4 + 4 * (np.array(LABELS) / 100) ** -0.5)


def true_share(gain: float) -> float:
    """Of the baseline's largest budget, how many labels the arm needs for the baseline's error there."""
    needed = np.interp(-curve(0)[-1], -curve(gain), np.log(LABELS))
    return float(np.exp(needed) / LABELS[-1])


def label_study(gain: float, people: int, seeds: int, rng: np.random.Generator) -> tuple[list[Known], list[Trained]]:
    """A baseline and an arm with four budgets; every seed draws other people to label."""
    level, drawn = rng.gamma(9, 6 / 9, people) - 6, rng.normal(0, 0.4, (len(LABELS), seeds))
    evaluations, trainings = [], []
    for arm, error in (("baseline", curve(0)), ("arm", curve(gain))):
        of_person = level + rng.normal(0, 0.5, people) + rng.normal(0, 0.3, (len(LABELS), people))
        of_seed = drawn + rng.normal(0, 0.2, drawn.shape)
        for (budget, labels), seed in product(enumerate(LABELS), range(seeds)):
            errors = error[budget] + of_person[budget] + of_seed[budget, seed] + rng.normal(0, 0.3, people)
            names = {"arm": f"{arm}-{labels}", "seed": seed}
            evaluations.append(known(names, errors))
            run = names | {"labelled_subjects": labels / 100, "labelled_images": labels}
            recipe = Recipe(step="finetune", job={}, params={"labels": {"fraction": 1.0}}, inputs={})
            trainings.append(Trained(run, pd.DataFrame(), recipe))
    return evaluations, trainings


def share_of(gain: float, people: int, seeds: int, rng: np.random.Generator) -> "pd.Series[Any]":
    """The row of `labels_saved` on the baseline's largest budget, in a study of its own."""
    evaluations, trainings = label_study(gain, people, seeds, rng)
    params = Comparison(baselines=["baseline"], bootstrap=400)
    return labels_saved(label_curve(evaluations, trainings, "mae"), "baseline", evaluations, params).iloc[0]


def shares_covered(gain: float, people: int, seeds: int, studies: int) -> tuple[float, float]:
    """In how many studies the interval holds the true share, and in how many it has both ends."""
    rng, inside, closed = np.random.default_rng(0), 0, 0
    for _ in range(studies):
        row = share_of(gain, people, seeds, rng)
        inside += row["share_low"] <= true_share(gain) <= row["share_high"]
        closed += row["share_low"] > 0 and row["share_high"] < np.inf
    return inside / studies, closed / studies


def test_the_interval_of_labels_saved_holds_the_true_share() -> None:
    """At least 90 of 100 times, within two standard errors of the simulation."""
    inside, _ = shares_covered(0.14, 7, 3, 100)
    assert inside >= 0.9 - 2 * np.sqrt(0.9 * 0.1 / 100)


def test_labels_saved_have_no_interval_with_two_seeds() -> None:
    row = share_of(0.14, 7, 2, np.random.default_rng(0))
    assert row[["share_low", "share_high"]].isna().all()


if __name__ == "__main__":
    print("design, false verdicts with a seeds' share of 10, 50, 90%, a true 14% found with seeds of 0.15, 0.3 degrees")
    for design in [*DESIGNS, Design(20, 5, 5, folds=True), Design(7, 3, 2), Design(60, 3, 2), Design(60, 5, 5)]:
        false = ", ".join(f"{false_verdicts(design, share, 2000):.1%}" for share in (0.1, 0.5, 0.9))
        print(f"{design}: {false}; {found(design, 0.15, 1000):.0%}, {found(design, 0.3, 1000):.0%}", flush=True)
    print("people, coverage of the interval of one run")
    for people in (2, 3, 7, 20):
        print(f"{people}: {covered(people, 500):.1%}", flush=True)
    print("gain, people, seeds: intervals of labels saved that hold the true share, and that have both ends")
    for gain, (people, seeds) in product((0.05, 0.14, 0.25), ((7, 3), (7, 5), (60, 3))):
        inside, closed = shares_covered(gain, people, seeds, 300)
        print(f"{gain:.0%}, {people}, {seeds}: {inside:.0%}, {closed:.0%}", flush=True)
