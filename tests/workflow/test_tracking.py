"""MLflow as a mirror: what a run holds, and that its absence costs nothing but the mirror."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from pipeline_steps.job.provenance import PATCH
from tests.conftest import ROOT, World

pytestmark = pytest.mark.workflow
mlflow = pytest.importorskip("mlflow")


def runs_of(folder: Path) -> dict:
    client = mlflow.tracking.MlflowClient(f"sqlite:///{folder}/mlflow.db")
    (experiment,) = (e for e in client.search_experiments() if e.name == "headpose-tiny")
    return {run.info.run_name: run for run in client.search_runs([experiment.experiment_id])}


def test_every_job_is_a_finished_run_that_links_to_what_it_was_made_from(finished: World):
    runs = runs_of(finished.folder)
    assert len(runs) == 1 + 4 + 4 + 1
    assert {run.info.status for run in runs.values()} == {"FINISHED"}
    tuned, pretrained = runs["finetune/pretrained/seed0"], runs["pretrain/rotation/seed0"]
    assert tuned.data.tags["input.encoder"] == pretrained.info.run_id
    assert tuned.data.params["training.learning_rate"] == "0.001"
    assert {"train_loss", "val_geodesic_deg", "test/rendered/mae"} <= set(tuned.data.metrics)
    assert {(tuned.data.tags[k]) for k in ("stage", "study", "arm", "seed")} == {"finetune", "tiny", "pretrained", "0"}
    assert {i.dataset.name for i in tuned.inputs.dataset_inputs} == {"crops", "split"}


def test_a_data_card_is_a_run_that_holds_the_page_and_the_counts(finished: World, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(finished.folder)  # places in the store are relative, as its address is
    client = mlflow.tracking.MlflowClient(f"sqlite:///{finished.folder}/mlflow.db")
    (experiment,) = (e for e in client.search_experiments() if e.name == "headpose-data")
    (run,) = client.search_runs([experiment.experiment_id])
    assert (run.info.run_name, run.info.status) == ("describe_dataset/rendered", "FINISHED")
    assert run.data.metrics == {"images": 32, "rejected": 0, "subjects": 8} | {
        name: value for name, value in run.data.metrics.items() if name.startswith("system/")
    }
    files = {f.path for f in client.list_artifacts(run.info.run_id)} - {PATCH}  # where this code is not committed
    assert files == {"card.html", "card.json", "contact_sheet.jpg"}


def test_the_stored_model_loads_without_this_project_and_predicts_any_number_of_faces(
    finished: World, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(finished.folder)
    run = runs_of(finished.folder)["finetune/hybrid/seed0"]
    mlflow.set_tracking_uri(f"sqlite:///{finished.folder}/mlflow.db")
    model = mlflow.pyfunc.load_model(f"runs:/{run.info.run_id}/model")
    rotation = model.predict(np.random.default_rng(0).random((5, 3, 32, 32), np.float32))
    np.testing.assert_allclose(rotation @ np.swapaxes(rotation, 1, 2), np.tile(np.eye(3), (5, 1, 1)), atol=1e-5)


def step(world: World, folder: Path, uri: str, epochs: int = 1) -> tuple[list[str], dict[str, str]]:
    """The command of one pre-training whose results go to `folder`."""
    text = (world.folder / "results/tiny/default/pretrain/rotation/seed0/recipe.json").read_text()
    recipe = folder / "recipe.json"
    recipe.write_text(text.replace('"epochs": 1', f'"epochs": {epochs}'))
    places = folder / "results/pretrain", folder / "checkpoints"
    command = world.training("pipeline_steps.pretrain", recipe, *places)
    return command, os.environ | {"MLFLOW_TRACKING_URI": uri, "PYTHONPATH": str(ROOT)}


def test_an_unreachable_server_costs_only_the_mirror_which_sync_makes_up_for(finished: World, tmp_path: Path):
    command, environment = step(finished, tmp_path, "http://127.0.0.1:9")
    done = subprocess.run(command, cwd=tmp_path, env=environment, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "send them later: python -m pipeline_steps.tracking sync" in done.stderr
    assert (tmp_path / "results/pretrain/encoder.safetensors").exists()
    environment["MLFLOW_TRACKING_URI"] = f"sqlite:///{tmp_path}/mlflow.db"
    for expected in ("sent 1 runs", "sent 0 runs"):
        sync = [sys.executable, "-m", "pipeline_steps.tracking", "sync", "results"]
        sent = subprocess.run(sync, cwd=tmp_path, env=environment, text=True, capture_output=True, check=True)
        assert expected in sent.stderr
    run = runs_of(tmp_path)["pretrain/rotation/seed0"]
    assert run.info.status == "FINISHED"
    assert "train_loss" in run.data.metrics


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL], ids=lambda s: s.name)
def test_a_stopped_job_goes_on_in_its_run(finished: World, tmp_path: Path, how: signal.Signals):
    command, environment = step(finished, tmp_path, f"sqlite:///{tmp_path}/mlflow.db", epochs=12)
    process = subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not (tmp_path / "checkpoints/last.ckpt").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(how)
    assert process.wait(60) != 0
    (run,) = runs_of(tmp_path).values()
    if how == signal.SIGTERM:
        assert run.info.status == "KILLED"
    subprocess.run(command, cwd=tmp_path, env=environment, check=True)
    (resumed,) = runs_of(tmp_path).values()
    assert resumed.info.run_id == run.info.run_id
    assert resumed.info.status == "FINISHED"
    client = mlflow.tracking.MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")
    steps = [m.step for m in client.get_metric_history(run.info.run_id, "train_loss")]
    assert sorted(steps) == list(range(1, 13)), "every epoch once"
