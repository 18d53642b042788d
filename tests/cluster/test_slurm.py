"""Studies through profiles/slurm on a real Slurm: the results, and trainings that are cancelled and requeued."""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import pytest
import yaml

from pipeline_steps.job.signals import MESSAGE
from tests.cluster.slurm import Cluster, missing, wait_for
from tests.conftest import ROOT, TINY, World

pytestmark = [
    pytest.mark.slurm,
    pytest.mark.skipif(bool(missing()), reason=f"no Slurm here, not installed: {', '.join(missing())}"),
]

BASELINE = {"arms": {"hybrid": None, "pretrained": None, "pretrained_hybrid": None}}
LONG = {"pretrain": {"epochs": 20}}  # so that no training ends before it is stopped
RESUMED = "resumes from checkpoints/"
ENCODER = "results/tiny/default/pretrain/rotation/seed0/encoder.safetensors"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with Cluster(tmp_path_factory.mktemp("slurm")) as started:
        yield started


class Study(World):
    """A working directory whose jobs a cluster runs."""

    def __init__(self, folder: Path, cluster: Cluster) -> None:
        super().__init__(folder)
        self.cluster = cluster
        self.said = folder / "snakemake.log"

    @contextmanager
    def submitted(self, *arguments: str, overlay: dict | None = None) -> Iterator[subprocess.Popen]:
        """Snakemake with the profile, which is killed with the block where it has not ended."""
        (self.folder / "overlay.yaml").write_text(yaml.safe_dump(overlay or {}))
        command = [sys.executable, "-m", "snakemake", "--profile", "profiles/slurm", "--directory", str(self.folder)]
        # few threads, because jobs share this machine; a short wait before the queue is asked
        command += ["--cores", "1", "--slurm-init-seconds-before-status-checks", "5", *arguments]
        command += ["--configfile", str(TINY), str(self.folder / "overlay.yaml")]
        path = f"{Path(sys.executable).parent}:{self.cluster.environment['PATH']}"
        environment = self.cluster.environment | {"PATH": path, "HEADPOSE_TRACKING": "off"}
        with self.said.open("w") as output:
            process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=output, stderr=subprocess.STDOUT)
            try:
                yield process
            finally:
                process.kill()
                process.wait()

    def checkpoints(self) -> list[Path]:
        return list(self.folder.glob("checkpoints/*/last.ckpt"))

    def log(self) -> str:
        path = self.folder / "logs/pretrain/tiny-rotation-seed0.log"
        return path.read_text() if path.exists() else ""


@pytest.fixture
def training(finished: World, cluster: Cluster, tmp_path: Path) -> Study:
    """A study whose data are ready."""
    shutil.copytree(finished.folder / "data", tmp_path / "data")
    return Study(tmp_path, cluster)


def test_a_study_runs_to_its_table(training: Study, cluster: Cluster):
    with training.submitted(overlay=BASELINE) as process:
        assert process.wait(900) == 0, training.said.read_text()[-3000:]
    table = pd.read_csv(training.folder / "results/tiny/default/compare/table.csv")
    assert table["arm"].tolist() == ["baseline", "always frontal", "always the mean pose"]
    assert not training.planned(BASELINE), "up to date for a local Snakemake too"
    jobs = ",".join(re.findall(r"SLURM jobid (\d+)", training.said.read_text()))
    fields = "--Format=comment:100,state:20,tres-per-job:20"
    listed = cluster("squeue", "--states=all", "--noheader", f"--jobs={jobs}", fields)
    rules, states, gpus = zip(*(line.split() for line in sorted(listed.splitlines())), strict=True)
    assert [rule.split("_")[1] for rule in rules] == ["compare", "evaluate", "finetune", "write"]
    assert set(states) == {"COMPLETED"}
    assert gpus == ("N/A", "N/A", "gres:gpu:1", "N/A")
    assert not list(training.folder.glob(".snakemake/slurm_logs/**/*.log")), "Slurm's output of good jobs"


def test_a_training_goes_on_when_its_command_is_given_again_and_by_itself_when_requeued(
    training: Study, cluster: Cluster
):
    with training.submitted("--retries", "0", ENCODER, overlay=LONG) as process:
        wait_for(training.checkpoints, "checkpoint")
        cluster("scancel", *cluster.jobs())
        assert process.wait(600) != 0
    assert "SLURM status is: 'CANCELLED'" in training.said.read_text()
    assert training.log().endswith(MESSAGE)
    assert training.checkpoints()
    assert not list((training.folder / ENCODER).parent.glob("*"))
    with training.submitted(ENCODER, overlay=LONG) as process:
        wait_for(lambda: RESUMED in training.log(), "resumed training")
        (job,) = cluster.jobs()
        cluster("scontrol", "requeue", job)
        assert process.wait(600) == 0, training.said.read_text()[-3000:]
    assert "Restarts=1" in cluster("scontrol", "show", "job", job)
    assert training.said.read_text().count("has been submitted with SLURM jobid") == 1
    assert RESUMED in training.log(), "which every start of a job begins anew"
    history = pd.read_csv((training.folder / ENCODER).with_name("history.csv"))
    assert history["epoch"].tolist() == list(range(1, LONG["pretrain"]["epochs"] + 1))
    assert not training.checkpoints()
