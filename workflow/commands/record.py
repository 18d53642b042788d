"""Versions the data and results of the study in params.yaml with DVC: python -m workflow.commands.record

dvc.yaml says which, with `study`, `size` and `question` as DVC itself reads them from params.yaml.
"""

import subprocess
from pathlib import Path

import dvc.api

from pipeline_steps.job.command_line import main
from pipeline_steps.job.errors import UserError
from workflow.freshness.reasons import reasons
from workflow.freshness.state import State
from workflow.params import load_params
from workflow.plan import Plan
from workflow.questions import DEFAULT

NOT_VERSIONED = ("acquire_dataset", "export_model")
"""Steps whose results dvc.yaml leaves out: large, and made again from what lies elsewhere."""

NEXT = (
    "recorded  git add params.yaml dvc.lock && git commit   (`make compare` and `dvc metrics diff` see commits alone)"
)
"""What is left to do once everything is versioned."""


def record() -> None:
    """Version data and results, once nothing is left to run, and say what to commit."""
    plan = Plan(load_params())
    require_plain_names({"study": plan.params.study, "size": plan.params.size, "question": plan.params.question or ""})
    state = State(plan.jobs)
    versioned = [folder for folder, job in plan.jobs.items() if job.recipe.step not in NOT_VERSIONED]
    for folder in versioned:
        if not state.is_current(folder):
            raise UserError(
                f"{folder}: {reasons(state, folder)[0]}; only whole results of one study are versioned; run: snakemake "
                "all_data all_pretrained all_finetuned all"
            )
    Path(plan.layout.pretrainings).mkdir(exist_ok=True)  # a study need not have any, but dvc.yaml names their folder
    if subprocess.run(["dvc", "commit", "--force"], check=False).returncode:
        raise UserError("DVC has not versioned the results, for the reason that it gives above")
    print(NEXT)


def require_plain_names(asked: dict[str, str]) -> None:
    """Raise UserError where DVC does not find in params.yaml what the study, its size or its question is called.

    asked: their names by key. DVC reads params.yaml alone, by another version of YAML, and knows no defaults.
    """
    found = dvc.api.params_show(DEFAULT.name)
    for key, name in asked.items():
        if key not in found or found[key] != name:
            seen = f"reads {found[key]!r}" if key in found else "finds none"
            value = name if name.isidentifier() else f'"{name}"'
            raise UserError(
                f"{DEFAULT.name}: {key}: DVC looks for it in this file and {seen}; write `{key}: {value}` there"
            )


if __name__ == "__main__":
    main(record)
