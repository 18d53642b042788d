"""What MLflow shows of a comparison: its numbers, its verdict in a line, the order of the trainings."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline_steps.evaluation.design import read_design
from pipeline_steps.evaluation.reading import read_table
from pipeline_steps.evaluation.sheets import reduction
from pipeline_steps.evaluation.table import arms_of, no_better_than_constants
from pipeline_steps.params.leaves import leaves
from pipeline_steps.params.sections import Evaluation

_LONGEST = 8000
"""Characters of a run's tag, above which MLflow cuts it off."""
_LONGEST_VIEW = 20_000
"""Characters of an experiment's tag, above which MLflow refuses it."""


def metric(evaluate: Evaluation, dataset: str | int, error: str) -> str:
    """Name of an error in MLflow, such as test/biwi/mae or validation_flip_test/biwi/mae."""
    return f"{evaluate.name}/{dataset}/{error}"


class Compared:
    """A comparison's folder, as MLflow shows it; errors are in degrees."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        table, self.evaluate = read_table(folder / "table.csv"), read_design(folder / "design.json").evaluate
        self.datasets = {str(dataset): rows for dataset, rows in table.groupby("dataset", sort=False)}

    def metrics(self) -> dict[str, float]:
        """Errors of every arm and their effects, such as test/biwi/hybrid/reduction (percent)."""
        numbers = leaves(json.loads((self.folder / "metrics.json").read_text()))
        return {metric(self.evaluate, *name.replace(".", "/").split("/", 1)): value for name, value in numbers.items()}

    @property
    def arms(self) -> set[str]:
        """Names of the arms, without constant poses."""
        return {str(arm) for rows in self.datasets.values() for arm in arms_of(rows)["arm"]}

    def view(self, trainings: Sequence[str]) -> dict[str, Any]:
        """A list of trainings, best first on the first data set, with their errors on all.

        trainings: ids of the runs of the compared ones. Where the store has none, or more than fit into a tag, the list
        is of all trainings of the study.
        """
        errors = {name: dict.fromkeys([rows["error"].iloc[0], "geodesic"]) for name, rows in self.datasets.items()}
        columns = [f"metrics.`{metric(self.evaluate, name, e)}`" for name, of in errors.items() for e in of]
        all_trainings: dict[str, Any] = {
            "searchFilter": "tags.stage = 'finetune'",
            "orderByKey": columns[0],
            "orderByAsc": True,
            "selectedColumns": ["tags.`arm`", "tags.`seed`", *columns],
        }
        ids = ", ".join(f"'{run}'" for run in trainings)
        view = all_trainings | {"searchFilter": f"attributes.run_id IN ({ids})"}
        return view if trainings and len(json.dumps(view)) <= _LONGEST_VIEW else all_trainings

    def headline(self) -> str:
        """A line for every data set: the arm with the lowest error, with the verdict on it."""
        return "\n\n".join(_headline(dataset, rows) for dataset, rows in self.datasets.items())

    def note(self) -> str:
        """Headline and table, or where the table is if it is too long for a tag."""
        note = f"{self.headline()}\n\n{(self.folder / 'table.md').read_text('utf-8')}"
        if len(note) <= _LONGEST:
            return note
        return f"{self.headline()}\n\nThe table of all arms is among this run's files: comparison/table.md."


def _headline(dataset: str, rows: pd.DataFrame) -> str:
    arms, error = arms_of(rows), str(rows["error"].iloc[0])
    best = arms.nsmallest(1, error).iloc[0]
    against = [
        f"against {row['baseline']}: {row['verdict']}, {reduction(row)}"
        for row in arms[arms["arm"] == best["arm"]].to_dict("records")
        if row["baseline"] != row["arm"]
    ] or ["it is a baseline: no arm has a lower one"]
    if best["arm"] in no_better_than_constants(rows):
        against.append("**no better than one and the same pose for every image**")
    lowest = f"Lowest {error} on {dataset}: **{best['arm']}**, {best[error]:.2f} degrees"
    return "; ".join([lowest, *against]) + "."
