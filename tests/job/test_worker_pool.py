"""Worker processes end with their step, and a killed worker is an error in one line."""

import os
import signal
import subprocess
import sys
import time
from multiprocessing import get_context
from pathlib import Path

import pytest

from pipeline_steps.job.errors import UserError
from pipeline_steps.job.worker_pool import worker_pool
from tests.conftest import ROOT

KILLED_STEP = """
import os, signal, sys, time
from multiprocessing import get_context
from pipeline_steps.job.worker_pool import worker_pool

if __name__ == "__main__":
    with worker_pool(2, get_context(sys.argv[1])) as pool:
        pool.submit(time.sleep, 600)
        pool.submit(os.getpid).result()
        os.kill(os.getpid(), signal.SIGKILL)
"""
"""When it is killed, one worker is busy and the other is idle."""


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_the_output_of_a_killed_step_ends(method: str, tmp_path: Path):
    """Under Snakemake, tee reads the output to its end, which would never come if workers outlived the step."""
    script = tmp_path / "step.py"
    script.write_text(KILLED_STEP)
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, str(script), method]
    done = subprocess.run(command, env=environment, capture_output=True, timeout=100, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr


def lose_a_worker(method: str) -> None:
    with worker_pool(1, get_context(method)) as pool:
        os.kill(pool.submit(os.getpid).result(), signal.SIGKILL)
        pool.submit(time.sleep, 0).result()


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_killed_worker_is_an_error_in_one_line(method: str):
    with pytest.raises(UserError, match="a worker process was killed"):
        lose_a_worker(method)
