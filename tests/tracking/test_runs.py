"""The names of errors in MLflow, and the start of an experiment's pages."""

import json
from pathlib import Path

import pandas as pd
import pytest
from mlflow.utils.validation import _validate_experiment_tag

from pipeline_steps.evaluation.design import Design, Study, Trainings
from pipeline_steps.job.recipe import Recipe
from pipeline_steps.params.sections import Comparison, Evaluation
from pipeline_steps.tracking.outcomes import evaluation_errors
from pipeline_steps.tracking.view import VIEW_TAG, experiment_tags


def write_design(folder: Path, **evaluate: object) -> None:
    nothing = Trainings(shared={}, by_name={})
    design = Design(
        study=Study(seeds=[0], train_on="heads"),
        data={},
        pretrain=nothing,
        finetune=nothing,
        evaluate=Evaluation.model_validate(evaluate),
        compare=Comparison(baselines=["a"]),
    )
    (folder / "design.json").write_text(design.model_dump_json())


@pytest.mark.parametrize(("arms", "complete"), [(2, True), (400, False)])
def test_a_studys_note_names_the_best_arm_and_is_never_too_long_for_mlflow(tmp_path: Path, arms: int, complete: bool):
    names, errors = [f"arm{n:03}" for n in range(arms)], [9.0 - n / 100 for n in range(arms)]
    table = pd.DataFrame({"dataset": "heads", "arm": names, "error": "mae", "mae": errors, "geodesic": errors})
    table.to_csv(tmp_path / "table.csv")
    (tmp_path / "table.md").write_text(text := table.to_markdown())
    write_design(tmp_path, part="test", flip_test=False)
    for name, value in experiment_tags("1", tmp_path).items():
        _validate_experiment_tag(name, value)
    note = experiment_tags("1", tmp_path)["mlflow.note.content"]
    assert f"On heads, **arm{arms - 1:03}** has the lowest error: mae {errors[-1]:.2f} degrees." in note
    assert (text in note) == complete


@pytest.mark.parametrize(
    ("evaluate", "prefix"),
    [
        ({"part": "test"}, "test"),
        ({"part": "test", "flip_test": False}, "test"),
        ({"part": "test", "flip_test": True}, "test_flip_test"),
        ({"part": "validation", "flip_test": False, "detail": None}, "validation"),
        ({"part": "test", "flip_test": True, "detail": 109}, "test_flip_test_detail_109"),
    ],
)
def test_errors_of_another_kind_do_not_take_the_place_of_the_test_errors(tmp_path: Path, evaluate: dict, prefix: str):
    (tmp_path / "metrics.json").write_text(json.dumps({"dataset": "heads", "n": 8, "mae": 4.5}))
    recipe = Recipe(step="evaluate", job={"dataset": "heads"}, params={"evaluate": evaluate})
    assert evaluation_errors(recipe, tmp_path) == {f"{prefix}/heads/mae": 4.5}
    pd.DataFrame({"dataset": ["heads"], "arm": "a", "error": "mae", "mae": 4.5, "geodesic": 9.0}).to_csv(
        tmp_path / "table.csv"
    )
    (tmp_path / "table.md").write_text("")
    write_design(tmp_path, **evaluate)
    view = json.loads(experiment_tags("1", tmp_path)[VIEW_TAG])
    assert view["orderByKey"] == f"metrics.`{prefix}/heads/mae`"
