"""`make ui`: every user sees their own store, in one process."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest
import requests

from tests.conftest import ROOT

FILL = """
from pipeline_steps.tracking import store
client = store.open_client()
experiment = client.create_experiment("headpose-{0}")
client.set_experiment_tag(experiment, "mlflow.sharedViewState.arms", "")
client.set_experiment_tag(experiment, "mlflow.sharedViewState.labels", "")
"""


@pytest.fixture
def started(tmp_path: Path) -> Iterator[dict[str, subprocess.Popen[str]]]:
    """Two `tracking ui`, started at the same time on stores of their own."""
    environment = os.environ | {"MLFLOW_TRACKING_URI": "sqlite:///mlflow.db", "PYTHONPATH": str(ROOT)}
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        filled = [sys.executable, "-c", FILL.format(name)]
        subprocess.run(filled, cwd=tmp_path / name, env=environment, check=True, capture_output=True)
    command = [sys.executable, "-m", "pipeline_steps.tracking", "ui"]
    with ExitStack() as stack:
        found = {}
        for name in ("one", "two"):
            process = subprocess.Popen(
                command, cwd=tmp_path / name, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
            )
            stack.enter_context(process)
            stack.callback(process.kill)
            found[name] = process
        yield found


def test_two_that_start_at_once_have_addresses_of_their_own(started: dict[str, subprocess.Popen[str]]):
    addresses = {}
    for name, process in started.items():
        assert process.stdout
        said = [process.stdout.readline().strip() for _ in range(3)]
        address = addresses[name] = said[0].removeprefix("MLflow: ")
        for line, start, view in zip(said[1:], ("", " labels"), ("arms", "labels"), strict=True):
            assert line.startswith(f"headpose-{name}{start}: {address}/#/experiments/")
            assert line.endswith(f"viewStateShareKey={view}")
    assert len(set(addresses.values())) == 2
    for name, address in addresses.items():
        search = f"{address}/api/2.0/mlflow/experiments/search"
        answer = requests.get(search, {"max_results": 10}, timeout=120).json()
        assert {e["name"] for e in answer["experiments"]} == {"Default", f"headpose-{name}"}
        assert requests.get(address, timeout=120).ok
        assert psutil.Process(started[name].pid).children() == []
    for process in started.values():
        process.terminate()
        assert process.communicate(timeout=60)[1] == "", "nothing on standard error"
