"""What a DVC user expects: record, compare, check out, push and pull, with Snakemake agreeing at every point."""

import json
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest

from tests.conftest import Repository, World

pytestmark = pytest.mark.workflow
moto_server = pytest.importorskip("moto.server")


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of an S3 server on this machine, with a bucket `headpose`."""
    for name, value in {"ACCESS_KEY_ID": "test", "SECRET_ACCESS_KEY": "test", "DEFAULT_REGION": "us-east-1"}.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    server = moto_server.ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    address = "http://{}:{}".format(*server.get_host_and_port())
    boto3.client("s3", endpoint_url=address).create_bucket(Bucket="headpose")
    yield address
    server.stop()


def test_round_trip(finished: World, tmp_path: Path, s3: str):
    repository = Repository(tmp_path / "repository")
    for name in ("data", "results"):
        shutil.copytree(finished.folder / name, repository.folder / name)
    assert repository.nothing_to_do()
    repository("dvc", "remote", "add", "-d", "store", "s3://headpose/study")
    repository("dvc", "remote", "modify", "store", "endpointurl", s3)
    repository.record("first")
    repository("dvc", "push")
    assert "up to date" in repository("dvc", "status")
    assert "up to date" in repository("dvc", "repro")

    repository.set_params({"compare": {"error": "geodesic"}})
    message = repository("make", "record", f"BIN={Path(sys.executable).parent}", fails=True)
    assert "compare.error mae -> geodesic" in message
    repository("snakemake", "--cores", "2")
    repository.record("second")
    changed = json.loads(repository("dvc", "params", "diff", "HEAD~1", "--json"))
    assert changed["params.yaml"]["compare.error"]["new"] == "geodesic"
    diff = json.loads(repository("dvc", "metrics", "diff", "HEAD~1", "--json"))
    reduction = diff["results/tiny/default/compare/metrics.json"]["rendered.hybrid.reduction"]
    before, after = reduction["old"], reduction["new"]
    assert before != after
    compared = repository("make", "compare", "A=HEAD~1", "B=HEAD", f"BIN={Path(sys.executable).parent}")
    assert re.search(r"compare\.error +mae +geodesic", compared)
    (row,) = re.findall(r"rendered\.hybrid\.reduction +(\S+) +(\S+)", compared)
    assert [float(value) for value in row] == pytest.approx([before, after], abs=1e-4)
    refused = repository("make", "compare", f"BIN={Path(sys.executable).parent}", fails=True)
    assert "error: A is missing" in refused

    repository("dvc", "push")
    assert boto3.client("s3", endpoint_url=s3).list_objects_v2(Bucket="headpose", Prefix="study/files/md5/")["KeyCount"]
    shutil.rmtree(repository.folder / ".dvc" / "cache")
    for name in ("data", "results", ".snakemake"):
        shutil.rmtree(repository.folder / name)
    repository("dvc", "pull")
    assert repository.nothing_to_do()

    repository("git", "checkout", "-q", "HEAD~1", "--", "params.yaml", "dvc.lock")
    repository("dvc", "pull")
    assert repository.nothing_to_do()
    metrics = json.loads((repository.folder / "results/tiny/default/compare/metrics.json").read_text())
    assert metrics["rendered"]["hybrid"]["reduction"] == pytest.approx(before)
    assert "dvc.lock" in repository("git", "status", "--porcelain")
    assert "cumulative error" in repository("dvc", "plots", "show", "--json")
