"""What the names of arms say: an arm's variation, and the baseline that it is compared with."""

from collections.abc import Collection, Mapping

from pipeline_steps.job.errors import UserError
from pipeline_steps.params.sections import Labels


def stem_and_variation(arm: str) -> tuple[str, str]:
    """The arm's name without its variation, and the variation: '' where there is none."""
    stem, _, variation = arm.partition("-")
    return stem, variation


def baseline_of(arm: str, baseline: str, arms: Collection[str]) -> str:
    """The arm that `arm` is compared with: `baseline` or, where no arm has that name, its variation for `arm`.

    Raises UserError where it is not among `arms`.
    """
    name = baseline if baseline in arms else f"{baseline}-{stem_and_variation(arm)[1]}"
    if name not in arms:
        raise UserError(f"compare.baselines: {baseline!r} leaves {arm} without a baseline; add {name!r} to arms")
    return name


def several_budgets(labels: Mapping[str, Labels]) -> bool:
    """Whether some arm has more than one label budget; labels: by the arm's full name."""
    budgets: dict[str, set[tuple[int | str, float]]] = {}
    for arm, of_arm in labels.items():
        budgets.setdefault(stem_and_variation(arm)[0], set()).add((of_arm.subjects, of_arm.fraction))
    return any(len(of_arm) > 1 for of_arm in budgets.values())
