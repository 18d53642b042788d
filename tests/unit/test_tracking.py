"""What an experiment's pages in MLflow begin with."""

from pathlib import Path

import pandas as pd
import pytest
from mlflow.utils.validation import _validate_experiment_tag

from pipeline_steps.tracking.view import experiment_tags


@pytest.mark.parametrize(("arms", "whole"), [(2, True), (400, False)])
def test_a_studys_note_names_the_best_arm_and_is_never_too_long_for_mlflow(tmp_path: Path, arms: int, whole: bool):
    names, errors = [f"arm{n:03}" for n in range(arms)], [9.0 - n / 100 for n in range(arms)]
    table = pd.DataFrame({"dataset": "heads", "arm": names, "error": "mae", "mae": errors, "geodesic": errors})
    table.to_csv(tmp_path / "table.csv")
    (tmp_path / "table.md").write_text(text := table.to_markdown())
    for name, value in experiment_tags("1", tmp_path).items():
        _validate_experiment_tag(name, value)
    note = experiment_tags("1", tmp_path)["mlflow.note.content"]
    assert f"On heads, **arm{arms - 1:03}** errs least: mae {errors[-1]:.2f} degrees." in note
    assert (text in note) == whole
