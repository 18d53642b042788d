"""The linear pose probe."""

import numpy as np
import pytest

from pipeline_steps.training.probe import probe_error_deg


def test_the_probe_finds_a_linear_pose_and_none_in_noise():
    rng = np.random.default_rng(0)
    euler, subjects = rng.normal(0, 20, (300, 3)), np.repeat(["a", "b", "c"], 100)
    telling = euler @ rng.normal(size=(3, 8)) + 5
    assert probe_error_deg(telling, euler, subjects, ridge=1e-6) < 1e-3
    by_mean = np.mean([
        np.abs(euler[subjects == s] - euler[subjects != s].mean(0)).mean() for s in ("a", "b", "c")
    ])  # fmt: skip
    assert probe_error_deg(rng.normal(size=(300, 8)), euler, subjects) == pytest.approx(by_mean, rel=0.1)
    shifted = telling + 100 * (subjects == "a")[:, None]
    assert probe_error_deg(shifted, euler, subjects, ridge=1e-6) > 1, "a fit to two subjects is tested on the third"


def test_the_probe_is_ridge_regression_on_standardised_features_of_the_other_subjects():
    rng = np.random.default_rng(1)
    features, subjects = rng.normal(3, [[1, 10, 0.1, 2]], (30, 4)), np.repeat(["a", "b"], [20, 10])
    euler = features @ rng.normal(size=(4, 3)) + rng.normal(0, 5, (30, 3))
    errors = []
    for subject in ("a", "b"):
        fitted = subjects != subject
        mean, std, centre = features[fitted].mean(0), features[fitted].std(0), euler[fitted].mean(0)
        x = (features - mean) / std
        # the penalty as further rows of a least-squares problem
        rows = np.vstack([x[fitted], np.sqrt(0.5 * fitted.sum()) * np.eye(4)])
        weights = np.linalg.lstsq(rows, np.vstack([euler[fitted] - centre, np.zeros((4, 3))]), rcond=None)[0]
        errors.append(np.abs(x[~fitted] @ weights + centre - euler[~fitted]).mean())
    assert probe_error_deg(features, euler, subjects, ridge=0.5) == pytest.approx(np.mean(errors), rel=1e-9)
