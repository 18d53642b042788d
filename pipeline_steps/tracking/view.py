"""What MLflow's pages show of a study first: the table of its arms, and its trainings by test error.

A view is a tag of the experiment, as MLflow's own button "Share" writes it; `viewStateShareKey` in a link names it.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

VIEW = "arms"
VIEW_TAG = f"mlflow.sharedViewState.{VIEW}"
LONGEST_TAG = 20_000
"""Characters that MLflow keeps of an experiment's tag; a longer one it refuses."""


def view_link(experiment: str) -> str:
    """Path of an experiment's view on MLflow's pages for training, not for language models."""
    return f"#/experiments/{experiment}/runs?workflowType=machine_learning&viewStateShareKey={VIEW}"


def errors_of(evaluate: Mapping[str, Any]) -> str:
    """What names of an evaluation's errors begin with, before /DATASET/ERROR: test, or validation_flip_test.

    evaluate: its parameters, of a recipe or as a comparison's table of the design has them.
    """
    kinds = [str(evaluate["part"])]
    if evaluate.get("flip_test") in (True, "true"):
        kinds.append("flip_test")
    if (detail := evaluate.get("detail")) not in (None, "null"):
        kinds.append(f"detail_{detail}")
    return "_".join(kinds)


def experiment_tags(experiment: str, comparison: Path) -> dict[str, str]:
    """The experiment's note and view, after the comparison in a folder; errors are in degrees."""
    table = pd.read_csv(comparison / "table.csv")
    error, datasets = str(table["error"].iloc[0]), list(dict.fromkeys(table["dataset"]))
    design = pd.read_csv(comparison / "design.csv", dtype=str, keep_default_na=False)
    of_evaluate = design[design["of"] == "evaluate"]
    prefix = errors_of(dict(zip(of_evaluate["key"], of_evaluate["value"], strict=True)))
    names = dict.fromkeys([error, "geodesic"])
    errors = [f"metrics.`{prefix}/{dataset}/{name}`" for dataset in datasets for name in names]
    view = {
        "searchFilter": "tags.stage = 'finetune'",
        "orderByKey": errors[0],
        "orderByAsc": True,
        "selectedColumns": ["tags.`arm`", "tags.`seed`", *errors],
    }
    best = [table.loc[table[table["dataset"] == dataset][error].idxmin()] for dataset in datasets]
    said = [f"On {row['dataset']}, **{row['arm']}** errs least: {error} {row[error]:.2f} degrees." for row in best]
    link = view_link(experiment)
    links = f"All trainings, best first: [as a list]({link}), [as charts]({link}&compareRunsMode=CHART)"
    note = "\n\n".join([*said, links, (comparison / "table.md").read_text("utf-8")])
    if len(note) > LONGEST_TAG:
        elsewhere = f"The table of all {len(table)} rows is among the files of the run `compare`: comparison/table.md."
        note = "\n\n".join([*said, links, elsewhere])
    return {"mlflow.note.content": note, VIEW_TAG: json.dumps(view)}
