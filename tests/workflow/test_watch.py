"""make watch: the newest line of every job that runs."""

import os
import subprocess
import sys
import time
from pathlib import Path

from tests.conftest import ROOT


def test_every_running_job_has_one_line(tmp_path: Path):
    said = {
        "pretrain/quick-rotation-seed0": "10:00:00 pretrain rotation/seed0  epoch 1/4\n"
        "10:01:00 pretrain rotation/seed0  epoch 2/4  train_loss 1.204  293 images/s  left 02:00\n"
        "some library's warning\n",
        "finetune/quick-baseline-seed0": "10:00:30 finetune baseline/seed0  epoch 1/9  left 01:00\n",
        "compare/quick": "09:00:00 compare: an hour ago\n",
        "evaluate/quick-nothing": "",
    }
    for age, (name, text) in enumerate(said.items()):
        path = tmp_path / f"{name}.log"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        moment = time.time() - (3600 if "compare" in name else age)
        os.utime(path, (moment, moment))
    command = [sys.executable, "-m", "workflow.commands.watch", str(tmp_path), "--once"]
    done = subprocess.run(command, cwd=ROOT, text=True, capture_output=True, check=True)
    assert done.stdout.splitlines() == [
        "10:00:30 finetune baseline/seed0  epoch 1/9  left 01:00",
        "10:01:00 pretrain rotation/seed0  epoch 2/4  train_loss 1.204  293 images/s  left 02:00",
    ]
