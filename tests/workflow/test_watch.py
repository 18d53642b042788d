"""make watch: the newest line of every job that runs."""

import fcntl
import os
import re
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

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


COMMAND = [sys.executable, "-m", "workflow.commands.watch"]
LONG = (
    "10:01:00 finetune pretrained_hybrid/seed0  epoch 2/4  train_loss 1.204  val_geodesic_deg 37.67  "
    "val_mae_deg 19.4  293 images/s  left 02:00"
)


@contextmanager
def watching(logs: Path, **options: Any) -> Iterator[None]:
    """The command while it runs; options: of Popen."""
    with subprocess.Popen([*COMMAND, str(logs)], cwd=ROOT, **options) as program:
        try:
            yield
        finally:
            program.kill()


def test_on_a_narrow_terminal_a_long_line_is_wrapped_and_not_cut(tmp_path: Path):
    (tmp_path / "training.log").write_text(f"{LONG}\n")
    ours, its = os.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES", "NO_COLOR")}
    with watching(tmp_path, stdout=its, env=environment | {"TERM": "xterm"}):
        os.close(its)
        shown, deadline = "", time.monotonic() + 30
        while "02:00" not in shown and time.monotonic() < deadline:
            shown += os.read(ours, 4096).decode()
    os.close(ours)
    words = re.sub(r"\x1b\[[?\d;]*[a-zA-Z]", "", shown).split()
    assert words[: len(LONG.split())] == LONG.split()


def test_into_a_file_every_new_line_is_printed_once(tmp_path: Path):
    log, shown = tmp_path / "logs/training.log", tmp_path / "shown.txt"
    log.parent.mkdir()
    log.write_text(f"{LONG}\n")
    news = "10:02:00 finetune pretrained_hybrid/seed0  epoch 3/4"
    with shown.open("w") as file, watching(log.parent, stdout=file):
        for expected in ([LONG], [LONG, news]):
            deadline = time.monotonic() + 30
            while len(shown.read_text().splitlines()) < len(expected) and time.monotonic() < deadline:
                time.sleep(0.1)
            time.sleep(2)  # it looks every second, and says nothing again
            assert shown.read_text().splitlines() == expected
            log.write_text(f"{LONG}\n{news}\n")
