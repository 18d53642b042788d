"""What a DVC user expects: record, compare, check out, push and pull, with Snakemake agreeing at every point."""

import json
import re
import shutil
import sys
from pathlib import Path

import pytest

from tests.conftest import Repository, World

pytestmark = pytest.mark.workflow


def test_round_trip(finished: World, tmp_path: Path):
    repository = Repository(tmp_path / "repository")
    for name in ("data", "results"):
        shutil.copytree(finished.folder / name, repository.folder / name)
    assert repository.nothing_to_do()
    repository("dvc", "remote", "add", "-d", "local", str(tmp_path / "remote"))
    repository.record("first")
    repository("dvc", "push")
    assert "up to date" in repository("dvc", "status")
    assert "up to date" in repository("dvc", "repro")

    repository.set_params({"compare": {"error": "geodesic"}})
    message = repository("make", "record", f"BIN={Path(sys.executable).parent}", fails=True)
    assert "some jobs are left to run" in message
    repository("snakemake", "--cores", "2")
    repository.record("second")
    changed = json.loads(repository("dvc", "params", "diff", "HEAD~1", "--json"))
    assert changed["params.yaml"]["compare.error"]["new"] == "geodesic"
    diff = json.loads(repository("dvc", "metrics", "diff", "HEAD~1", "--json"))
    before, after = (diff["results/tiny/compare/metrics.json"]["rendered.hybrid.reduction"][k] for k in ("old", "new"))
    assert before != after
    compared = repository("make", "compare", "A=HEAD~1", "B=HEAD", f"BIN={Path(sys.executable).parent}")
    assert re.search(r"compare\.error +mae +geodesic", compared)
    (row,) = re.findall(r"rendered\.hybrid\.reduction +(\S+) +(\S+)", compared)
    assert [float(value) for value in row] == pytest.approx([before, after], abs=1e-4)
    refused = repository("make", "compare", f"BIN={Path(sys.executable).parent}", fails=True)
    assert "error: A is missing" in refused

    repository("dvc", "push")
    shutil.rmtree(repository.folder / ".dvc" / "cache")
    for name in ("data", "results", ".snakemake"):
        shutil.rmtree(repository.folder / name)
    repository("dvc", "pull")
    assert repository.nothing_to_do()

    repository("git", "checkout", "-q", "HEAD~1", "--", "params.yaml", "dvc.lock")
    repository("dvc", "pull")
    assert repository.nothing_to_do()
    metrics = json.loads((repository.folder / "results/tiny/compare/metrics.json").read_text())
    assert metrics["rendered"]["hybrid"]["reduction"] == pytest.approx(before)
    assert "dvc.lock" in repository("git", "status", "--porcelain")
    assert "cumulative error" in repository("dvc", "plots", "show", "--json")
