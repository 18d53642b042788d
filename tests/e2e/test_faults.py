"""What becomes of a study when something breaks: nothing half-made is used, and one line says what to do."""

import json
import os
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from tests.cluster.slurm import wait_for
from tests.conftest import ROOT, World

pytestmark = pytest.mark.e2e

AFTER = {"compare": 1, "write_report": 1, "all": 1}
CUT_OFF = {
    "data/crops/rendered-32px/crops.h5": {
        **{"crop_faces": 1, "split_dataset": 1, "describe_dataset": 1, "pretrain": 1, "finetune": 4, "evaluate": 4},
        **AFTER,
    },
    "results/tiny/default/pretrain/rotation/seed0/encoder.safetensors": {
        **{"pretrain": 1, "finetune": 2, "evaluate": 2},
        **AFTER,
    },
    "results/tiny/default/finetune/hybrid/seed0/recipe.json": {"finetune": 1, "evaluate": 1, **AFTER},
    "results/tiny/default/evaluate/test/rendered/hybrid/seed0/predictions.parquet": {"evaluate": 1, **AFTER},
}


@pytest.mark.parametrize(("name", "expected"), CUT_OFF.items(), ids=[Path(name).name for name in CUT_OFF])
def test_a_result_that_was_cut_off_is_made_again(copy: World, name: str, expected: dict[str, int]):
    path = copy.folder / name
    os.truncate(path, path.stat().st_size // 2)
    assert copy.planned() == Counter(expected)


def test_a_broken_test_archive_stops_a_study_before_its_trainings(copy: World, tmp_path: Path):
    archive = tmp_path / "HeadPoseImageDatabase.tar.gz"
    archive.write_bytes(b"not an archive")
    broken = {
        "source": {"kind": "pointing04"},
        "archive": str(archive),
        "crop": {"box": "given_box", "margin": 0.2},
        "split": {"test_subjects": "all"},
    }
    overlay = {"datasets": {"broken": broken}, "test_on": ["rendered", "broken"], "finetune": {"learning_rate": 0.002}}
    done = copy.snakemake(overlay=overlay)
    assert done.returncode != 0
    assert "HeadPoseImageDatabase.tar.gz" in done.stdout + done.stderr
    assert "rule finetune" not in done.stdout + done.stderr


def test_an_evaluation_that_was_written_to_is_not_compared(copy: World):
    metrics = copy.folder / "results/tiny/default/evaluate/test/rendered/hybrid/seed0/metrics.json"
    text = metrics.read_text()
    metrics.write_text(text.replace("1", "2"))
    done = copy.snakemake("results/tiny/default/compare/table.md", "--forcerun", "compare")
    assert done.returncode != 0
    assert (
        "hybrid/seed0/metrics.json: its content is not what its job wrote (the SHA-256 differs)"
        in done.stdout + done.stderr
    )


def finetuned(
    finished: World, folder: Path, training: dict[str, float | None], **params: dict[str, float]
) -> subprocess.CompletedProcess:
    """The baseline's fine-tuning by a recipe that differs in these parameters, into folders of its own."""
    made = json.loads((finished.folder / "results/tiny/default/finetune/baseline/seed0/recipe.json").read_text())
    changed = made["params"] | params | {"training": made["params"]["training"] | training}
    (folder / "recipe.json").write_text(json.dumps(made | {"params": changed}))
    places = folder / "recipe.json", folder / "output", folder / "checkpoints"
    command = finished.training("pipeline_steps.finetune", *places)
    environment = os.environ | {"HEADPOSE_TRACKING": "off"}
    return subprocess.run(command, cwd=ROOT, env=environment, text=True, capture_output=True, check=False)


def test_an_exploding_loss_names_epoch_batch_and_rate(finished: World, tmp_path: Path):
    rates = {"learning_rate": 1e30, "warmup_epochs": 1.0, "precision": "float32"}
    done = finetuned(finished, tmp_path, rates | {"epochs": 3, "epoch_images": 64, "batch_size": 16})
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        "error: finetune baseline/seed0: the loss is not finite in epoch 1, batch 2 (learning rate 4e+29); "
        "lower learning_rate or gradient_clip"
    ), "the second of five equal steps of the warm-up"
    assert not (tmp_path / "output").exists()
    assert not (tmp_path / "checkpoints/last.ckpt").exists(), "a broken epoch is not kept"


def test_a_single_labelled_image_is_too_few(finished: World, tmp_path: Path):
    done = finetuned(finished, tmp_path, {"epoch_images": None}, labels={"subjects": 1, "fraction": 0.01})
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].endswith(
        "crops.h5: 1 image to train on, but at least two are needed; choose more by labels, train_on or pretrain_on, "
        "or set epoch_images, which repeats it"
    )


def test_results_that_may_not_be_written_to_are_named(finished: World, tmp_path: Path):
    folder = tmp_path / "read only"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", str(folder)], check=False).returncode:
        pytest.skip("a file system can be mounted by root alone")
    try:
        recipe = finished.folder / "results/tiny/default/finetune/baseline/seed0/recipe.json"
        command = finished.training("pipeline_steps.finetune", recipe, folder / "output", tmp_path / "checkpoints")
        environment = os.environ | {"HEADPOSE_TRACKING": "off"}
        done = subprocess.run(command, cwd=ROOT, env=environment, text=True, capture_output=True, check=False)
    finally:
        subprocess.run(["umount", str(folder)], check=True)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        f"error: {folder}/output: is on a read-only file system; choose another place, or mount it "
        "writable, and run the same command again"
    )


def test_of_two_runs_in_one_folder_the_second_stands_back(copy: World):
    change = {"arms": {"another": {"init": "random", "auxiliary": {"puzzling": 0.2}}}}
    with copy.started(overlay=change) as first:
        wait_for(lambda: list(copy.folder.glob(".snakemake/locks/*")), "lock")
        second = copy.snakemake(overlay=change)
        assert first.poll() is None, "ended too early to prove anything"
        assert second.returncode != 0
        assert "cannot be locked" in second.stdout + second.stderr
        said = first.communicate(timeout=600)
        assert first.returncode == 0, said
    assert not copy.planned(change)
