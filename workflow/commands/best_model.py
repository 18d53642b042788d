"""Which of a finished study's models to export: python -m workflow.commands.best_model prints the seal of its export.

The choice is made by the error on the validation subjects: the arm with the lowest mean over its seeds and, of its
seeds, the one with the lowest error. Test errors have no say in it.
"""

from pathlib import Path
from statistics import fmean
from typing import Annotated

from typer import Option

from pipeline_steps.evaluation.reading import read_training
from pipeline_steps.job.command_line import main
from pipeline_steps.job.errors import UserError
from workflow import layout
from workflow.freshness.state import State
from workflow.params import load_params
from workflow.plan import Plan


def best_model(trainings: list[Path]) -> tuple[str, int]:
    """Arm and seed of the model to use, of the trainings in folders ARM/seedSEED."""
    errors: dict[str, dict[int, float]] = {}
    for path in trainings:
        of_arm = errors.setdefault(path.parent.name, {})
        of_arm[int(path.name.removeprefix("seed"))] = read_training(path).validation_error
    arm = min(errors, key=lambda name: fmean(errors[name].values()))
    return arm, min(errors[arm], key=errors[arm].__getitem__)


def print_export(
    arm: Annotated[str | None, Option(help="arm to export; by default the best on the validation subjects")] = None,
    seed: Annotated[int, Option(help="seed of the arm that is named")] = 0,
) -> None:
    """Print the path of the export's seal, which Snakemake makes."""
    plan = Plan(load_params())
    if arm is None:
        state = State(plan.jobs)
        missing = [folder for folder in plan.finetunings() if not state.is_current(folder)]
        if missing:
            raise UserError(
                f"{missing[0]}: this arm is not trained by the present params.yaml; run: snakemake all_finetuned"
            )
        arm, seed = best_model([Path(folder) for folder in plan.finetunings()])
    export = plan.layout.export(arm, seed)
    if export not in plan.jobs:
        arms, seeds = ", ".join(plan.params.arms), ", ".join(map(str, plan.params.seeds))
        raise UserError(f"{arm}, seed {seed}: the study in params.yaml has no such model; arms: {arms}; seeds: {seeds}")
    print(layout.seal(export))


if __name__ == "__main__":
    main(print_export)
