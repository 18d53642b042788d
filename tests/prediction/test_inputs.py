"""What people hand to `predict`: one bad file loses nothing, and nothing is passed over in silence."""

import csv
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from tests.conftest import ROOT
from tests.prediction.made_up import write_matroska, yaw_of


def predict(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pipeline_steps.predict", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, text=True, capture_output=True, check=False, timeout=120)


def picture(path: Path, level: int) -> Path:
    Image.new("RGB", (64, 64), (level, level, level)).save(path)
    return path


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def said_of(done: subprocess.CompletedProcess[str], name: object) -> list[str]:
    """The log's lines about an input, without the time of day."""
    return [line[9:] for line in done.stderr.splitlines() if line[9:].startswith(f"{name}: ")]


def test_inputs_that_cannot_be_read_are_named_and_lose_nothing(bright_model: Path, tmp_path: Path):
    mixed = tmp_path / "mixed"
    mixed.mkdir()
    picture(mixed / "a.png", 50)
    (mixed / "b.mp4").touch()
    picture(mixed / "c.png", 100)
    (mixed / "d.heic").write_bytes(b"\0\0\0\x1cftypheic" + bytes(100))
    os.mkfifo(mixed / "e.jpg")
    (mixed / "g.jpg").symlink_to(mixed / "g.jpg")
    (mixed / "f.jpg").write_bytes(b"no picture")
    for name in ("notes.txt", "more.txt", "._a.png"):
        (mixed / name).touch()
    latin = os.fsencode(mixed / "M") + b"\xfc.png"  # a name from a system that did not write UTF-8
    (mixed / "c.png").rename(os.fsdecode(latin))
    gone, poses = tmp_path / "gone.jpg", tmp_path / "poses.csv"
    done = predict(
        *(bright_model, mixed, gone, "camera:99", "camera:front", "/dev/null", "--whole-image"),
        *("--output", poses, "--draw", tmp_path / "drawn"),
    )
    assert done.returncode == 1
    written = rows(poses.read_text())
    assert [row["file"] for row in written] == [str(mixed / "M\\udcfc.png"), str(mixed / "a.png")]
    for row, level in zip(written, (100, 50), strict=True):
        assert float(row["yaw"]) == pytest.approx(yaw_of(level), abs=0.01)
    for name, reason in {
        mixed / "b.mp4": "cannot be opened; is it a video, and whole?",
        mixed / "d.heic": "HEIC; install the package pillow-heif to read it, or convert it to JPEG",
        mixed / "e.jpg": "a pipe or a device, no file; save its content as a file first",
        mixed / "g.jpg": "Too many levels of symbolic links",
        gone: "no such file; give images, folders, patterns, videos, or camera:0",
        "camera:99": "cannot be opened; is it there, and does no other program use it?",
        "camera:front": "not a camera; the first is camera:0",
        "/dev/null": "a pipe or a device, no file; save its content as a file first",
    }.items():
        assert said_of(done, name) == [f"{name}: skipped: {reason}"]
    assert len(said_of(done, mixed / "f.jpg")) == 1
    assert said_of(done, mixed) == [f"{mixed}: 3 files are no pictures or films, passed over (2 .txt, 1 ._*)"]
    assert done.stderr.splitlines()[-1].startswith("error: 9 of 11 inputs failed, as said above")
    assert "Traceback" not in done.stderr


def test_what_a_viewer_of_a_file_would_not_expect_is_said(bright_model: Path, tmp_path: Path):
    first, *others = [Image.new("RGB", (64, 64), (level, level, level)) for level in (40, 90, 200)]
    several = [tmp_path / name for name in ("moving.gif", "moving.png", "pages.tiff", "moving.webp")]
    for path in several:
        first.save(path, save_all=True, append_images=others, **({"lossless": True} if path.suffix == ".webp" else {}))
    deep = {
        "grey12.png": np.full((64, 64), 1600, np.uint16),
        "colour12.png": np.full((64, 64, 3), 1600, np.uint16),
        "colour12.tif": np.full((64, 64, 3), 1600, np.uint16),
        "grey16.png": np.full((64, 64), 40 * 257, np.uint16),
    }
    for name, levels in deep.items():
        levels[0, 0] = 4095 if "12" in name else 65535
        assert cv2.imwrite(str(tmp_path / name), levels)
    done = predict(bright_model, *several, *(tmp_path / name for name in deep), "--whole-image")
    assert done.returncode == 0, done.stderr
    found = {Path(row["file"]).name: float(row["yaw"]) for row in rows(done.stdout)}
    for path in several:
        assert found[path.name] == pytest.approx(yaw_of(40), abs=0.3), path.name
        assert "only the first of its 3 images is looked at" in said_of(done, path)[0]
    for name in deep:  # 1600 of 4095 is 100 of 255
        assert found[name] == pytest.approx(yaw_of(100 if "12" in name else 40), abs=0.3), name
        told = said_of(done, tmp_path / name)
        if "12" in name:
            assert told == [f"{tmp_path / name}: has 16 bits a channel and uses 12; read as a picture of 12 bits"]
        else:
            assert not told


def test_a_deep_picture_is_turned_as_its_orientation_says(tmp_path: Path):
    from pipeline_steps.prediction.pictures import open_picture

    levels = np.zeros((20, 40), np.uint16)
    levels[:, :20] = 4080
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter turn clockwise
    Image.fromarray(levels).save(tmp_path / "turned.png", exif=exif)
    seen = np.asarray(open_picture(tmp_path / "turned.png").image)
    np.testing.assert_array_equal(seen, np.repeat(np.rot90(levels >> 4, -1)[..., None], 3, 2))


def test_images_without_a_head_are_said_and_have_no_line(bright_model: Path, tmp_path: Path):
    plain = picture(tmp_path / "wall.png", 128)
    write_matroska(tmp_path / "wall.mkv", [0, 100, 200], [128, 128, 128])
    done = predict(bright_model, plain, tmp_path / "wall.mkv", "--format", "jsonl")
    assert done.returncode == 0, done.stderr
    assert not done.stdout
    assert said_of(done, plain) == [f"{plain}: no head found"]
    assert said_of(done, tmp_path / "wall.mkv") == [f"{tmp_path / 'wall.mkv'}: no head found in 3 of 3 frames"]


def test_a_picture_that_would_exhaust_the_memory_is_skipped(bright_model: Path, tmp_path: Path):
    Image.new("RGB", (1, 60_000)).save(tmp_path / "strip.png")
    done = predict(bright_model, tmp_path / "strip.png", picture(tmp_path / "a.png", 10), "--whole-image")
    assert done.returncode == 1
    assert [row["file"] for row in rows(done.stdout)] == [str(tmp_path / "a.png")]
    assert "a crop of 60,000 pixels is too large" in said_of(done, tmp_path / "strip.png")[0]


MILLISECONDS = [0, 100, 200, 300, 1500, 1600, 1700, 3000]
LEVELS = [0, 30, 60, 90, 120, 150, 180, 210]


def test_a_film_of_uneven_rate_has_the_times_of_its_frames(bright_model: Path, tmp_path: Path):
    write_matroska(tmp_path / "uneven.mkv", MILLISECONDS, LEVELS)
    drawn = tmp_path / "drawn"
    done = predict(bright_model, tmp_path / "uneven.mkv", "--whole-image", "--draw", drawn)
    assert done.returncode == 0, done.stderr
    found = rows(done.stdout)
    assert [float(row["seconds"]) for row in found] == [time / 1000 for time in MILLISECONDS]
    assert [int(row["frame"]) for row in found] == list(range(8))
    assert [float(row["yaw"]) for row in found] == pytest.approx([yaw_of(level) for level in LEVELS], abs=0.3)
    (copy,) = drawn.iterdir()
    film, shown = cv2.VideoCapture(str(copy)), []
    while (read := film.read())[0]:
        # a corner, as axes are drawn in the middle
        shown.append((film.get(cv2.CAP_PROP_POS_MSEC) / 1000, read[1][:8, :8].mean()))
    assert shown[-1][0] == pytest.approx(3.0, abs=0.06), "as long as the film"
    for time, level in shown:
        begun = [start for start in MILLISECONDS if start <= 1000 * time + 60]
        near = {LEVELS[len(begun) - 1], LEVELS[min(len(begun), 7)]}
        assert min(abs(level - expected) for expected in near) < 12, f"at {time} s"
    lines = predict(bright_model, tmp_path / "uneven.mkv", "--whole-image", "--format", "jsonl").stdout.splitlines()
    assert [json.loads(line)["seconds"] for line in lines] == [time / 1000 for time in MILLISECONDS]


def test_a_film_that_ends_early_is_said(bright_model: Path, tmp_path: Path):
    whole, cut = tmp_path / "whole.avi", tmp_path / "cut.avi"
    film = cv2.VideoWriter(str(whole), cv2.VideoWriter.fourcc(*"MJPG"), 10.0, (64, 64))
    for level in np.random.default_rng(0).integers(0, 255, (40, 64, 64, 3), np.uint8):
        film.write(level)
    film.release()
    content = whole.read_bytes()
    cut.write_bytes(content[: len(content) // 2])
    done = predict(bright_model, whole, cut, "--whole-image")
    assert done.returncode == 0, done.stderr
    assert not said_of(done, whole)
    (told,) = said_of(done, cut)
    kept = sum(row["file"] == str(cut) for row in rows(done.stdout))
    assert 15 < kept < 25
    assert f"ends early, after {kept / 10:.1f} s of the 4.0 s that its header announces" in told
