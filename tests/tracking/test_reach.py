"""A wrong address of the store and a store out of reach are found out at once, and said in one line."""

import os
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline_steps.job.errors import UserError
from pipeline_steps.tracking.reach import OutOfReachError, require_store, warn_before_start
from tests.conftest import ROOT


@pytest.fixture
def silent() -> Iterator[str]:
    """Host and port of a server that accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as held:
        yield f"127.0.0.1:{held.getsockname()[1]}"


@pytest.mark.parametrize(
    ("uri", "reason"),
    [
        ("htp://server:5000", "neither a server"),
        ("mlruns", "neither a server"),
        ("file:///tmp/mlruns", "neither a server"),
        ("server:5000", "neither a server"),
        ("http://", "no address of a server"),
        ("http://server:port", "no address of a server"),
        ("sqlite://mlflow.db", "three slashes"),
        ("sqlite:///", "names no file"),
        ("sqlite:///text.db", "is no SQLite database"),
        ("sqlite:///folder", "is no file"),
        ("postgresql://u:secret@127.0.0.1:port/db", "no address of a database"),
        ("postgresql+nodriver://u:secret@127.0.0.1/db", "no address of a database"),
        ("mysql://u:secret@127.0.0.1/db", "Python has no package MySQLdb"),
    ],
)
def test_an_address_that_no_store_can_have_is_refused(
    uri: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    Path("text.db").write_text("a text that is long enough")
    Path("folder").mkdir()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    with pytest.raises(UserError, match=reason) as raised:
        warn_before_start()
    assert not isinstance(raised.value, OutOfReachError)
    said = str(raised.value)
    assert said.startswith(uri.replace("secret", "***") + ": ")
    assert "correct MLFLOW_TRACKING_URI" in said
    assert "\n" not in said
    assert "secret" not in said


@pytest.mark.parametrize("address", ["http://127.0.0.1:9", "postgresql://u:secret@127.0.0.1:9/db"])
def test_a_store_out_of_reach_costs_one_line_before_a_study_starts(
    address: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    if address.startswith("postgresql"):
        pytest.importorskip("psycopg2")
    monkeypatch.setenv("HEADPOSE_TRACKING", "on")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    warn_before_start()
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"warning: {address.replace('secret', '***')}: ")
    assert "the study goes on untracked" in line
    monkeypatch.setenv("HEADPOSE_TRACKING", "off")
    warn_before_start()
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("kind", ["http://{}", "postgresql://test@{}/db"])
def test_a_store_that_accepts_and_does_not_answer_is_given_up_after_the_timeout(
    kind: str, silent: str, monkeypatch: pytest.MonkeyPatch
):
    if kind.startswith("postgresql"):
        pytest.importorskip("psycopg2")
    monkeypatch.delenv("MLFLOW_HTTP_REQUEST_TIMEOUT", raising=False)
    monkeypatch.setattr("pipeline_steps.tracking.reach.TIMEOUT", 2)
    with pytest.raises(OutOfReachError):
        require_store(kind.format(silent))


def test_a_damaged_database_is_found_out_at_once(tmp_path: Path):
    with sqlite3.connect(tmp_path / "cut.db") as connection:
        connection.execute("CREATE TABLE some (thing)")
    content = (tmp_path / "cut.db").read_bytes()
    (tmp_path / "cut.db").write_bytes(content[:100] + b"\xff" * (len(content) - 100))
    with pytest.raises(UserError, match="malformed"):
        require_store(f"sqlite:///{tmp_path}/cut.db")


def test_a_database_that_another_process_keeps_locked_is_out_of_reach(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("pipeline_steps.tracking.reach.TIMEOUT", 0.1)
    with sqlite3.connect(tmp_path / "held.db", isolation_level=None) as connection:
        connection.execute("CREATE TABLE some (thing)")
        connection.execute("BEGIN EXCLUSIVE")
        with pytest.raises(OutOfReachError, match="database is locked"):
            require_store(f"sqlite:///{tmp_path}/held.db")


def test_what_can_be_written_passes(tmp_path: Path):
    require_store(f"sqlite:///{tmp_path}/new/mlflow.db")
    with sqlite3.connect(tmp_path / "old.db") as connection:
        connection.execute("CREATE TABLE some (thing)")
    require_store(f"sqlite:///{tmp_path}/old.db")
    (tmp_path / "empty.db").touch()
    require_store(f"sqlite:///{tmp_path}/empty.db")


@pytest.mark.parametrize("command", ["ui", "sync"])
@pytest.mark.parametrize("uri", ["http://127.0.0.1:9", "htp://server"])
def test_commands_end_in_one_line(command: str, uri: str, tmp_path: Path):
    environment = os.environ | {"MLFLOW_TRACKING_URI": uri, "PYTHONPATH": str(ROOT)}
    asked = [sys.executable, "-m", "pipeline_steps.tracking", command]
    done = subprocess.run(asked, cwd=tmp_path, env=environment, text=True, capture_output=True, check=False)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"error: {uri}: ")
