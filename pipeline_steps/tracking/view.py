"""The start of a study's pages in MLflow: the table of its arms, and its trainings by test error.

A view is a tag of the experiment, as MLflow's own button "Share" writes it; `viewStateShareKey` in a link names it.
"""

import json
from pathlib import Path

from pipeline_steps.evaluation.design import read_design
from pipeline_steps.evaluation.reading import read_table
from pipeline_steps.params.sections import Evaluation

VIEW = "arms"
VIEW_TAG = f"mlflow.sharedViewState.{VIEW}"
LONGEST_TAG = 20_000
"""Characters of an experiment's tag, above which MLflow refuses it."""


def view_link(experiment: str) -> str:
    """Path of an experiment's view on MLflow's pages for training, not for language models."""
    return f"#/experiments/{experiment}/runs?workflowType=machine_learning&viewStateShareKey={VIEW}"


def metric(evaluate: Evaluation, dataset: str | int, error: str) -> str:
    """Name of an error in MLflow, such as test/biwi/mae or validation_flip_test/biwi/mae."""
    return f"{evaluate.name}/{dataset}/{error}"


def experiment_tags(experiment: str, comparison: Path) -> dict[str, str]:
    """The experiment's note and view, from the comparison in a folder; errors are in degrees."""
    table, design = read_table(comparison / "table.csv"), read_design(comparison / "design.json")
    error, datasets = str(table["error"].iloc[0]), list(dict.fromkeys(table["dataset"]))
    names = dict.fromkeys([error, "geodesic"])
    errors = [f"metrics.`{metric(design.evaluate, dataset, name)}`" for dataset in datasets for name in names]
    view = {
        "searchFilter": "tags.stage = 'finetune'",
        "orderByKey": errors[0],
        "orderByAsc": True,
        "selectedColumns": ["tags.`arm`", "tags.`seed`", *errors],
    }
    best = [table.loc[table[table["dataset"] == dataset][error].idxmin()] for dataset in datasets]
    lowest = [
        f"On {row['dataset']}, **{row['arm']}** has the lowest error: {error} {row[error]:.2f} degrees." for row in best
    ]
    link = view_link(experiment)
    links = f"All trainings, best first: [as a list]({link}), [as charts]({link}&compareRunsMode=CHART)"
    note = "\n\n".join([*lowest, links, (comparison / "table.md").read_text("utf-8")])
    if len(note) > LONGEST_TAG:
        elsewhere = "The table of all arms is among the files of the run `compare`: comparison/table.md."
        note = "\n\n".join([*lowest, links, elsewhere])
    return {"mlflow.note.content": note, VIEW_TAG: json.dumps(view)}
