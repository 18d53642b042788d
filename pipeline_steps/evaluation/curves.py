"""The numbers behind a comparison's line plots."""

import numpy as np
import pandas as pd

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


def histories(trainings: list[Trained]) -> pd.DataFrame:
    """arm, seed and every epoch's row of each fine-tuning."""
    tables = [t.history.assign(arm=t.name, seed=t.run["seed"]) for t in trainings]
    return pd.concat(tables, ignore_index=True)
