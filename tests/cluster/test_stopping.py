"""What SIGTERM leaves behind: to a step alone, and to all processes of a job, as clusters send it."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import yaml

from pipeline_steps.job.signals import MESSAGE
from tests.cluster.slurm import wait_for
from tests.conftest import ROOT, TINY, World

pytestmark = pytest.mark.workflow

EPOCHS = 20  # so that no training ends before it is stopped
PRETRAINED = "results/tiny/default/pretrain/rotation/seed0"


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_a_stopped_training_leaves_its_last_whole_epoch_and_goes_on_from_there(finished: World, tmp_path: Path):
    made = json.loads((finished.folder / PRETRAINED / "recipe.json").read_text())
    made["params"]["training"]["epochs"] = EPOCHS
    (tmp_path / "recipe.json").write_text(json.dumps(made))
    places = tmp_path / "recipe.json", tmp_path / "output", tmp_path / "checkpoints"
    command = finished.training("pipeline_steps.pretrain", *places)
    environment = os.environ | {"HEADPOSE_TRACKING": "off"}
    with subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True) as process:
        wait_for((tmp_path / "checkpoints/last.ckpt").exists, "checkpoint")
        process.terminate()
        said = process.communicate(timeout=120)[1]
    assert process.returncode == 128 + signal.SIGTERM
    assert said.endswith(MESSAGE)
    assert files(tmp_path) == ["checkpoints/last.ckpt", "recipe.json"]
    again = subprocess.run(command, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True, check=True)
    assert "resumes from /" in again.stderr
    history = pd.read_csv(tmp_path / "output/history.csv")
    assert history["epoch"].tolist() == list(range(1, EPOCHS + 1))
    assert not (tmp_path / "checkpoints").exists()


def test_a_job_whose_processes_are_all_stopped_still_logs_the_steps_last_words(copy: World):
    (copy.folder / "overlay.yaml").write_text(yaml.safe_dump({"pretrain": {"epochs": EPOCHS}}))
    command = [sys.executable, "-m", "snakemake", "--cores", "1", "--directory", str(copy.folder), "--configfile"]
    command += [str(TINY), str(copy.folder / "overlay.yaml"), "--", f"{PRETRAINED}/encoder.safetensors"]
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = os.environ | {"PATH": path, "HEADPOSE_TRACKING": "off"}
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True
    ) as process:
        wait_for(lambda: list(copy.folder.glob("checkpoints/*/last.ckpt")), "checkpoint")
        os.killpg(process.pid, signal.SIGTERM)
        process.communicate(timeout=120)
    assert process.returncode
    assert (copy.folder / "logs/pretrain/tiny-rotation-seed0.log").read_text().endswith(MESSAGE)
    assert not files(copy.folder / PRETRAINED)
    assert [path.name for path in copy.folder.glob("checkpoints/*/*")] == ["last.ckpt"]


def test_forked_workers_end_without_repeating_the_last_words():
    program = (
        "import multiprocessing, os, signal, time; from pipeline_steps.job.signals import end_on_sigterm; "
        "end_on_sigterm(); multiprocessing.get_context('fork').Process(target=time.sleep, args=(60,)).start(); "
        "time.sleep(0.2); os.killpg(0, signal.SIGTERM); time.sleep(60)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, start_new_session=True, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (128 + signal.SIGTERM, MESSAGE)
