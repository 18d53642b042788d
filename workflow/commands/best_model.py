"""Which of a finished study's models to use: python -m workflow.commands.best_model prints the recipe of its export.

The choice is made by the error on people of the validation part: the arm of the lowest mean over its seeds, and of its
seeds the lowest. Test errors have no say in it.
"""

from pathlib import Path
from statistics import fmean

import yaml

from pipeline_steps.evaluation.reading import read_training
from pipeline_steps.job.command_line import main
from pipeline_steps.job.errors import UserError
from workflow.freshness.dates import Upkeep
from workflow.params import parse_params
from workflow.plan import Plan


def best_model(trainings: list[Path]) -> tuple[str, int]:
    """Arm and seed to use of the trainings in folders ARM/seedSEED."""
    errors: dict[str, dict[int, float]] = {}
    for path in trainings:
        errors.setdefault(path.parent.name, {})[int(path.name.removeprefix("seed"))] = read_training(
            path
        ).validation_error
    arm = min(errors, key=lambda name: fmean(errors[name].values()))
    return arm, min(errors[arm], key=errors[arm].__getitem__)


def print_best() -> None:
    """Print the path of the export's recipe, which Snakemake makes."""
    plan = Plan(parse_params(yaml.safe_load(Path("params.yaml").read_bytes())))
    upkeep = Upkeep(plan)
    missing = [folder for folder in plan.finetunings() if not upkeep.is_current(folder)]
    if missing:
        raise UserError(f"{missing[0]}: this arm is not trained by the present params.yaml; run: make reproduce")
    arm, seed = best_model([Path(folder) for folder in plan.finetunings()])
    print(f"{plan.results}/export/{arm}/seed{seed}/recipe.json")


if __name__ == "__main__":
    main(print_best)
