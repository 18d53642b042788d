"""Trainings that several processes share."""

import json
import multiprocessing
import subprocess
from pathlib import Path

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from pipeline_steps.job.errors import UserError
from pipeline_steps.pretext.byol import Byol
from pipeline_steps.pretext.puzzling import Puzzling
from pipeline_steps.pretext.simclr import SimClr
from pipeline_steps.training.processes import Shares, claim_devices
from tests.conftest import ROOT, World


@pytest.mark.workflow
def test_two_processes_train_what_one_does(finished: World, tmp_path: Path):
    made = json.loads((finished.folder / "results/tiny/finetune/hybrid/seed0/recipe.json").read_text())
    tasks = {"simclr": SimClr(), "byol": Byol(), "puzzling": Puzzling(dropout=0.0)}
    made["params"]["auxiliary"] = {n: {"weight": 0.1, "task": t.model_dump(mode="json")} for n, t in tasks.items()}
    made["params"]["auxiliary_on"] = "train"
    made["params"]["training"] |= {"epochs": 3, "precision": "float32", "choose": "last"}
    (tmp_path / "recipe.json").write_text(json.dumps(made))
    for devices in (1, 2):
        folder = tmp_path / str(devices)
        command = finished.training("tests.shared_training", tmp_path / "recipe.json", folder, tmp_path / "checkpoints")
        command += ["--devices", str(devices)]
        environment = {"PATH": "/usr/bin:/bin", "HEADPOSE_TRACKING": "off", "CUDA_VISIBLE_DEVICES": ""}
        done = subprocess.run(command, cwd=ROOT, env=environment, text=True, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr[-3000:]
        assert done.stderr.count("epoch 3/3") == 1
        assert json.loads((folder / "run.json").read_text())["devices"] == devices
    alone, shared = (load_file(tmp_path / name / "model.safetensors") for name in ("1", "2"))
    assert alone.keys() == shared.keys()
    for name, weights in alone.items():
        torch.testing.assert_close(shared[name], weights, rtol=1e-3, atol=1e-4, msg=name)
    histories = [pd.read_csv(tmp_path / name / "history.csv") for name in ("1", "2")]
    measured = [h.drop(columns=["seconds", "images_per_second"]) for h in histories]
    pd.testing.assert_frame_equal(*measured, rtol=1e-3)


def test_shares_put_together_are_the_whole():
    views = torch.arange(2 * 6).reshape(12, 1)
    own = [Shares(6, 3, rank).own(views).flatten().tolist() for rank in range(3)]
    assert own == [[0, 3, 6, 9], [1, 4, 7, 10], [2, 5, 8, 11]]


def _claim(count: int, claimed: multiprocessing.Queue, end: multiprocessing.Event) -> None:
    claimed.put(claim_devices(count, gpus=3))
    end.wait(60)


def test_trainings_spread_over_the_gpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    context = multiprocessing.get_context("fork")
    claimed, end = context.Queue(), context.Event()
    found, processes = [], []
    for count in (1, 2, 1, 2):
        processes.append(context.Process(target=_claim, args=(count, claimed, end)))
        processes[-1].start()
        found.append(claimed.get(timeout=60))
    end.set()
    for process in processes:
        process.join()
    assert found == [[0], [1, 2], [0], [1, 2]]
    assert claim_devices(2, gpus=0) == 2, "processes of a machine without"
    with pytest.raises(UserError, match=r"--devices 4: there are 3 GPUs here"):
        claim_devices(4, gpus=3)
