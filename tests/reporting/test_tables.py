"""Sentences and rows of a report against tables whose outcome is known."""

from pathlib import Path

import pandas as pd
import pytest

from pipeline_steps.evaluation.reading import Evaluated
from pipeline_steps.evaluation.table import ERRORS
from pipeline_steps.params.sections import Evaluation
from pipeline_steps.reporting.links import Links
from pipeline_steps.reporting.tables import arm_rows, headline, linked

NAN = float("nan")


def comparison(*rows: tuple, part: str = "test") -> pd.DataFrame:
    """A table of `compare_arms` on one data set from (baseline, arm, mae, reduction, low, high, verdict)."""
    fixed = {"dataset": "heads", "error": "mae", "confidence": 0.95, "part": part, "seeds": 2}
    errors = {name: NAN for error in ERRORS for name in (error, f"{error}_std")}
    names = ("baseline", "arm", "mae", "reduction", "low", "high", "verdict")
    return pd.DataFrame([fixed | errors | {"mae_std": 0.5} | dict(zip(names, row, strict=True)) for row in rows])


PLAIN = ("baseline", "baseline", 10.0, NAN, NAN, NAN, "baseline")
BOTH = ("baseline", "both", 8.0, 20.0, 15.0, 25.0, "better")
LONGER = ("baseline", "longer", 9.0, 10.0, 5.0, 15.0, "better")
AGAINST_LONGER = (
    ("longer", "longer", 9.0, NAN, NAN, NAN, "baseline"),
    ("longer", "both", 8.0, 11.1, -2.0, 24.2, "within noise"),
    ("longer", "baseline", 10.0, -11.1, -20.0, -2.0, "worse"),
)


def test_the_headline_says_how_the_best_arm_compares_with_the_baseline():
    of = headline(comparison(PLAIN, BOTH, LONGER))
    assert (of.arm, of.error, of.verdict) == ("both", "8.00 ± 0.50°", "better")
    assert of.sentence == (
        "20.0% less error than baseline (95% interval 15.0 to 25.0%): better beyond noise. "
        "Of 2 arms compared with a baseline: 2 better, 0 within noise, 0 worse. "
        "These arms are not compared with each other."
    )


UNDECIDED = ("baseline", "both", 8.0, 20.0, NAN, NAN, "too few seeds")


def test_the_headline_says_where_too_little_was_run_for_a_verdict():
    of = headline(comparison(PLAIN, UNDECIDED, ("baseline", "longer", 9.0, 10.0, NAN, NAN, "too few seeds")))
    assert (of.arm, of.verdict) == ("both", "too few seeds")
    assert "20.0% less error than baseline: too few seeds for a verdict." in of.sentence
    assert "Of 2 arms compared with a baseline: 0 better, 0 within noise, 0 worse, 2 too few seeds." in of.sentence
    alone = headline(comparison(PLAIN, ("baseline", "both", 8.0, 20.0, NAN, NAN, "too few people")))
    assert alone.sentence == "20.0% less error than baseline: too few people for a verdict."


def test_an_effect_without_an_interval_is_drawn_as_a_point(tmp_path: Path):
    _, _, rows = arm_rows(comparison(PLAIN, UNDECIDED), {}, Links(tmp_path))
    (effect,) = rows[1].effects
    assert (effect.verdict, effect.text) == ("too few seeds", "+20.0% (no interval)")
    assert (effect.zero, effect.low, effect.point, effect.high) == (0, 100, 100, 100)


def test_the_headline_names_every_baseline_and_takes_the_weakest_verdict():
    of = headline(comparison(PLAIN, BOTH, LONGER, *AGAINST_LONGER))
    assert of.verdict == "within noise"
    assert "20.0% less error than baseline (95% interval 15.0 to 25.0%): better beyond noise." in of.sentence
    assert "11.1% less error than longer (95% interval -2.0 to 24.2%): which may be noise." in of.sentence
    assert "Of 2 arms compared against baseline: 2 better, 0 within noise, 0 worse." in of.sentence
    assert "Of 2 arms compared against longer: 0 better, 1 within noise, 1 worse." in of.sentence


def test_the_headline_where_no_arm_is_better_or_there_is_no_other():
    worse = ("baseline", "both", 12.0, -20.0, -25.0, -15.0, "worse")
    of = headline(comparison(PLAIN, worse))
    assert (of.arm, of.verdict, of.sentence) == ("baseline", "baseline", "No arm has a lower error than baseline.")
    alone = headline(comparison(PLAIN, part="validation"))
    assert alone.sentence == "It is the only arm. Parameters were chosen by these images: this is no test error."


FRONTAL = ("", "always frontal", 9.5, NAN, NAN, NAN, "constant")
MEAN_POSE = ("", "always the mean pose", 9.0, NAN, NAN, NAN, "constant")


def test_the_headline_holds_the_arms_against_constant_poses():
    of = headline(comparison(PLAIN, BOTH, LONGER, FRONTAL, MEAN_POSE))
    assert of.arm == "both"
    assert "Always frontal errs by 9.50° and always the mean pose errs by 9.00°." in of.sentence
    assert of.sentence.endswith("No better than the lower of these two: baseline, longer.")
    assert "Of 2 arms compared with a baseline" in of.sentence


def test_a_constant_pose_is_never_the_best_arm(tmp_path: Path):
    best = ("", "always the mean pose", 1.0, NAN, NAN, NAN, "constant")
    of = headline(comparison(PLAIN, BOTH, FRONTAL, best))
    assert (of.arm, of.verdict) == ("both", "better")
    assert "No better than the lower of these two: baseline, both." in of.sentence
    _, _, rows = arm_rows(comparison(PLAIN, BOTH, FRONTAL, best), {}, Links(tmp_path))
    assert [(row.arm, row.trained) for row in rows] == [
        *(("baseline", True), ("both", True), ("always frontal", False), ("always the mean pose", False))
    ]


def test_a_row_has_an_effect_per_baseline_on_one_scale(tmp_path: Path):
    metrics = {"dataset": "heads", "arm": "both", "seed": 0, "mae": 8.25}
    evaluations = {tmp_path / "both": Evaluated(metrics, pd.DataFrame(), Evaluation())}
    table = comparison(PLAIN, BOTH, LONGER, *AGAINST_LONGER)
    errors, baselines, rows = arm_rows(table, evaluations, Links(tmp_path))
    assert errors == ["mae"]
    assert baselines == [" against baseline", " against longer"]
    assert [row.arm for row in rows] == ["baseline", "both", "longer"]
    both = rows[1]
    assert [effect.verdict for effect in both.effects] == ["better", "within noise"]
    assert both.effects[1].text == "+11.1% (-2.0 to +24.2)"
    reach = 25 - -20
    zeros = [effect.zero for row in rows for effect in row.effects if effect.text]
    assert zeros == pytest.approx([100 * 20 / reach] * 4), "zero lies at the same place in all rows"
    assert both.effects[0].high == pytest.approx(100)
    assert [cell.text for cell in both.seeds] == ["8.25"]
    assert both.seeds[0].link == "both/metrics.json"


def test_the_first_cell_of_a_row_is_linked():
    sheet = linked(pd.DataFrame({"arm": ["a", "b"], "minutes": ["1", "2"]}), lambda row: f"#arm-{row['arm']}")
    assert sheet.heads == ["arm", "minutes"]
    assert [[tuple(cell) for cell in row] for row in sheet.rows] == [
        [("a", "#arm-a"), ("1", "")],
        [("b", "#arm-b"), ("2", "")],
    ]
