"""Which model is exported where none is named: the arm and seed that err least on the validation people."""

import json
from pathlib import Path

from workflow.commands.best_model import best_model


def training(folder: Path, errors: list[float], chosen: int) -> Path:
    folder.mkdir(parents=True)
    rows = [f"{epoch},{error}" for epoch, error in enumerate(errors, 1)]
    (folder / "history.csv").write_text("\n".join(["epoch,val_geodesic_deg", *rows]))
    (folder / "run.json").write_text(json.dumps({"chosen_epoch": chosen}))
    (folder / "recipe.json").write_text(json.dumps({"step": "finetune", "job": {}, "params": {}}))
    return folder


def test_the_arm_is_chosen_by_its_mean_and_the_seed_by_its_own_error_at_the_epoch_that_was_kept(tmp_path: Path):
    trainings = [
        training(tmp_path / "lucky/seed0", [9.0, 2.0], 2),
        training(tmp_path / "lucky/seed1", [9.0, 20.0], 2),
        training(tmp_path / "steady/seed0", [8.0, 7.0], 2),
        training(tmp_path / "steady/seed1", [6.0, 1.0], 1),
    ]
    assert best_model(trainings) == ("steady", 1)
