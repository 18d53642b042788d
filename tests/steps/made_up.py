"""A finished study with made-up results: trained on rendered heads, tested on other ones and on photographs.

Every prediction of an arm is off by the same angle about the vertical axis, so that its errors are known.
"""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline_steps.evaluation.metrics import prediction_table, summarise
from pipeline_steps.images.crop_file import Crop, write_crops
from pipeline_steps.job.recipe import JobInput, Recipe, read_recipe
from pipeline_steps.job.seal import read_seal
from pipeline_steps.params.sections import Arm, Evaluation
from pipeline_steps.pose.geometry import euler_to_matrix
from pipeline_steps.splits.split_file import Parts, Split, write_split
from tests.conftest import ROOT

SEEDS = (0, 1)
ARMS = {"baseline": 9.0, "pretrained": 6.0, "an_arm_with_a_long_name_and_two_losses": 8.0}
"""Errors of the yaw in degrees."""
LABELS = {"rendered": [[40.0, 10.0, 0.0], [-40.0, -10.0, 0.0], [30.0, 0.0, 20.0]], "faces": [[2.0, 0.0, 0.0]] * 3}
"""Yaw, pitch, roll in degrees of the test images; photographs are nearly frontal."""
TRAINED_ON = [[20.0, 0.0, 0.0], [40.0, 0.0, 0.0]]
"""Labels of the training images, whose mean is a yaw of 30 degrees."""
KINDS = {"rendered": "rendered heads", "faces": "photographs"}


def _crops(folder: Path, dataset: str) -> None:
    """Three test images and, of `rendered`, two training images, one without a label, and one to validate."""
    images = {f"test{n}": (f"p{n}", label) for n, label in enumerate(LABELS[dataset])}
    if dataset == "rendered":
        images |= {f"train{n}": ("t", label) for n, label in enumerate(TRAINED_ON)}
        images |= {"unlabelled": ("t", [np.nan] * 3), "validated": ("v", [-80.0, 0.0, 0.0])}
    noise = np.random.default_rng(0)
    crops = [
        Crop(name, noise.integers(0, 256, (16, 16, 3), np.uint8), subject, euler_to_matrix(pose), pose)
        for name, (subject, angles) in images.items()
        for pose in [np.array(angles)]
    ]
    for kind in ("crops", "splits", "cards"):
        (folder / kind / dataset).mkdir(parents=True)
    rule = {"size": 16, "context": 0.0, "box": "given_box", "border": "reflect", "margin": 0.1}
    write_crops(folder / "crops" / dataset / "crops.h5", crops, len(crops), dataset, "{}", rule)
    train, validation = ([n for n in images if n.startswith(part)] for part in (("train", "unlabelled"), "validated"))
    test = [name for name in images if name.startswith("test")]
    subjects = Parts(train=["t"], validation=["v"], test=[images[name][0] for name in test])
    split = Split(train=train, validation=validation, test=test, subjects=subjects, left_out=0)
    write_split(folder / "splits" / dataset / "split.json", split)
    _recipe(folder / "splits" / dataset, "split_dataset", {"dataset": dataset}, {"of": dataset})
    pose = {"n": len(images), "mean": -0.59, "std": 40.04, "min": -89.93, "max": 89.95}
    card = {
        "dataset": dataset,
        "images": len(images),
        "rejected": 0,
        "subjects": 3,
        "labels": {"full rotation": len(images)},
        "pose": dict.fromkeys(("yaw", "pitch", "roll"), pose),
        "crop": rule,
        "archive": None,
        "record": {"shows": KINDS[dataset]},
    }
    (folder / "cards" / dataset / "card.json").write_text(json.dumps(card))


def _recipe(folder: Path, step: str, job: dict, params: dict, **inputs: JobInput) -> str:
    recipe = Recipe(step=step, job=job, params=params, inputs=inputs)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "recipe.json").write_text(recipe.text())
    return recipe.fingerprint


