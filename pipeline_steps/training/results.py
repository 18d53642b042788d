"""The files that a finished training writes, the same for pre-training and fine-tuning."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

import pandas as pd
import torch
from safetensors.torch import save
from torch import Tensor

from pipeline_steps.job.files import atomic_write, write_json
from pipeline_steps.job.progress import logger
from pipeline_steps.job.recipe import RECIPE, Recipe, read_recipe
from pipeline_steps.job.seal import is_whole, seal
from pipeline_steps.tracking.runs import TrackedRun, track_run
from pipeline_steps.training.fit import Fitted


def weights_file(weights: dict[str, Tensor], about: dict[str, str]) -> bytes:
    """Content of a safetensors file: the header's length in 8 bytes, a JSON header, the tensors.

    Equal input gives equal bytes, which the library does not promise: the order in which it writes the metadata `about`
    changes from process to process.
    """
    content = save({k: v.detach().cpu().contiguous() for k, v in weights.items()}, about)
    end = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:end])
    header["__metadata__"] = dict(sorted(about.items()))
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)  # tensors begin at a multiple of 8 bytes
    return len(text).to_bytes(8, "little") + text + content[end:]


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

    measured: further entries of run.json.
    """
    with atomic_write(output / weights_name) as temporary:
        temporary.write_bytes(weights_file(weights, about))
    with atomic_write(output / "history.csv") as temporary:
        pd.DataFrame(fitted.history).to_csv(temporary, index=False)
    record = {
        "step": recipe.step,
        "recipe": recipe.fingerprint,
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


def take_over(equal: Path, recipe: Recipe, output: Path) -> bool:
    """Copy the results of the training in `equal` to `output`; False, and nothing done, where they do not fit.

    They fit where they are complete and their recipe has the same fingerprint, for whatever study and arm.
    """
    theirs = read_recipe(equal / RECIPE)
    same_task = theirs.job.get("pretext") == recipe.job.get("pretext")
    if theirs.fingerprint != recipe.fingerprint or not same_task or not is_whole(equal):
        logger.warning("%s: not the results of an equal recipe; training instead of taking them over", equal)
        return False
    with track_run(recipe, output) as run:
        for path in (*equal.glob("*.safetensors"), equal / "history.csv"):
            with atomic_write(output / path.name) as temporary:
                shutil.copyfile(path, temporary)
        names = recipe.job | {"mlflow_run_id": run.run_id, "taken_over_from": str(equal)}
        write_json(output / "run.json", json.loads((equal / "run.json").read_text()) | names)
    seal(recipe, output, copied=equal)
    logger.info("taken over from %s, which was trained by an equal recipe", equal)
    return True
