"""Warp starts without its line that there is no GPU, and with everything else that it says."""

import os
import subprocess
import sys

import pytest
import warp as wp

from pipeline_steps.rendering.warp_runtime import start_warp
from tests.conftest import ROOT


def test_rendering_starts_without_a_word():
    command = [sys.executable, "-c", "import pipeline_steps.rendering.workers"]
    done = subprocess.run(command, cwd=ROOT, text=True, capture_output=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")


def test_all_else_that_warp_says_is_shown(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]):
    said = b"a fault\nWarp CUDA warning: Could not find or load the NVIDIA CUDA driver. No GPU.\nanother\n"
    monkeypatch.setattr(wp, "init", lambda: os.write(2, said))
    start_warp()
    print("afterwards", file=sys.stderr)
    assert capfd.readouterr().err == "a fault\nanother\nafterwards\n"
