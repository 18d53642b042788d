"""An MLflow server on PostgreSQL: jobs of several machines log at once, and the server dies under a training."""

import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from tests.cluster.postgres import free_port, postgres, programs
from tests.cluster.slurm import wait_for
from tests.conftest import ROOT, World

pytestmark = [
    pytest.mark.postgres,
    pytest.mark.skipif(programs() is None, reason="no PostgreSQL here (on Debian: apt-get install postgresql)"),
]
mlflow = pytest.importorskip("mlflow")
pytest.importorskip("psycopg2", reason="MLflow reaches PostgreSQL by psycopg2-binary")

ARMS = ("baseline", "hybrid", "pretrained", "pretrained_hybrid")
EPOCHS = 12  # so that no training ends before the server does


class Server:
    """`mlflow server` on a data base, at one address however often it is started."""

    def __init__(self, folder: Path, store: str) -> None:
        self.folder = folder
        port = free_port()
        self.uri = f"http://127.0.0.1:{port}"
        self._command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", store]
        self._command += ["--host", "127.0.0.1", "--port", str(port), "--workers", "2"]
        self.client = mlflow.tracking.MlflowClient(self.uri)
        self.environment = os.environ | {
            **{"MLFLOW_TRACKING_URI": self.uri, "PYTHONPATH": str(ROOT)},
            "MLFLOW_HTTP_REQUEST_TIMEOUT": "120",  # a busy machine is not a dead server
            **{"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
        }

    def start(self) -> None:
        with (self.folder / "server.log").open("ab") as said:
            self._process = subprocess.Popen(
                self._command,
                cwd=self.folder,
                env=self.environment,
                stdout=said,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # so that its workers can be killed with it
            )
        wait_for(self._answers, "MLflow server")

    def _answers(self) -> bool:
        if self._process.poll() is not None:
            raise ChildProcessError(f"mlflow ended: {(self.folder / 'server.log').read_text()[-2000:]}")
        try:
            return urllib.request.urlopen(f"{self.uri}/health").status == 200
        except urllib.error.URLError:
            return False

    def kill(self) -> None:
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def runs(self, study: str) -> list:
        experiment = self.client.get_experiment_by_name(f"headpose-{study}")
        return self.client.search_runs([experiment.experiment_id]) if experiment else []

    def sync(self, folder: Path, *arguments: str) -> subprocess.CompletedProcess:
        command = [sys.executable, "-m", "pipeline_steps.tracking", "sync", *arguments]
        return subprocess.run(
            command, cwd=folder, env=self.environment, text=True, capture_output=True, check=False, timeout=600
        )


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with postgres() as store:
        server = Server(tmp_path_factory.mktemp("mlflow"), store)
        server.start()
        try:
            yield server
        finally:
            server.kill()


def fine_tuning(study: World, arm: str, folder: Path) -> list[str]:
    """The command that repeats an arm's fine-tuning, with its results in `folder`."""
    results = study.folder / "results/tiny/default"
    made = results / f"finetune/{arm}/seed0/recipe.json"
    command = study.training("pipeline_steps.finetune", made, folder / "results", folder / "checkpoints")
    encoder = results / "pretrain/rotation/seed0/encoder.safetensors"
    return [*command, *(("--encoder", str(encoder)) if arm.startswith("pretrained") else ())]


def test_jobs_that_log_at_once_lose_nothing(finished: World, server: Server, tmp_path: Path):
    jobs = []
    for arm in ARMS:  # in folders of their own, as on machines that share nothing but the server
        (tmp_path / arm).mkdir()
        command = fine_tuning(finished, arm, tmp_path / arm)
        jobs.append(
            subprocess.Popen(
                command,
                cwd=tmp_path / arm,
                env=server.environment,
                text=True,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
            )
        )
    for job in jobs:
        said = job.communicate(timeout=600)[0]
        assert (job.returncode, "tracking sync" in said) == (0, False), said
    tuned = {run.data.tags["arm"]: run for run in server.runs("tiny")}
    assert sorted(tuned) == sorted(ARMS)
    assert {run.info.status for run in tuned.values()} == {"FINISHED"}
    for arm, run in tuned.items():
        (row,) = pd.read_csv(tmp_path / arm / "results/history.csv").drop(columns="epoch").to_dict("records")
        assert row.items() <= run.data.metrics.items()
        assert {"training.learning_rate", "training.epochs"} <= set(run.data.params)
        experiment = run.info.experiment_id
    models = server.client.search_logged_models([experiment])
    assert sorted(model.source_run_id for model in models) == sorted(run.info.run_id for run in tuned.values())

    for expected in ("sent 7 runs", "sent 0 runs"):  # card, pre-training, evaluations, comparison
        assert expected in server.sync(finished.folder).stderr
    assert [run.info.status for run in server.runs("data")] == ["FINISHED"]
    runs = {run.info.run_name: run for run in server.runs("tiny")}
    assert len(runs) == len(server.runs("tiny")) == 1 + 4 + 4 + 1
    assert {run.info.status for run in runs.values()} == {"FINISHED"}
    for arm in ARMS:
        run, evaluated = runs[f"finetune/{arm}/seed0"], runs[f"evaluate/{arm}/rendered/seed0"]
        assert run.info.run_id == tuned[arm].info.run_id
        encoder = runs["pretrain/rotation/seed0"].info.run_id if arm.startswith("pretrained") else None
        assert run.data.tags.get("input.encoder") == encoder, "although it came into the store later"
        assert evaluated.data.tags["input.model"] == run.info.run_id
        tested = finished.folder / f"results/tiny/default/evaluate/test/rendered/{arm}/seed0"
        errors = json.loads((tested / "metrics.json").read_text())
        for shown in (run, evaluated):
            assert shown.data.metrics["test/rendered/mae"] == errors["mae"]
    compared = server.client.download_artifacts(runs["compare"].info.run_id, "inputs.json", str(tmp_path))
    linked = {read["run"] for read in json.loads(Path(compared).read_text()).values()} - {None}
    assert linked == {run.info.run_id for name, run in runs.items() if name != "compare"}


def test_a_server_that_dies_costs_only_the_mirror_until_it_is_back(finished: World, server: Server, tmp_path: Path):
    made = json.loads((finished.folder / "results/tiny/default/pretrain/rotation/seed0/recipe.json").read_text())
    made["job"]["study"], made["params"]["training"]["epochs"] = "interrupted", EPOCHS
    (tmp_path / "recipe.json").write_text(json.dumps(made))

    def training(name: str, **environment: str) -> subprocess.Popen:
        places = tmp_path / name / "results", tmp_path / name / "checkpoints"
        command = finished.training("pipeline_steps.pretrain", tmp_path / "recipe.json", *places)
        return subprocess.Popen(
            command, cwd=tmp_path, env=server.environment | environment, text=True, stderr=subprocess.PIPE
        )

    def epochs() -> list[int]:
        (run,) = server.runs("interrupted") or [None]
        return [m.step for m in server.client.get_metric_history(run.info.run_id, "train_loss")] if run else []

    with training("untouched", HEADPOSE_TRACKING="off") as untouched, training("tracked") as tracked:
        wait_for(epochs, "first epoch in the store")
        server.kill()
        said = tracked.communicate(timeout=600)[1]
    assert (untouched.returncode, tracked.returncode) == (0, 0), said
    assert "this run goes on untracked" in said
    weights = [load_file(tmp_path / name / "results/encoder.safetensors") for name in ("untouched", "tracked")]
    assert all(torch.equal(weight, weights[1][name]) for name, weight in weights[0].items())
    refused = server.sync(tmp_path, "tracked")
    assert refused.returncode == 1
    assert refused.stderr.startswith(f"error: {server.uri}: no server answers")
    assert len(refused.stderr.splitlines()) == 1

    server.start()
    assert 0 < len(epochs()) < EPOCHS
    assert "sent 1 runs" in server.sync(tmp_path, "tracked").stderr
    (run,) = server.runs("interrupted")
    assert run.info.status == "FINISHED"
    assert sorted(epochs()) == list(range(1, EPOCHS + 1)), "every epoch once"
