"""Pre-train a backbone by one pretext task on every image of the training subjects, labelled or not.

python -m pipeline_steps.pretrain --recipe RECIPE --crops CROPS.h5 --split SPLIT.json --output DIR --checkpoints DIR
"""

import shutil
from pathlib import Path
from typing import Annotated

import torch
from typer import Option

from pipeline_steps.images.window import middle_window
from pipeline_steps.job.command_line import main
from pipeline_steps.job.errors import UserError
from pipeline_steps.job.processor import use_processor
from pipeline_steps.job.recipe import read_recipe
from pipeline_steps.job.seal import Inputs, seal, unseal
from pipeline_steps.network.hybrid import HybridNetwork
from pipeline_steps.params.steps import Auxiliary, PretrainParams
from pipeline_steps.splits.split_file import read_split
from pipeline_steps.tracking.runs import track_run
from pipeline_steps.training.data import CropDataset, train_loader, validation_loader
from pipeline_steps.training.fit import fit
from pipeline_steps.training.multi_task import MultiTask
from pipeline_steps.training.probe import PoseProbe
from pipeline_steps.training.results import take_over, write_results


def pretrain(
    recipe: Annotated[Path, Option(help="parameters of this job")],
    crops: Annotated[Path, Option(help="crops.h5 of the training data set")],
    split: Annotated[Path, Option(help="split.json of the training data set")],
    output: Annotated[Path, Option(help="folder for encoder, history and record")],
    checkpoints: Annotated[Path, Option(help="folder for the unfinished training, removed at the end")],
    threads: Annotated[int, Option(min=1, help="CPU threads")] = 1,
    devices: Annotated[int, Option(min=1, help="GPUs, or processes on a machine without, that share the training")] = 1,
    equal: Annotated[Path | None, Option(help="finished results of an equal recipe, to be taken over")] = None,
) -> None:
    """Pre-train a backbone by a pretext task; the chosen epoch's weights become encoder.safetensors."""
    unseal(output)
    use_processor(max(1, threads // devices))
    job_recipe = read_recipe(recipe)
    if equal and take_over(equal, job_recipe, output):
        return
    inputs = Inputs(recipe, crops, split)
    params = job_recipe.params_as(PretrainParams)
    parts = read_split(split, params.seed)
    train = CropDataset(crops, parts.train, True)
    validation = CropDataset(crops, parts.validation, window=middle_window(params.training.augmentation.scale))
    pretext = str(job_recipe.job["pretext"])
    torch.manual_seed(params.seed)
    network = HybridNetwork(params.backbone, None, {pretext: Auxiliary(weight=1.0, task=params.task)})
    module = MultiTask(network, params.training, train.size, params.seed)
    if len(validation) < 2:
        raise UserError(f"{split}: pre-training needs at least two validation images; raise validation_subjects")
    probe = PoseProbe(validation)
    if params.training.choose == "probe" and not probe.possible:
        raise UserError(
            "pretrain.choose: probe needs pose labels of at least two validation subjects; set it to last, or raise "
            "validation_subjects"
        )
    untrained = {"untrained_probe_mae_deg": round(probe.measure(network.backbone), 4)} if probe.possible else {}
    with track_run(job_recipe, output) as run:
        fitted = fit(
            module,
            {"unlabelled": train_loader(train, params.training.batch_size, params.seed, params.training.epoch_images)},
            validation_loader(validation, params.training.batch_size),
            checkpoints,
            f"pretrain {pretext}/seed{params.seed}",
            run,
            best_by="val_probe_mae_deg" if params.training.choose == "probe" else None,
            callbacks=[probe],
            devices=devices,
        )
        if fitted is None:
            return
        about = {"backbone": params.backbone, "image_size": str(train.size)}
        write_results(
            output, "encoder.safetensors", network.inference_state(), about, fitted, job_recipe, run, untrained
        )
    seal(job_recipe, output, inputs)
    shutil.rmtree(checkpoints, ignore_errors=True)


if __name__ == "__main__":
    main(pretrain)
