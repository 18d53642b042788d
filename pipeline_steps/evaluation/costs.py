"""What every arm cost, and how much of the pose a pre-training had learned at which cost."""

from typing import Any

import pandas as pd

from pipeline_steps.evaluation.reading import Trained
from pipeline_steps.evaluation.table import PASSES
from pipeline_steps.job.errors import UserError
from pipeline_steps.job.recipe import JobInput

PROBE = "val_probe_mae_deg"


def starting_point(trained: Trained, pretrainings: dict[str, Trained]) -> tuple[str, Trained | None]:
    """Where a fine-tuning started: random, imagenet, file or ssl:<pretext>, and for the last the pre-training.

    pretrainings: by the fingerprint of their recipe. UserError where they lack the one that is needed.
    """
    init, encoder = str(trained.recipe.params["init"]), trained.recipe.inputs.get("encoder")
    if init != "encoder":
        return init, None
    if not isinstance(encoder, JobInput):
        return "file", None
    if encoder.fingerprint in pretrainings:
        return f"ssl:{pretrainings[encoder.fingerprint].name}", pretrainings[encoder.fingerprint]
    raise UserError(
        f"{trained.name}/seed{trained.run['seed']}: its pre-training {encoder.fingerprint} is missing; --pretraining it"
    )


def by_fingerprint(pretrainings: list[Trained]) -> dict[str, Trained]:
    """Pre-trainings by the fingerprint of their recipe, which a fine-tuning names as its input."""
    return {p.recipe.fingerprint: p for p in pretrainings}


def costs(trainings: list[Trained], pretrainings: list[Trained]) -> pd.DataFrame:
    """One row per arm, means over seeds: images that the backbone saw, minutes, and on what.

    pretrain_passes, finetune_passes: images through the backbone in training, every view of an image counted.
    pretrain_minutes, finetune_minutes: of all epochs, validation included. An arm that shares a pre-training with
    others is charged all of it. Zero without pre-training, missing where the initial weights come from elsewhere.
    """
    known, rows = by_fingerprint(pretrainings), []
    for trained in trainings:
        start, before = starting_point(trained, known)
        row: dict[str, Any] = {"arm": trained.name, "start": start, "seed": trained.run["seed"]}
        foreign = start in ("imagenet", "file")
        for stage, of_stage in (("pretrain", before), ("finetune", trained)):
            nothing = None if foreign else 0
            row[f"{stage}_passes"] = of_stage.run["backbone_passes"] if of_stage else nothing
            row[f"{stage}_minutes"] = of_stage.run["seconds"] / 60 if of_stage else nothing
        machines = [f"{t.run['device']}, {t.run['precision']}" for t in (before, trained) if t]
        rows.append(row | {"device": " and ".join(dict.fromkeys(machines))})
    table = pd.DataFrame(rows).astype({"pretrain_passes": float, "pretrain_minutes": float})
    means = {name: (name, "mean") for name in table.columns if name.endswith(("_passes", "_minutes"))}
    over_seeds = table.groupby(["arm", "start"], as_index=False)
    return over_seeds.agg(
        seeds=("seed", "nunique"), **means, device=("device", lambda of_arm: " or ".join(sorted(set(of_arm))))
    ).round(dict.fromkeys(means, 2))


def with_passes(table: pd.DataFrame, spent: pd.DataFrame) -> pd.DataFrame:
    """The table of `compare_arms` with the column PASSES: images through the backbone.

    spent: from `costs`. The arm's pre-training is counted, but not that of initial weights from elsewhere.
    """
    passes = spent.set_index("arm")[["pretrain_passes", "finetune_passes"]].sum(axis=1)
    return table.assign(**{PASSES: table["arm"].map(passes)})


def probes(pretrainings: list[Trained]) -> pd.DataFrame:
    """pretext, seed, epoch (0: untrained), probe_mae_deg, and images that the backbone had seen by then.

    No row for a pre-training without a probe, such as one with fewer than two labelled validation subjects.
    """
    columns = ["pretext", "seed", "epoch", "probe_mae_deg", "images"]
    rows: list[tuple[str, int, int, float, int]] = []
    for trained in pretrainings:
        name, seed, history = trained.name, int(trained.run["seed"]), trained.history
        if PROBE not in history:
            continue
        rows.append((name, seed, 0, float(trained.run["untrained_probe_mae_deg"]), 0))
        seen = history["backbone_passes"].cumsum()
        rows += [(name, seed, *of_epoch) for of_epoch in zip(history["epoch"], history[PROBE], seen, strict=True)]
    return pd.DataFrame(rows, columns=columns).round({"probe_mae_deg": 4})
