"""Why jobs would run: python -m workflow.why [FOLDER] [--configfile FILE...] [--config KEY=VALUE...]

A line for every job that `snakemake` would run, with the parameter, module, input or file that makes it run:

    finetune hybrid/seed0 would run because finetune.learning_rate 0.001 -> 0.002

Results that were replaced, and are wanted again, would be taken back instead.

FOLDER: of results, to ask about one job only; then versions of libraries that differ are shown as well, which make
nothing run.
"""

from pathlib import Path
from typing import Annotated

from snakemake.cli import parse_config
from typer import Argument, Option

from pipeline_steps.job.command_line import main
from pipeline_steps.job.errors import UserError
from workflow.freshness.reasons import other_versions, reasons
from workflow.freshness.state import State
from workflow.params import load_params
from workflow.plan import Plan


def would_run(state: State, targets: list[str]) -> dict[str, list[str]]:
    """Why each job would run that the targets need, by the folder of its results, what comes first before the others.

    A job that is up to date reads nothing, so whatever lies upstream of it does not count.
    """
    found: dict[str, list[str]] = {}

    def visit(folder: str) -> None:
        if folder in found or state.is_current(folder):
            return
        why = reasons(state, folder)
        kept = state.earlier(folder)
        for upstream in state.jobs[folder].upstream:
            if kept is None or state.must_follow(upstream):
                visit(upstream)
        found[folder] = why

    for target in targets:
        visit(target)
    return found


def why(
    words: Annotated[list[str] | None, Argument(help="folder of results; by default all that would run")] = None,
    configfile: Annotated[list[Path] | None, Option(help="studies or overlays, as for snakemake")] = None,
    config: Annotated[list[str] | None, Option(help="KEY=VALUE..., as for snakemake")] = None,
) -> None:
    """Say why jobs would run."""
    values, files, folders = [*(config or [])], [*(configfile or [])], []
    for word in words or []:  # as after snakemake's options, which take several values each
        if "=" in word:
            values.append(word)
        elif word.endswith((".yaml", ".yml")):
            files.append(Path(word))
        else:
            folders.append(word.rstrip("/"))
    plan = Plan(load_params(files, parse_config(values)))
    state = State(plan.jobs)
    for folder in folders:
        if folder not in plan.jobs:
            raise UserError(
                f"{folder}: this study has no results there; they are in {plan.layout.folder} and data: see --help"
            )
        print("\n".join(explained(state, folder)))
    if not folders:
        found = would_run(state, [plan.comparison, plan.report, *state.to_put_back()])
        lines = [f"{_verb(state, name)} because {'; '.join(because)}" for name, because in found.items()]
        print("\n".join(lines) or "nothing would run: all results are up to date")


def explained(state: State, folder: str) -> list[str]:
    """All that is known about one job: why it would run, and library versions that differ."""
    because = reasons(state, folder)
    lines = [f"{_verb(state, folder)} because {reason}" for reason in because]
    lines = lines or [f"{state.jobs[folder].name} is up to date"]
    if state.is_current(folder) and (versions := other_versions(Path(folder))):
        lines.append(f"computed with other versions, which makes nothing run: {', '.join(versions)}")
    return lines


def _verb(state: State, folder: str) -> str:
    """What would become of a job that is not up to date."""
    name, kept = state.jobs[folder].name, state.earlier(folder)
    return f"{name} would be taken back from {kept}" if kept else f"{name} would run"


if __name__ == "__main__":
    main(why)
