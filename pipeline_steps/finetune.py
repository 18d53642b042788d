"""Fine-tune one arm: the pose loss on the labelled images, and the auxiliary losses of any pretext tasks.

python -m pipeline_steps.finetune --recipe RECIPE --crops CROPS.h5 --split SPLIT.json --output DIR --checkpoints DIR
    [--encoder ENCODER.safetensors | --encoder WEIGHTS.pth]
"""

import json
import shutil
from pathlib import Path
from typing import Annotated

import torch
from typer import Option

from pipeline_steps.images.crop_file import CropFile
from pipeline_steps.images.window import middle_window
from pipeline_steps.job.command_line import main
from pipeline_steps.job.errors import UserError
from pipeline_steps.job.processor import use_processor
from pipeline_steps.job.recipe import read_recipe
from pipeline_steps.job.seal import Inputs, seal, unseal
from pipeline_steps.network.backbones import load_imagenet, load_weights
from pipeline_steps.network.hybrid import HybridNetwork
from pipeline_steps.params.steps import FinetuneParams
from pipeline_steps.splits.label_budget import labelled_images
from pipeline_steps.splits.split_file import read_split
from pipeline_steps.tracking.runs import track_run
from pipeline_steps.training.data import CropDataset, TrainLoaders, train_loader, validation_loader
from pipeline_steps.training.fit import fit
from pipeline_steps.training.multi_task import MultiTask
from pipeline_steps.training.optimiser import FROM_SCRATCH, BackboneSchedule
from pipeline_steps.training.results import take_over, write_results


def build_network(params: FinetuneParams, encoder: Path | None) -> HybridNetwork:
    """The hybrid network with its initial weights: backbone and pose head start alike whatever the auxiliary tasks."""
    torch.manual_seed(params.seed)
    network = HybridNetwork(params.network.backbone, params.network.pose_head, params.auxiliary)
    if params.init == "encoder":
        if encoder is None:
            raise UserError("--encoder: missing; give the file of the weights that this arm starts from")
        load_weights(network.backbone, encoder)
    elif params.init == "imagenet":
        load_imagenet(network.backbone, params.network.backbone)
    return network


def finetune(
    recipe: Annotated[Path, Option(help="parameters of this job")],
    crops: Annotated[Path, Option(help="crops.h5 of the training data set")],
    split: Annotated[Path, Option(help="split.json of the training data set")],
    output: Annotated[Path, Option(help="folder for model, history and record")],
    checkpoints: Annotated[Path, Option(help="folder for the unfinished training, removed at the end")],
    encoder: Annotated[Path | None, Option(help="initial weights of the backbone")] = None,
    threads: Annotated[int, Option(min=1, help="CPU threads")] = 1,
    devices: Annotated[int, Option(min=1, help="GPUs, or processes on a machine without, that share the training")] = 1,
    equal: Annotated[Path | None, Option(help="finished results of an equal recipe, to be taken over")] = None,
) -> None:
    """Train by the pose loss and any auxiliary losses; the chosen epoch's weights become model.safetensors."""
    unseal(output)
    use_processor(max(1, threads // devices))
    job_recipe = read_recipe(recipe)
    if equal and take_over(equal, job_recipe, output):
        return
    inputs = Inputs(recipe, crops, split, *([encoder] if encoder else []))
    params = job_recipe.params_as(FinetuneParams)
    parts = read_split(split, params.seed)
    with CropFile(crops) as file:
        labelled_ids = labelled_images(parts, file, params.labels, params.seed)
    labelled = CropDataset(crops, labelled_ids, True)
    validation = CropDataset(crops, parts.validation, window=middle_window(params.training.augmentation.scale))
    labelled.require_labels("to fine-tune on")
    validation.require_labels("to validate on")
    network = build_network(params, encoder)
    training = params.training
    pretrained = BackboneSchedule(training.backbone_learning_rate_factor, training.frozen_epochs)
    module = MultiTask(
        network,
        training,
        labelled.size,
        params.seed,
        params.views,
        params.weighting,
        FROM_SCRATCH if params.init == "random" else pretrained,
    )
    batch_size, images = training.batch_size, training.epoch_images or len(labelled)
    loaders: TrainLoaders = {"labelled": train_loader(labelled, batch_size, params.seed, images)}
    if params.auxiliary and params.auxiliary_on == "train":
        unlabelled = CropDataset(crops, parts.train, True)
        loaders["unlabelled"] = train_loader(unlabelled, batch_size, params.seed, images)
    with track_run(job_recipe, output) as run:
        fitted = fit(
            module,
            loaders,
            validation_loader(validation, batch_size),
            checkpoints,
            f"finetune {job_recipe.job['arm']}/seed{params.seed}",
            run,
            best_by="val_geodesic_deg" if training.choose == "best" else None,
            devices=devices,
        )
        if fitted is None:
            return
        about = {
            "backbone": params.network.backbone,
            "pose_head": params.network.pose_head,
            "image_size": str(labelled.size),
            "crop": json.dumps(labelled.crop_rule),
        }
        used = [labelled, validation] if training.choose == "best" else [labelled]
        subjects = {subject for images in used for subject in images.subjects}
        budget = {"labelled_subjects": len(subjects), "labelled_images": sum(map(len, used))}
        write_results(output, "model.safetensors", network.inference_state(), about, fitted, job_recipe, run, budget)
    seal(job_recipe, output, inputs)
    shutil.rmtree(checkpoints, ignore_errors=True)


if __name__ == "__main__":
    main(finetune)
