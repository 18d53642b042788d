"""`compare` on a study whose errors are known: its arms beside poses that are the same for every image."""

from pathlib import Path

import pandas as pd
import pytest
from scipy.spatial.transform import Rotation

from tests.steps.made_up import ARMS, LABELS, Study

CONSTANTS = {"always frontal": 0.0, "always the mean pose": 30.0}
"""Yaw in degrees of what is predicted for every image: no turn, and the mean of the labelled training images."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("study")
    return Study(folder).compare(folder / "compare")


def geodesic(pose: list[float], yaw: float) -> float:
    """Angle in degrees between a pose and a turn by the yaw alone, by SciPy."""
    label = Rotation.from_euler("XYZ", [-pose[1], -pose[0], -pose[2]], degrees=True)
    told = Rotation.from_euler("Y", -yaw, degrees=True)
    return float((label.inv() * told).magnitude() * 180 / 3.141592653589793)


def test_every_data_set_has_rows_of_constant_poses_with_their_errors(made: Path):
    table = pd.read_csv(made / "table.csv").set_index(["dataset", "arm"])
    for dataset, labels in LABELS.items():
        for name, yaw in CONSTANTS.items():
            row = table.loc[(dataset, name)]
            wrong = [(abs(a - yaw), abs(b), abs(c)) for a, b, c in labels]
            assert row["mae"] == pytest.approx(sum(map(sum, wrong)) / 9, abs=1e-4)
            assert row["geodesic"] == pytest.approx(sum(geodesic(label, yaw) for label in labels) / 3, abs=1e-4)
            assert (row["verdict"], row["seeds"], row["images"]) == ("constant", 0, 3)
            assert row[["reduction", "low", "high", "mae_std"]].isna().all()


def test_arms_are_compared_as_if_there_were_no_constants(made: Path):
    table = pd.read_csv(made / "table.csv")
    arms = table[table["verdict"] != "constant"].set_index(["dataset", "arm"])
    for dataset in LABELS:
        for arm, error in ARMS.items():
            assert arms.loc[(dataset, arm), "yaw"] == pytest.approx(error + 0.05, abs=1e-4), "mean over two seeds"
    assert arms["reduction"].notna().sum() == 2 * (len(ARMS) - 1)
    worst = pd.read_csv(made / "worst.csv")
    assert set(worst["arm"]) == {"pretrained", "baseline"}


def test_the_page_says_where_no_arm_beats_one_answer_to_every_image(made: Path):
    text = (made / "table.md").read_text("utf-8")
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if line.startswith("|")]
    shown = [(row[0], row[1], row[2], row[-1]) for row in rows[2:]]
    for dataset in LABELS:
        assert shown.index((dataset, "always the mean pose", "", "constant")) > shown.index(
            (dataset, "baseline", "2", "baseline")
        )
    assert [name for dataset, name, *_ in shown if dataset == "faces"][-2:] == list(CONSTANTS)
    (beaten,) = [line for line in text.splitlines() if "On faces, no better than the lower of the two: " in line]
    assert all(arm in beaten.split("On faces, no better")[1] for arm in ARMS)
    assert "On rendered, no better" not in text
