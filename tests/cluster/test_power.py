"""What a power failure leaves: only what had reached the disk."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from drills.disk import Disk
from pipeline_steps.job.errors import UserError
from tests.conftest import ROOT

PICTURES = 6


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    try:
        made = Disk(tmp_path / "disk.img", tmp_path / "disk")
    except (UserError, OSError) as error:
        pytest.skip(f"a file system of its own is needed: {error}")
    yield made
    made.unmount()


def test_raw_files_are_on_the_disk_once_they_are_sealed(disk: Disk, tmp_path: Path):
    source = {"kind": "rendered", "subjects": 2, "images_per_subject": PICTURES // 2, "image_size": 32}
    content = {"step": "acquire_dataset", "job": {"dataset": "rendered"}, "params": {"source": source}}
    (tmp_path / "recipe.json").write_text(json.dumps(content))
    raw = disk.folder / "raw"
    command = [sys.executable, "-m", "pipeline_steps.acquire_dataset", "--recipe", str(tmp_path / "recipe.json")]
    subprocess.run([*command, "--output", str(raw)], cwd=ROOT, env=os.environ, check=True, capture_output=True)
    (disk.folder / "forgotten").write_text("written, and not waited for")
    time.sleep(2)  # by then names have reached the disk, their content only if somebody waited for it
    assert disk.lose_unwritten_data() > 0, "the power failure loses something"
    assert (raw / "recipe.json").exists()
    sizes = [Image.open(path).size for path in (raw / "images").iterdir()]
    assert sizes == [(32, 32)] * PICTURES
