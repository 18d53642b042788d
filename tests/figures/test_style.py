"""Figures follow their own style, whatever matplotlib's settings, and leave those as they are."""

import matplotlib
import numpy as np
import pandas as pd
import pytest

from pipeline_steps.figures.histograms import pose_histogram
from pipeline_steps.figures.lines import training_curves
from pipeline_steps.figures.style import svg

HISTORY = pd.DataFrame(
    [
        {"arm": arm, "seed": seed, "images": 64 * epoch, "val_geodesic_deg": 20 / epoch + seed}
        for arm in ("baseline", "other")
        for seed in (0, 1)
        for epoch in (1, 2, 3)
    ]
)


@pytest.fixture
def elsewhere() -> None:
    """Settings that somebody else made."""
    with matplotlib.rc_context({"axes.grid": False, "svg.hashsalt": "other", "svg.fonttype": "path"}):
        yield


def test_the_same_numbers_give_the_same_bytes_whatever_the_settings_of_matplotlib(elsewhere: None):
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        expected = svg(training_curves(HISTORY, ["baseline", "other"]))
    assert svg(training_curves(HISTORY, ["baseline", "other"])) == expected
    assert ">validation geodesic error (degrees)</text>" in expected, "text remains text"


def test_drawing_changes_no_settings(elsewhere: None):
    before = dict(matplotlib.rcParams)
    svg(pose_histogram(np.random.default_rng(0).normal(0, 20, (50, 3))))
    svg(training_curves(HISTORY, ["baseline", "other"]))
    assert dict(matplotlib.rcParams) == before
