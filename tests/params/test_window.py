"""Which window is seen at test, by the parameters."""

import pytest
from pydantic import ValidationError

from pipeline_steps.images.augmentation import Augmentation
from pipeline_steps.params.sections import Evaluation
from tests.conftest import ROOT
from workflow.params import load_params
from workflow.plan import Plan


def test_only_a_window_that_is_asked_for_is_part_of_the_name():
    assert Evaluation().name == "test"
    assert Evaluation(part="validation", detail=109, window=0.9).name == "validation_detail_109_window_0.9"
    assert Evaluation(window=1.0).name == "test_window_1"


def test_a_window_that_is_asked_for_wins_over_the_training_windows():
    assert Evaluation().window_after(Augmentation(scale=(0.8, 1.0))) == 0.9
    assert Evaluation(window=1.0).window_after(Augmentation(scale=(0.8, 1.0))) == 1.0
    with pytest.raises(ValidationError, match="greater than 0"):
        Evaluation(window=0.0)


def windows(config: dict) -> dict[tuple[str, str], set[float]]:
    """Windows in the recipes of the tiny study, by step and arm."""
    plan = Plan(load_params([ROOT / "tests/studies/tiny.yaml"], config))
    found: dict[tuple[str, str], set[float]] = {}
    for recipe in (job.recipe for job in plan.jobs.values()):
        if recipe.step in ("evaluate", "export_model"):
            found.setdefault((recipe.step, str(recipe.job["arm"])), set()).add(recipe.params["window"])
    return found


def test_every_arm_is_tested_and_exported_by_the_middle_of_its_own_training_windows():
    own = {"init": "random", "finetune": {"augmentation": {"scale": [0.6, 1.0]}}}
    found = windows({"finetune": {"augmentation": {"scale": [0.8, 1.0]}}, "arms": {"narrow": own}})
    assert found["evaluate", "baseline"] == found["export_model", "baseline"] == {0.9}
    assert found["evaluate", "narrow"] == found["export_model", "narrow"] == {0.8}
    assert set.union(*windows({"evaluate": {"window": 0.7}}).values()) == {0.7}


def test_another_window_trains_nothing_again():
    def trainings(config: dict) -> dict[str, str]:
        plan = Plan(load_params([ROOT / "tests/studies/tiny.yaml"], config))
        return {folder: plan.jobs[folder].recipe.fingerprint for folder in plan.finetunings()}

    assert trainings({"evaluate": {"window": 0.7}}) == trainings({})
