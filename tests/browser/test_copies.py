"""Copies of films with axes play in a browser."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.prediction.made_up import write_matroska, write_model

pytestmark = pytest.mark.browser

PLAYED = """async address => {
  const video = document.createElement("video");
  video.muted = true;
  const ended = new Promise((done, fail) => {
    video.onended = done;
    video.onerror = () => fail(new Error(video.error.message));
  });
  video.src = address;
  await video.play();
  await ended;
  return [video.videoWidth, video.videoHeight, video.duration];
}"""


@pytest.mark.parametrize("has_ffmpeg", [False, True], ids=["without ffmpeg", "with ffmpeg"])
def test_a_copy_plays_to_its_end(has_ffmpeg: bool, tmp_path: Path, browser):
    ffmpeg = shutil.which("ffmpeg")
    if has_ffmpeg and ffmpeg is None:
        pytest.skip("no ffmpeg here (on Debian: apt-get install ffmpeg)")
    film = tmp_path / "film.mkv"
    write_matroska(film, [100 * number for number in range(15)], [10 * number for number in range(15)])
    model = write_model(tmp_path / "model.onnx")
    command = [sys.executable, "-m", "pipeline_steps.predict", str(model), str(film), "--whole-image"]
    path = str(Path(ffmpeg).parent) if has_ffmpeg and ffmpeg else ""
    subprocess.run([*command, "--draw", str(tmp_path / "drawn")], cwd=ROOT, env=os.environ | {"PATH": path}, check=True)
    (copy,) = (tmp_path / "drawn").iterdir()
    (tmp_path / "page.html").write_text("<!doctype html><title>film</title>")
    page = browser.new_page()
    page.goto((tmp_path / "page.html").as_uri())
    width, height, seconds = page.evaluate(PLAYED, copy.as_uri())
    assert (width, height) == (64, 64)
    assert seconds == pytest.approx(1.5, abs=0.05)
    page.close()
