"""What the names of arms say: which variation one belongs to, and which baseline it is held against."""

from collections.abc import Collection, Mapping

from pipeline_steps.job.errors import UserError
from pipeline_steps.params.sections import Labels


def parts_of(arm: str) -> tuple[str, str]:
    """The arm without its variation, and the variation: '' where there is none."""
    stem, _, variation = arm.partition("-")
    return stem, variation


def baseline_of(arm: str, baseline: str, arms: Collection[str]) -> str:
    """The arm that `arm` is held against: `baseline` itself or, where no arm is called so, that of the same variation.

    Raises UserError where it is not among `arms`.
    """
    name = baseline if baseline in arms else f"{baseline}-{parts_of(arm)[1]}"
    if name not in arms:
        raise UserError(f"compare.baseline: {baseline!r} gives {arm} nothing to be held against; add {name!r} to arms")
    return name


def several_budgets(labels: Mapping[str, Labels]) -> bool:
    """Whether some arm comes with more than one label budget; labels: by the arm's full name."""
    budgets: dict[str, set[tuple[int | str, float]]] = {}
    for arm, of_arm in labels.items():
        budgets.setdefault(parts_of(arm)[0], set()).add((of_arm.subjects, of_arm.fraction))
    return any(len(of_arm) > 1 for of_arm in budgets.values())
