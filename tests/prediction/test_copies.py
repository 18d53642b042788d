"""Copies of films with axes: a kind that browsers play, with the sound where it can be kept, and else a word."""

import csv
import io
import os
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import pytest

from tests.conftest import ROOT
from tests.prediction.made_up import write_matroska


def drawn(model: Path, film: Path, folder: Path, path: str) -> subprocess.CompletedProcess[str]:
    """`predict --draw` with programs from these folders alone."""
    command = [sys.executable, "-m", "pipeline_steps.predict", str(model), str(film), "--whole-image"]
    command += ["--draw", str(folder)]
    return subprocess.run(
        command, cwd=ROOT, env=os.environ | {"PATH": path}, text=True, capture_output=True, check=False, timeout=120
    )


def codec(film: Path) -> str:
    code = int(cv2.VideoCapture(str(film)).get(cv2.CAP_PROP_FOURCC))
    return code.to_bytes(4, "little").decode()


def program(folder: Path, script: str) -> str:
    folder.mkdir()
    (folder / "ffmpeg").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "ffmpeg").chmod(0o755)
    return f"{folder}:/usr/bin:/bin"


def test_without_ffmpeg_copies_are_webm_and_said_to_be_silent(bright_model: Path, tmp_path: Path):
    write_matroska(tmp_path / "film.mkv", [0, 100, 200], [50, 100, 150])
    done = drawn(bright_model, tmp_path / "film.mkv", tmp_path / "drawn", "")
    assert done.returncode == 0, done.stderr
    assert "films become WebM without sound" in done.stderr
    assert "OpenCV" not in done.stderr
    assert [path.name for path in (tmp_path / "drawn").iterdir()] == ["film.mkv.webm"]
    assert codec(tmp_path / "drawn/film.mkv.webm") == "VP80"


def test_with_ffmpeg_copies_are_h264_and_keep_the_sound(bright_model: Path, tmp_path: Path):
    ffmpeg = shutil.which("ffmpeg")
    if ffmpeg is None:
        pytest.skip("no ffmpeg here (on Debian: apt-get install ffmpeg)")
    film = tmp_path / "-film.mp4"
    inputs = ["-f", "lavfi", "-i", "testsrc=size=65x63:rate=10:duration=2", "-f", "lavfi", "-i", "sine=duration=2"]
    subprocess.run([ffmpeg, "-loglevel", "error", *inputs, f"file:{film}"], check=True)
    done = drawn(bright_model, film, tmp_path / "drawn", str(Path(ffmpeg).parent))
    assert done.returncode == 0, done.stderr
    copy = tmp_path / "drawn/-film.mp4"
    assert codec(copy) == "h264"
    told = subprocess.run([ffmpeg, "-i", f"file:{copy}"], text=True, capture_output=True, check=False).stderr
    assert "Audio: aac" in told
    assert "yuv420p" in told
    assert "Duration: 00:00:02.0" in told


def test_ffmpeg_is_given_every_frame(bright_model: Path, tmp_path: Path):
    """A stand-in for ffmpeg keeps its arguments and what it is sent: 30 frames, as 3.0 s were filmed at 10 a second."""
    kept = tmp_path / "kept"
    path = program(tmp_path / "bin", f'for last; do :; done; echo "$@" > {kept}.txt; cat > "${{last#file:}}"')
    film = tmp_path / "film.mkv"
    write_matroska(film, [0, 100, 200, 2900], [0, 80, 160, 240])
    done = drawn(bright_model, film, tmp_path / "drawn", path)
    assert done.returncode == 0, done.stderr
    content = (tmp_path / "drawn/film.mkv.mp4").read_bytes()
    assert len(content) == 30 * 64 * 64 * 3
    assert [content[number * 64 * 64 * 3] for number in (0, 1, 2, 3, 28, 29)] == [0, 80, 160, 240, 240, 240]
    assert f"-i file:{film}" in Path(f"{kept}.txt").read_text()


@pytest.mark.parametrize("script", ["echo 'no room' >&2; exit 3", "cat > /dev/null; echo 'no room' >&2; exit 3"])
def test_a_copy_that_fails_loses_no_poses(script: str, bright_model: Path, tmp_path: Path):
    write_matroska(tmp_path / "film.mkv", [100 * number for number in range(30)], [8 * number for number in range(30)])
    done = drawn(bright_model, tmp_path / "film.mkv", tmp_path / "drawn", program(tmp_path / "bin", script))
    assert done.returncode == 1
    assert f"{tmp_path / 'film.mkv'}: no copy: ffmpeg: no room" in done.stderr
    assert len(list(csv.DictReader(io.StringIO(done.stdout)))) == 30
    assert not list((tmp_path / "drawn").iterdir())
