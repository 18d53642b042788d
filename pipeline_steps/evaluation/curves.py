"""The numbers behind a comparison's line plots."""

import numpy as np
import pandas as pd

from pipeline_steps.evaluation.costs import by_fingerprint, starting_point
from pipeline_steps.evaluation.reading import Evaluated, Trained


def _job(evaluation: Evaluated) -> dict[str, object]:
    return {name: evaluation.metrics[name] for name in ("dataset", "arm", "seed")}


def errors_by_yaw(evaluations: list[Evaluated]) -> pd.DataFrame:
    """dataset, arm, seed, yaw (centre of the bin), n, and mean errors, all in degrees, from every metrics.json."""
    rows = []
    for evaluation in evaluations:
        bins = evaluation.metrics["by_yaw"]
        rows += [_job(evaluation) | of_bin | {"yaw": (of_bin["low"] + of_bin["high"]) / 2} for of_bin in bins]
    columns = ["dataset", "arm", "seed", "yaw", "n", "mae", "geodesic"]
    return pd.DataFrame(rows, columns=columns).astype({"mae": float, "geodesic": float})


def cumulative_errors(evaluations: list[Evaluated]) -> pd.DataFrame:
    """dataset, arm, seed, limit in degrees, share of images with a smaller `shown_error` (0 to 1)."""
    limits = np.arange(0.0, 30.5, 0.5)
    rows = []
    for evaluation in evaluations:
        shares = (evaluation.shown_error().to_numpy()[:, None] < limits).mean(0)
        job = _job(evaluation)
        rows += [job | {"limit": limit, "share": share} for limit, share in zip(limits, shares, strict=True)]
    return pd.DataFrame(rows)


def histories(trainings: list[Trained], pretrainings: list[Trained]) -> pd.DataFrame:
    """arm, seed, every epoch's row of each fine-tuning, and images: through the backbone by then.

    images counts every view, and all of the pre-training that the fine-tuning starts from where that is one of
    `pretrainings`; what made initial weights from elsewhere is not known.
    """
    known, tables = by_fingerprint(pretrainings), []
    for trained in trainings:
        _, before = starting_point(trained, known)
        first = before.run["backbone_passes"] if before else 0
        images = first + trained.history["backbone_passes"].cumsum()
        tables.append(trained.history.assign(arm=trained.name, seed=trained.run["seed"], images=images))
    return pd.concat(tables, ignore_index=True)
