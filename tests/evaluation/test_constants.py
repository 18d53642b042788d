"""Poses that are the same for every image, in a comparison's table."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.spatial.transform import Rotation

from pipeline_steps.evaluation.constants import constant_metrics, constant_poses, with_constants
from pipeline_steps.evaluation.metrics import prediction_table
from pipeline_steps.evaluation.reading import Evaluated, read_table
from pipeline_steps.evaluation.sheets import arms, as_markdown, main_errors
from pipeline_steps.evaluation.table import as_metrics, by_baseline, compare_arms, no_better_than_constants
from pipeline_steps.images.crop_file import Crop, CropFile, write_crops
from pipeline_steps.params.sections import Comparison, Evaluation
from pipeline_steps.pose.geometry import euler_to_matrix, matrix_to_euler
from pipeline_steps.splits.split_file import Parts, Split
from tests.evaluation.test_comparison import ERRORS, evaluation

POSES = {"always frontal": np.eye(3), "always the mean pose": euler_to_matrix(np.array([30.0, 0, 0]))}
NAMES = list(POSES)


def test_the_mean_pose_is_that_of_the_labelled_training_images_alone(tmp_path: Path):
    turns = Rotation.from_euler("XYZ", [[0, 20, 0], [0, 40, 0], [60, 0, 60], [9, 9, 9]], degrees=True).as_matrix()
    turns = np.concatenate([turns, np.full((1, 3, 3), np.nan)])
    crops = [
        Crop(name, np.zeros((8, 8, 3), np.uint8), name, turn, matrix_to_euler(turn))
        for name, turn in zip(("a", "b", "validated", "tested", "unlabelled"), turns, strict=True)
    ]
    write_crops(tmp_path / "crops.h5", crops, 5, "heads", "{}", {"size": 8, "context": 0.0})
    split = Split(
        train=["a", "b", "unlabelled"],
        validation=["validated"],
        test=["tested"],
        subjects=Parts(train=["a", "b", "unlabelled"], validation=["validated"], test=["tested"]),
        left_out=0,
    )
    with CropFile(tmp_path / "crops.h5") as file:
        poses = constant_poses(file, split)
    assert list(poses) == NAMES
    np.testing.assert_array_equal(poses["always frontal"], np.eye(3))
    expected = Rotation.from_euler("Y", 30, degrees=True).as_matrix()
    np.testing.assert_allclose(poses["always the mean pose"], expected, atol=1e-6)


def test_labels_without_roll_are_held_against_the_angles_that_they_have():
    euler = np.array([[30.0, 15.0, np.nan], [-60.0, 0.0, np.nan]])
    unknown = np.full((2, 3, 3), np.nan)
    table = prediction_table(["a", "b"], ["p", "q"], unknown, euler, np.tile(np.eye(3), (2, 1, 1)))
    of = Evaluated({"dataset": "directed", "arm": "x", "seed": 0}, table.set_index("source_id"), Evaluation())
    found = constant_metrics([of], [POSES])
    assert found["always frontal"]["mae"] == pytest.approx((30 + 15 + 60 + 0) / 4)
    assert found["always the mean pose"]["mae"] == pytest.approx((0 + 15 + 90 + 0) / 4)
    assert "geodesic" not in found["always frontal"]


@pytest.mark.parametrize("baselines", [["baseline"], ["baseline", "other"]])
def test_arms_are_the_same_with_and_without_constants(tmp_path: Path, baselines: list[str]):
    evaluations = [
        evaluation(tmp_path, arm, factor * ERRORS, seed, dataset=dataset)
        for dataset in ("heads", "faces")
        for arm, factor in (("baseline", 1.0), ("other", 0.7))
        for seed in (0, 1)
    ]
    alone = compare_arms(evaluations, Comparison(baselines=baselines, bootstrap=100))
    table = with_constants(alone, evaluations, [POSES])
    table.to_csv(tmp_path / "table.csv", index=False)
    read = read_table(tmp_path / "table.csv")
    for of in (table, read):
        assert list(by_baseline(of)) == list(by_baseline(alone))
        for name, block in by_baseline(of).items():
            pd.testing.assert_frame_equal(
                block.reset_index(drop=True), by_baseline(alone)[name].reset_index(drop=True), check_dtype=False
            )
        assert as_metrics(of) == as_metrics(alone)
        for sheet in (arms(of), main_errors(of)):
            order = list(zip(sheet["dataset"], sheet["arm"], strict=True))
            assert [arm for dataset, arm in order if dataset == "faces"][-2:] == NAMES
            assert len(order) == 2 * (2 + 2)
        assert "nan" not in as_markdown(of)


def test_an_arm_that_errs_as_much_as_the_better_constant_does_not_beat_it(tmp_path: Path):
    """All labels are frontal, so that always frontal has no error, and the mean pose one of 10 degrees (mae)."""
    evaluations = [evaluation(tmp_path, arm, np.full(8, error)) for arm, error in (("baseline", 9.0), ("other", 11.0))]
    table = with_constants(
        compare_arms(evaluations, Comparison(baselines=["baseline"], bootstrap=100)), evaluations, [POSES]
    )
    assert table.set_index("arm")["mae"].to_dict() == pytest.approx(
        {"baseline": 9, "other": 11, "always frontal": 0, "always the mean pose": 10}, abs=1e-4
    )
    assert no_better_than_constants(table) == ["baseline", "other"]
    without_frontal = table[table["arm"] != "always frontal"]
    assert no_better_than_constants(without_frontal) == ["other"]
    assert "On heads, no better than the lower of the two: baseline, other." in as_markdown(table)
    assert no_better_than_constants(compare_arms(evaluations, Comparison(baselines=["baseline"]))) == []
