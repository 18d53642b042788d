"""Errors and comparisons against values worked out by hand or by SciPy."""

import numpy as np
import pandas as pd
import pytest
from scipy.spatial.transform import Rotation

from pipeline_steps.evaluation.metrics import align, image_errors, prediction_table, summarise, with_groups
from pipeline_steps.params.sections import Evaluation
from pipeline_steps.pose.geometry import euler_to_matrix, matrix_to_euler


def test_errors_of_a_turn_about_one_axis():
    label = np.zeros((1, 3))
    predicted = euler_to_matrix(np.array([[12.0, 0, 0]]))
    errors = image_errors(label, euler_to_matrix(label), predicted).iloc[0]
    assert errors["yaw"] == pytest.approx(12)
    assert errors["mae"] == pytest.approx(4)
    assert errors["geodesic"] == pytest.approx(12)
    assert errors["maev"] == pytest.approx(8), "two of the three axes move by 12 degrees"


def test_angles_wrap():
    label, predicted = np.array([[0.0, 0.0, 179.0]]), np.array([[0.0, 0.0, -179.0]])
    errors = image_errors(label, euler_to_matrix(label), euler_to_matrix(predicted)).iloc[0]
    assert errors["roll"] == pytest.approx(2)


@pytest.mark.parametrize(
    ("label", "predicted", "errors"),
    [
        ((135, 30, -40), (135, 30, -40), (0, 0, 0)),
        ((90, 30, -40), (90, 30, -40), (0, 0, 0)),
        ((89.999, 30, -40), (89.999, 30, -40), (0, 0, 0)),
        ((-90, 30, -40), (-90, 30, -40), (0, 0, 0)),
        ((-180, 5, 0), (180, 5, 0), (0, 0, 0)),
        ((135, 30, -40), (125, 33, -38), (10, 3, 2)),
        ((95, 0, 0), (89, 3, 0), (6, 3, 0)),  # on the other side of the pole
        ((60, 30, -40), (60, 20, -40), (0, 10, 0)),
        ((95, 10, 5), (95, 10, 5), (0, 0, 0)),  # by the other triple, (85, -170, -175), 10, 180 and 180
        ((-95, 10, 5), (-95, 10, 5), (0, 0, 0)),
        ((85, 10, 5), (95, 10, 5), (10, 0, 0)),  # a predicted yaw beyond 90 degrees, and a label's that is not
        ((-85, 10, 5), (-95, 8, 6), (10, 2, 1)),
        ((70, 0, 0), (110, 0, 0), (40, 0, 0)),
        ((0, 0, 0), (180, 0, 0), (180, 0, 0)),  # the back of the head
    ],
)
def test_published_angles_are_compared_as_the_rotations_that_they_are(label, predicted, errors):
    labels, predictions = (np.array([[*of]], float) for of in (label, predicted))
    found = image_errors(labels, euler_to_matrix(labels), euler_to_matrix(predictions)).iloc[0]
    assert found[["yaw", "pitch", "roll"]].tolist() == pytest.approx(errors, abs=0.005)
    assert found["mae"] == pytest.approx(sum(errors) / 3, abs=0.005)


@pytest.mark.parametrize(
    ("label", "predicted", "mae", "wrapped"),
    [
        ((95, 10, 5), (95, 10, 5), 0, 10 / 3),  # the prediction's triple is (85, -170, -175)
        ((85, 10, 5), (95, 10, 5), 10 / 3, 0),  # the same triple: 0 + 180 + 180
        ((10, 20, 30), (14, 18, 31), 7 / 3, 7 / 3),
        ((0, 0, 175), (0, 0, -175), 10 / 3, 10 / 3),
        ((0, 0, 0), (0, 0, 178), 178 / 3, 2 / 3),  # upside down
    ],
)
def test_the_rule_of_other_repositories_is_a_column_of_its_own(label, predicted, mae, wrapped):
    labels, predictions = (np.array([[*of]], float) for of in (label, predicted))
    found = image_errors(labels, euler_to_matrix(labels), euler_to_matrix(predictions)).iloc[0]
    assert (found["mae"], found["mae_wrapped"]) == (pytest.approx(mae, abs=1e-6), pytest.approx(wrapped, abs=1e-6))


def test_alignment_removes_a_constant_turn_of_the_head_frame():
    labels = Rotation.random(50, random_state=0)
    offset = Rotation.from_euler("xyz", [5, -3, 8], degrees=True)
    aligned = align(labels.as_matrix(), (labels * offset).as_matrix())
    np.testing.assert_allclose(aligned, labels.as_matrix(), atol=1e-9)


def table(euler: np.ndarray, predicted: np.ndarray) -> pd.DataFrame:
    ids = [f"i{n}" for n in range(len(euler))]
    subjects = [f"s{n % 5}" for n in range(len(euler))]
    return prediction_table(ids, subjects, euler_to_matrix(euler), euler, euler_to_matrix(predicted))


def of_people(people: dict[str, tuple[int, float]], offsets_deg: dict[str, list[float]]) -> pd.DataFrame:
    """Predictions for so many images of each person, in which the head is turned too far by an angle, to both sides in
    turn, and its own axes are off by a constant of the person (XYZ); all in degrees.
    """
    names = [name for name, (count, _) in people.items() for _ in range(count)]
    labels = Rotation.random(len(names), random_state=0)
    offsets = Rotation.from_euler("XYZ", [offsets_deg[name] for name in names], degrees=True)
    sides = [[0, angle * (-1) ** n, 0] for count, angle in people.values() for n in range(count)]
    wobble = Rotation.from_rotvec(sides, degrees=True)
    predicted = labels * wobble * offsets
    euler = matrix_to_euler(labels.as_matrix())
    ids = [f"i{n}" for n in range(len(names))]
    return prediction_table(ids, names, labels.as_matrix(), euler, predicted.as_matrix())


