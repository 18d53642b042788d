"""Trainings that run at the same time use different GPUs as far as there are enough."""

import multiprocessing
import os
from pathlib import Path

import pytest

from pipeline_steps.job.errors import UserError
from pipeline_steps.training.devices import CLAIMED, claimed_devices


def _claim(count: int, claimed: multiprocessing.Queue, end: multiprocessing.Event) -> None:
    with claimed_devices(count, gpus=3) as indices:
        claimed.put(indices)
        end.wait(60)


def test_trainings_share_out_the_gpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    context = multiprocessing.get_context("fork")
    claimed, end = context.Queue(), context.Event()
    found, processes = [], []
    for count in (1, 2, 1, 2):
        processes.append(context.Process(target=_claim, args=(count, claimed, end)))
        processes[-1].start()
        found.append(claimed.get(timeout=60))
    end.set()
    for process in processes:
        process.join()
    assert found == [[0], [1, 2], [0], [1, 2]]


def test_gpus_are_free_again_after_the_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    for _ in range(2):
        with claimed_devices(1, gpus=3) as first:
            assert first == [0]
            assert os.environ[CLAIMED] == "0", "for the further processes of this training"
            with claimed_devices(1, gpus=3) as inherited:
                assert inherited == first
        assert CLAIMED not in os.environ


def test_without_gpus_there_are_as_many_processes():
    with claimed_devices(2, gpus=0) as processes:
        assert processes == 2


def test_more_devices_than_there_are_gpus_are_refused():
    with pytest.raises(UserError, match=r"--devices 4: there are 3 GPUs here"), claimed_devices(4, gpus=3):
        pass
