"""The start of a study's pages in MLflow: what each of its questions found, and its trainings by test error.

A view is a tag of the experiment, as MLflow's own button "Share" writes it; `viewStateShareKey` in a link names it. A
study has one for every question.
"""

from collections.abc import Mapping
from typing import Any

ALL_ARMS = "arms"
"""Name of the view of a study without questions."""
HEADLINE = "headline"
"""Tag of a comparison's run."""
NOTE = "mlflow.note.content"
"""Tag of a run or an experiment that MLflow's pages show as its description."""
_VIEW = "mlflow.sharedViewState."
_MORE = "What further questions found is in the description of their runs, `compare/QUESTION`."
_LONGEST = 20_000 - len(_MORE) - 4
"""Characters of an experiment's tag, above which MLflow refuses it."""


def view_tag(question: object) -> str:
    """The experiment's tag that holds the view of a question; None: of a study without questions."""
    return f"{_VIEW}{question or ALL_ARMS}"


def questions_of(tags: Mapping[str, str]) -> list[str]:
    """Names of the views in an experiment's tags, in order."""
    return sorted(name.removeprefix(_VIEW) for name in tags if name.startswith(_VIEW))


def view_link(experiment: str, question: object) -> str:
    """Path of a question's view on MLflow's pages for training, not for language models."""
    return f"#/experiments/{experiment}/runs?workflowType=machine_learning&viewStateShareKey={question or ALL_ARMS}"


def study_note(experiment: str, comparisons: Mapping[str | None, Any]) -> str:
    """What all questions of a study found, with links; comparisons: the run of each, by question."""
    note = ""
    for question in sorted(comparisons, key=lambda name: name or ""):
        run, link = comparisons[question], view_link(experiment, question)
        headline = f"**{question}:** " * bool(question) + run.data.tags[HEADLINE]
        trainings = f"All trainings, best first: [as a list]({link}), [as charts]({link}&compareRunsMode=CHART)"
        page = f"#/experiments/{experiment}/runs/{run.info.run_id}?workflowType=machine_learning"
        found = f"{headline}\n\n{trainings}; [table and figures]({page})"
        if len(note) + len(found) > _LONGEST:
            return f"{note}\n\n{_MORE}"
        note = f"{note}\n\n{found}".strip()
    return note