def test_person_alignment_removes_a_constant_for_each_person_and_no_more():
    offsets = {"a": [5.0, -3.0, 8.0], "b": [-20.0, 0.0, 4.0], "alone": [9.0, 9.0, 9.0]}
    summary = summarise(of_people({"a": (6, 2.0), "b": (2, 6.0), "alone": (1, 0.0)}, offsets), Evaluation())
    assert summary["person_aligned"]["geodesic"] == pytest.approx((6 * 2 + 2 * 6) / 8), "alone has one image"
    assert summary["person_aligned"]["within_5"] == pytest.approx(6 / 8)
    assert summary["aligned"]["geodesic"] > 3 * summary["person_aligned"]["geodesic"]
    assert summary["aligned"].keys() == summary["person_aligned"].keys()


def test_one_constant_for_all_is_what_the_alignment_of_people_finds_for_each():
    same = {"a": [5.0, -3.0, 8.0], "b": [5.0, -3.0, 8.0]}
    summary = summarise(of_people({"a": (4, 2.0), "b": (2, 2.0)}, same), Evaluation())
    assert summary["person_aligned"] == pytest.approx(summary["aligned"])
    assert summary["person_aligned"]["geodesic"] == pytest.approx(2)


def test_people_with_one_image_each_cannot_be_aligned():
    alone = {f"p{n}": (1, 1.0) for n in range(4)}
    assert "person_aligned" not in summarise(of_people(alone, {name: [0.0, 0, 0] for name in alone}), Evaluation())


def test_the_mean_of_people_counts_everybody_alike():
    euler = np.zeros((5, 3))
    predicted = euler_to_matrix(np.array([[3.0, 0, 0], [3, 0, 0], [3, 0, 0], [3, 0, 0], [30, 0, 0]]))
    people = ["many", "many", "many", "many", "one"]
    frontal = euler_to_matrix(euler)
    summary = summarise(prediction_table([*"abcde"], people, frontal, euler, predicted), Evaluation())
    assert (summary["mae"], summary["geodesic"]) == (pytest.approx(42 / 15), pytest.approx(42 / 5))
    assert summary["mean_of_people"] == {"mae": pytest.approx(11 / 2), "geodesic": pytest.approx(33 / 2)}
    beside = with_groups(summary)
    assert beside["mae_mean_of_people"] == summary["mean_of_people"]["mae"]
    assert beside["geodesic_person_aligned"] == summary["person_aligned"]["geodesic"]


def test_what_a_label_does_not_say_has_no_error():
    euler = np.array([[-45.0, 10, np.nan], [15, 0, np.nan]])
    predicted = euler_to_matrix(np.array([[-42.0, 15, 70], [14, -3, 70]]))
    unknown = np.full((2, 3, 3), np.nan)
    summary = summarise(prediction_table(["a", "b"], ["s", "t"], unknown, euler, predicted), Evaluation())
    assert (summary["yaw"], summary["pitch"]) == (pytest.approx(2), pytest.approx(4))
    assert summary["mae"] == pytest.approx(3), "the mean of the known angles"
    assert not {"roll", "geodesic", "maev", "aligned", "person_aligned", "within_5"} & set(summary)
    assert summary["mean_of_people"] == {"mae": pytest.approx(3)}
    assert summary["by_yaw"][0] == {"low": -60.0, "high": -30.0, "n": 1, "mae": pytest.approx(4)}


def test_summary_bins_and_counts():
    euler = np.array([[-45.0, 0, 0], [15, 0, 0], [20, 0, 0]])
    moved = euler + np.array([[3, 0, 0], [6, 0, 0], [12, 0, 0]])
    summary = summarise(table(euler, moved), Evaluation())
    assert summary["n"] == 3
    assert summary["yaw"] == pytest.approx(7)
    assert [summary[f"within_{limit}"] for limit in (5, 10, 15)] == pytest.approx([1 / 3, 2 / 3, 1])
    bins = {(b["low"], b["high"]): (b["n"], b["geodesic"]) for b in summary["by_yaw"]}
    assert bins[(-60.0, -30.0)] == (1, pytest.approx(3))
    assert bins[(0.0, 30.0)] == (2, pytest.approx(9))
    assert summary["mae_low"] <= summary["mae"] <= summary["mae_high"]


def test_every_image_is_in_one_row_of_the_errors_by_yaw():
    yaws = [-180.0, -135, -90, -89.9, 0, 89.9, 90, 90.1, 135, 180]
    euler = np.array([[yaw, 0, 0] for yaw in yaws])
    rows = summarise(table(euler, euler), Evaluation(yaw_bins=[-90.0, 0.0, 90.0]))["by_yaw"]
    assert [(row["low"], row["high"], row["n"]) for row in rows] == [
        *[(-180, -90, 2), (-90, 0, 2), (0, 90, 3), (90, 180, 3)]
    ]
    rows = summarise(table(euler, euler), Evaluation(yaw_bins=[-60.0, 60.0]))["by_yaw"]
    assert [(row["low"], row["high"], row["n"]) for row in rows] == [
        *[(-180, -90, 2), (-90, -60, 2), (-60, 60, 1), (60, 90, 1), (90, 180, 4)]
    ]


def test_gimbal_lock_does_not_break_the_geodesic_error():
    euler = np.array([[90.0, 10, 20]])
    again = euler_to_matrix(matrix_to_euler(euler_to_matrix(euler)))
    assert image_errors(euler, euler_to_matrix(euler), again)["geodesic"].iloc[0] < 1e-5
