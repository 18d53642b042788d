"""What a finished training leaves behind, the same for pre-training and fine-tuning."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd
import torch
from safetensors.torch import save_file
from torch import Tensor

from pipeline_steps.files import whole_file, write_json
from pipeline_steps.recipe import Recipe
from pipeline_steps.tracking import TrackedRun
from pipeline_steps.training.fit import Fitted


def write_results(
    output: Path,
    weights_name: str,
    weights: dict[str, Tensor],
    about: dict[str, str],
    fitted: Fitted,
    recipe: Recipe,
    run: TrackedRun,
    measured: Mapping[str, float],
) -> None:
    """Write the weights (safetensors, with `about` as metadata), history.csv and run.json into the folder `output`.

    measured: further facts for run.json.
    """
    with whole_file(output / weights_name) as temporary:
        save_file({k: v.detach().cpu().contiguous() for k, v in weights.items()}, temporary, about)
    with whole_file(output / "history.csv") as temporary:
        pd.DataFrame(fitted.history).to_csv(temporary, index=False)
    record = {
        "step": recipe.step,
        "recipe": recipe.key,
        **recipe.job,
        **about,
        **measured,
        "epochs": len(fitted.history),
        "chosen_epoch": fitted.epoch,
        "backbone_passes": int(sum(row["backbone_passes"] for row in fitted.history)),
        "seconds": round(sum(float(row["seconds"]) for row in fitted.history), 1),
        "precision": fitted.precision,
        "device": fitted.device,
        "devices": fitted.devices,
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "mlflow_run_id": run.run_id,
    }
    write_json(output / "run.json", record)
