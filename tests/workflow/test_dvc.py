"""What a DVC user expects: record, compare, check out, push and pull, with Snakemake agreeing at every point."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.conftest import ROOT, TINY, World, merged

pytestmark = pytest.mark.workflow


class Repository:
    """A copy of the project under its own git, with the tiny study as its default."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        listed = subprocess.check_output(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, text=True)
        for name in listed.splitlines():
            if (ROOT / name).is_file():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, folder / name)
        self.set_params(yaml.safe_load(TINY.read_text()))
        (folder / ".venv").mkdir()
        (folder / ".venv" / "installed").touch()
        self("git", "init", "-q")
        self("git", "config", "user.name", "test")
        self("git", "config", "user.email", "test@example.org")

    def set_params(self, overlay: dict) -> None:
        path = self.folder / "params.yaml"
        path.write_text(yaml.safe_dump(merged(yaml.safe_load(path.read_text()), overlay)))

    def __call__(self, *command: str, fails: bool = False) -> str:
        programs = Path(sys.executable).parent
        environment = os.environ | {"PATH": f"{programs}:{os.environ['PATH']}", "HEADPOSE_TRACKING": "off"}
        done = subprocess.run(command, cwd=self.folder, env=environment, text=True, capture_output=True, check=False)
        assert (done.returncode != 0) == fails, done.stdout + done.stderr
        return done.stdout + (done.stderr if fails else "")

    def record(self, message: str) -> None:
        self("make", "record", f"BIN={Path(sys.executable).parent}")
        self("git", "add", "-A")
        self("git", "commit", "-qm", message)

    def nothing_to_do(self) -> bool:
        return "Nothing to be done" in self("snakemake", "--dry-run", "--cores", "2")


def test_round_trip(finished: World, tmp_path: Path):
    repository = Repository(tmp_path / "repository")
    for name in ("data", "results"):
        shutil.copytree(finished.folder / name, repository.folder / name)
    assert repository.nothing_to_do()
    repository.record("first")
    assert "up to date" in repository("dvc", "status")
    assert "up to date" in repository("dvc", "repro")

    repository.set_params({"evaluate": {"max_angle": 35.0}})
    message = repository("make", "record", f"BIN={Path(sys.executable).parent}", fails=True)
    assert "some jobs are left to run" in message
    repository("snakemake", "--cores", "2")
    repository.record("second")
    changed = json.loads(repository("dvc", "params", "diff", "HEAD~1", "--json"))
    assert changed["params.yaml"]["evaluate.max_angle"]["new"] == 35.0
    diff = json.loads(repository("dvc", "metrics", "diff", "HEAD~1", "--json"))
    before, after = (diff["results/tiny/compare/metrics.json"]["rendered.baseline.mae"][k] for k in ("old", "new"))
    assert before != after

    remote = tmp_path / "remote"
    repository("dvc", "remote", "add", "-d", "local", str(remote))
    repository("dvc", "push", "--all-commits")
    shutil.rmtree(repository.folder / ".dvc" / "cache")
    for name in ("data", "results", ".snakemake"):
        shutil.rmtree(repository.folder / name)
    repository("dvc", "pull")
    assert repository.nothing_to_do()

    repository("git", "checkout", "-q", "HEAD~1", "--", "params.yaml", "dvc.lock")
    repository("dvc", "pull")
    assert repository.nothing_to_do()
    metrics = json.loads((repository.folder / "results/tiny/compare/metrics.json").read_text())
    assert metrics["rendered"]["baseline"]["mae"] == pytest.approx(before)
    assert "dvc.lock" in repository("git", "status", "--porcelain")
    assert "cumulative error" in repository("dvc", "plots", "show", "--json")
