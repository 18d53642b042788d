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
SHOWN = "shown"
"""Tag of a comparison's run: when the study's pages began to show it, in seconds since 1970."""
VIEW = "view.json"
"""File of a comparison's run: the view of its trainings."""
NOTE = "mlflow.note.content"
"""Tag of a run or an experiment that MLflow's pages show as its description."""
_VIEW = "mlflow.sharedViewState."
_MORE = "What further questions found is in the description of their runs, `compare/QUESTION`."
_LONGEST = 20_000 - len(_MORE) - 4
"""Characters of an experiment's tag, above which MLflow refuses it."""


def view_tag(question: object) -> str:
    """The experiment's tag that holds the view of a question; None: of a study without questions."""
    return f"{_VIEW}{question or ALL_ARMS}"


def question_of(run: Any) -> str | None:
    """The question that a comparison's run answers; None: of a study without questions."""
    name: str | None = run.data.tags.get("question")
    return name


def questions_of(tags: Mapping[str, str]) -> list[str]:
    """Names of the views in an experiment's tags, in order."""
    return sorted(name.removeprefix(_VIEW) for name in tags if name.startswith(_VIEW))


def view_link(experiment: str, question: object) -> str:
    """Path of a question's view on MLflow's pages for training, not for language models."""
    return f"#/experiments/{experiment}/runs?workflowType=machine_learning&viewStateShareKey={question or ALL_ARMS}"


def study_note(experiment: str, comparisons: Mapping[str | None, Any]) -> str:
    """What all questions of a study found, with links; comparisons: the run of each, by question, in this order.

    MLflow shows the first line above every list of the study, and the rest when it is unfolded.
    """
    note = ""
    for question, run in comparisons.items():
        link, name = view_link(experiment, question), question or ALL_ARMS * (len(comparisons) > 1)
        headline = f"**{name}:** " * bool(name) + run.data.tags[HEADLINE]
        trainings = f"All trainings, best first: [as a list]({link}), [as charts]({link}&compareRunsMode=CHART)"
        page = f"#/experiments/{experiment}/runs/{run.info.run_id}?workflowType=machine_learning"
        found = f"{headline}\n\n{trainings}; [table and figures]({page})"
        if len(note) + len(found) > _LONGEST:
            return f"{note}\n\n{_MORE}"
        note = f"{note}\n\n{found}".strip()
    return note
