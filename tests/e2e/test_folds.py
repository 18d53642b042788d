"""Cross-validation over subjects through the workflow."""

import json

import pandas as pd
import pytest

from tests.conftest import World

pytestmark = pytest.mark.e2e

FOLDS = {
    "seeds": [0, 1],
    "datasets": {"rendered": {"split": {"folds": 2, "test_subjects": None, "validation_subjects": 1}}},
    "arms": {"pretrained": None, "pretrained_hybrid": None},
}


def test_every_subject_but_one_to_validate_on_is_tested_once_by_a_model_that_never_saw_it(copy: World):
    done = copy.snakemake(overlay=FOLDS)
    assert done.returncode == 0, done.stdout + done.stderr
    study = copy.folder / "results/tiny/default"
    split = json.loads((copy.folder / "data/splits/rendered-32px/split.json").read_text())
    for arm in ("baseline", "hybrid"):
        tested = [
            pd.read_parquet(study / f"evaluate/test/rendered/{arm}/seed{seed}/predictions.parquet") for seed in (0, 1)
        ]
        for fold, table in zip(split["folds"], tested, strict=True):
            assert set(table["source_id"]) == set(fold["test"])
        assert len(pd.concat(tested)["source_id"].unique()) == 28  # of seven subjects; one is validated on
        budgets = [json.loads((study / f"finetune/{arm}/seed{seed}/run.json").read_text()) for seed in (0, 1)]
        assert [run["labelled_subjects"] for run in budgets] == [3, 3]
    table = pd.read_csv(study / "compare/table.csv")
    arms = table[table["verdict"] != "constant"]
    assert arms["images"].tolist() == [28, 28]
    assert arms["subjects"].tolist() == [7, 7]
    assert arms["folds"].tolist() == [2, 2]
    assert set(table.loc[table["verdict"] == "constant", "images"]) == {28}
    for row in arms.itertuples():
        metrics = [
            json.loads((study / f"evaluate/test/rendered/{row.arm}/seed{seed}/metrics.json").read_text())
            for seed in (0, 1)
        ]
        assert [of["n"] for of in metrics] == [12, 16]
    design = json.loads((study / "compare/design.json").read_text())["data"]["rendered"]
    assert (design["folds"], design["test"]) == (2, {"images": 28, "subjects": 7})
    assert not copy.planned(FOLDS)