def _trained(folder: Path, arm: str, seed: int, split: str) -> None:
    names = {"study": "made_up", "arm": arm, "seed": seed}
    schedule = {"epochs": 2, "batch_size": 8, "learning_rate": 0.001}
    params = {
        **Arm(init="random").model_dump(mode="json", exclude={"labels", "finetune", "auxiliary"}),
        **{"seed": seed, "network": {"backbone": "resnet18", "pose_head": "rotation_6d"}, "training": schedule},
        **{"auxiliary": {}, "labels": {"subjects": "all", "fraction": 1.0, "redraw": False}},
    }
    _recipe(folder, "finetune", names, params, split=JobInput(fingerprint=split))
    run = names | {"device": "cpu", "precision": "bf16-mixed", "seconds": 66.0, "backbone_passes": 7680, "threads": 2}
    run |= {"image_size": 16, "labelled_subjects": 1, "labelled_images": 2, "chosen_epoch": 2, "epochs": 2}
    run |= {"torch": "2.14.1+cpu", "mlflow_run_id": "0123456789abcdef" * 2}
    (folder / "run.json").write_text(json.dumps(run))
    history = {"epoch": [1, 2], "val_geodesic_deg": [9.0, 8.0], "backbone_passes": [3840, 3840]}
    pd.DataFrame(history).to_csv(folder / "history.csv", index=False)
    _sealed(folder)


def _evaluated(folder: Path, dataset: str, arm: str, seed: int) -> None:
    euler = np.array(LABELS[dataset])
    predicted = euler_to_matrix(euler + np.array([ARMS[arm] + seed / 10, 0, 0]))
    names = [f"test{n}" for n in range(len(euler))]
    table = prediction_table(names, [f"p{n}" for n in range(len(euler))], euler_to_matrix(euler), euler, predicted)
    params, job = Evaluation(bootstrap=100), {"study": "made_up", "arm": arm, "seed": seed, "dataset": dataset}
    _recipe(folder, "evaluate", job, {"seed": seed, "evaluate": params.model_dump(mode="json")})
    table.to_parquet(folder / "predictions.parquet")
    (folder / "metrics.json").write_text(json.dumps(job | summarise(table, params)))
    _sealed(folder)


def _sealed(folder: Path) -> None:
    sealed = {
        "fingerprint": read_recipe(folder / "recipe.json").fingerprint,
        "files": {},
        "versions": {"python": "3.11.0", "torch": "2.14.1"},
    }
    (folder / "seal.json").write_text(json.dumps(sealed))


class Study:
    """Folders of the study, and the steps that read it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for dataset in LABELS:
            _crops(folder, dataset)
        split = Recipe(step="split_dataset", job={}, params={"of": "rendered"}).fingerprint
        for arm in ARMS:
            for seed in SEEDS:
                _trained(folder / "finetune" / arm / f"seed{seed}", arm, seed, split)
                for dataset in LABELS:
                    _evaluated(folder / "evaluate" / dataset / arm / f"seed{seed}", dataset, arm, seed)

    def run(self, step: str, output: Path, params: dict, *options: str) -> str:
        """Run a step on the whole study; its recipe is written beside the output. What it says is returned."""
        output.mkdir(parents=True)
        told = output.with_suffix(".json")
        read = [path.parent for path in sorted(self.folder.rglob("seal.json")) if path.parent != output]
        inputs = {path.as_posix(): JobInput(fingerprint=read_seal(path).fingerprint) for path in read}
        told.write_text(Recipe(step=step, job={"study": "made_up"}, params=params, inputs=inputs).text())
        command = [sys.executable, "-m", f"pipeline_steps.{step}", "--recipe", str(told), "--output", str(output)]
        for option, pattern in (("evaluation", "evaluate/*/*/*"), ("training", "finetune/*/*"), ("crops", "crops/*/*")):
            for path in sorted(self.folder.glob(pattern)):
                command += [f"--{option}", str(path)]
        environment = {"HEADPOSE_TRACKING": "off", "PYTHONPATH": str(ROOT)}
        done = subprocess.run(
            [*command, *options], cwd=self.folder, env=environment, text=True, capture_output=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stderr

    def compare(self, output: Path, *baselines: str) -> Path:
        """Run `compare`; the folder of its results."""
        params = {"compare": {"baselines": list(baselines or ["baseline"]), "bootstrap": 100}}
        splits = [word for dataset in LABELS for word in ("--split", str(self.folder / "splits" / dataset))]
        self.run("compare", output, params, *splits, "--train-crops", str(self.folder / "crops/rendered/crops.h5"))
        return output

    def report(self, output: Path, comparison: Path) -> Path:
        """Run `write_report`; the page."""
        cards = [word for dataset in LABELS for word in ("--card", str(self.folder / "cards" / dataset))]
        self.run("write_report", output, {}, *cards, "--comparison", str(comparison))
        return output / "report.html"
