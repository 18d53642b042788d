"""The whole chain on small data: what a finished study leaves behind."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from scipy.spatial.transform import Rotation

from pipeline_steps.images.crop_file import CropFile
from pipeline_steps.network.inference import load_model
from tests.conftest import ROOT, World

pytestmark = pytest.mark.e2e


def test_the_table_has_a_row_per_arm_with_the_baseline_first(finished: World):
    table = pd.read_csv(finished.folder / "results/tiny/default/compare/table.csv")
    assert table["arm"].iloc[0] == "baseline"
    assert set(table["arm"].iloc[:4]) == {"baseline", "pretrained", "hybrid", "pretrained_hybrid"}
    assert table["arm"].iloc[4:].to_list() == ["always frontal", "always the mean pose"]
    assert table[["yaw", "pitch", "roll"]].mean(axis=1).to_numpy() == pytest.approx(table["mae"].to_numpy())


def test_errors_in_the_table_are_those_of_the_predictions(finished: World):
    table = pd.read_csv(finished.folder / "results/tiny/default/compare/table.csv").set_index("arm")
    for arm in table.index[table["verdict"] != "constant"]:
        predictions = pd.read_parquet(
            finished.folder / f"results/tiny/default/evaluate/test/rendered/{arm}/seed0/predictions.parquet"
        )
        assert len(predictions) == 8
        assert predictions["geodesic_deg"].mean() == pytest.approx(table.loc[arm, "geodesic"], abs=1e-4)


def evaluated_again(finished: World, folder: Path, **changed: object) -> tuple[np.ndarray, np.ndarray]:
    """Rotations (N, 3, 3) of the test images' heads, by the hybrid arm evaluated in another way; and the images."""
    study, data = finished.folder / "results/tiny/default", finished.folder / "data"
    recipe = json.loads((study / "evaluate/test/rendered/hybrid/seed0/recipe.json").read_text())
    recipe["params"]["evaluate"] |= changed
    (folder / "recipe.json").write_text(json.dumps(recipe))
    crops, model = data / "crops/rendered-32px/crops.h5", study / "finetune/hybrid/seed0/model.safetensors"
    command = [sys.executable, "-m", "pipeline_steps.evaluate", "--recipe", folder / "recipe.json", "--model", model]
    command += ["--crops", crops, "--split", data / "splits/rendered-32px/split.json", "--output", folder / "out"]
    untracked = os.environ | {"HEADPOSE_TRACKING": "off"}
    subprocess.run(list(map(str, command)), cwd=ROOT, env=untracked, capture_output=True, check=True)
    table = pd.read_parquet(folder / "out/predictions.parquet")
    with CropFile(crops) as file:
        images = file.read(np.array([file.source_ids.index(name) for name in table["source_id"]]))
    return table[[f"p{i}{j}" for i in range(3) for j in range(3)]].to_numpy().reshape(-1, 3, 3), images


def seen_in(finished: World, images: np.ndarray) -> Rotation:
    """What the hybrid arm sees in crops uint8 (N, S, S, 3)."""
    network, _ = load_model(finished.folder / "results/tiny/default/finetune/hybrid/seed0/model.safetensors")
    with torch.inference_mode():
        return Rotation.from_matrix(network(torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255).double())


def test_the_flip_test_is_the_mean_of_what_is_seen_in_the_picture_and_in_the_mirror(finished: World, tmp_path: Path):
    rotations, images = evaluated_again(finished, tmp_path, flip_test=True)
    seen, mirrored = seen_in(finished, images), seen_in(finished, images[:, :, ::-1].copy())
    back = Rotation.from_rotvec(mirrored.as_rotvec() * [1, -1, -1])  # the part about the mirror's normal alone stays
    for place, rotation in enumerate(rotations):
        mean = Rotation.concatenate([seen[place], back[place]]).mean()
        np.testing.assert_allclose(rotation, mean.as_matrix(), atol=1e-4)


def test_a_limit_of_detail_shows_test_images_as_if_they_had_been_small(finished: World, tmp_path: Path):
    rotations, images = evaluated_again(finished, tmp_path, detail=16)
    bicubic = Image.Resampling.BICUBIC
    soft = np.stack([Image.fromarray(i).resize((16, 16), bicubic).resize((32, 32), bicubic) for i in images])
    far = (seen_in(finished, soft).inv() * Rotation.from_matrix(rotations)).magnitude()
    sharp = (seen_in(finished, images).inv() * Rotation.from_matrix(rotations)).magnitude()
    assert np.degrees(far).max() < 0.3 < np.degrees(sharp).mean()


def test_parts_of_the_split_share_nobody(finished: World):
    split = json.loads((finished.folder / "data/splits/rendered-32px/split.json").read_text())
    who = split["subjects"]
    assert not set(who["train"]) & set(who["test"])
    assert not set(who["train"]) & set(who["validation"])
    assert not set(who["test"]) & set(who["validation"])
    assert [len(split[part]) for part in ("train", "validation", "test")] == [16, 8, 8]
    run = json.loads((finished.folder / "results/tiny/default/finetune/hybrid/seed0/run.json").read_text())
    assert (run["labelled_subjects"], run["labelled_images"]) == (3, 12)
    assert run["backbone_passes"] == 16, "one batch of 8 of the 12 labelled images, and its shuffled copies"


def test_a_probe_of_the_frozen_features_accompanies_the_pretraining(finished: World):
    folder = finished.folder / "results/tiny/default/pretrain/rotation/seed0"
    assert 0 < json.loads((folder / "run.json").read_text())["untrained_probe_mae_deg"] < 90
    assert 0 < pd.read_csv(folder / "history.csv")["val_probe_mae_deg"].iloc[0] < 90


def test_logs_hold_what_the_steps_say_and_no_chatter_of_libraries(finished: World):
    lines = [line for path in finished.folder.glob("logs/*/*.log") for line in path.read_text().splitlines()]
    strange = [line for line in lines if not re.match(r"\d\d:\d\d:\d\d ", line)]
    assert any("epoch 1/1" in line for line in lines)
    assert all(line.startswith("Warp CUDA warning") for line in strange), strange  # where there is no GPU


def test_two_builds_of_the_crops_are_equal_to_the_byte(finished: World, tmp_path: Path):
    made = finished.folder / "data/crops/rendered-32px"
    command = [sys.executable, "-m", "pipeline_steps.crop_faces", "--recipe", str(made / "recipe.json")]
    command += ["--raw", str(finished.folder / "data/raw/rendered"), "--output", str(tmp_path), "--threads", "2"]
    subprocess.run(command, cwd=ROOT, check=True)
    for name in ("crops.h5", "rejected.csv"):
        assert (tmp_path / name).read_bytes() == (made / name).read_bytes()
    with h5py.File(tmp_path / "crops.h5") as file:
        assert file["images"].shape == (32, 40, 40, 3), "32 pixels and a tenth of context on each side"
        assert np.allclose(np.linalg.det(file["rotation"][:]), 1, atol=1e-5)


def crop_again(finished: World, raw: Path, output: Path) -> subprocess.CompletedProcess:
    recipe = finished.folder / "data/crops/rendered-32px/recipe.json"
    command = [sys.executable, "-m", "pipeline_steps.crop_faces", "--recipe", str(recipe), "--raw", str(raw)]
    return subprocess.run([*command, "--output", str(output)], cwd=ROOT, text=True, capture_output=True, check=False)


def test_corrupt_images_are_listed_and_too_many_of_them_stop_the_step(finished: World, tmp_path: Path):
    raw = tmp_path / "raw"
    shutil.copytree(finished.folder / "data/raw/rendered", raw)
    (raw / "images/000003.jpg").write_bytes(b"not a jpeg")
    (raw / "seal.json").unlink()  # with its seal, the changed folder would not be read at all
    done = crop_again(finished, raw, tmp_path / "crops")
    assert done.returncode == 1
    assert done.stderr.strip().splitlines()[-1].startswith("error: ")
    assert "1 of 32 images are unusable, more than crops.max_rejected" in done.stderr
    assert "000003" in (tmp_path / "crops/rejected.csv").read_text()
    assert not (tmp_path / "crops/crops.h5").exists()
    assert not (tmp_path / "crops/recipe.json").exists()


def test_a_cut_off_crop_file_is_named_with_the_way_out(finished: World, tmp_path: Path):
    whole = (finished.folder / "data/crops/rendered-32px/crops.h5").read_bytes()
    (tmp_path / "crops.h5").write_bytes(whole[: len(whole) // 2])
    recipe = finished.folder / "data/splits/rendered-32px/recipe.json"
    command = [sys.executable, "-m", "pipeline_steps.split_dataset", "--recipe", str(recipe)]
    command += ["--crops", str(tmp_path / "crops.h5"), "--output", str(tmp_path / "split")]
    done = subprocess.run(command, cwd=ROOT, text=True, capture_output=True, check=False)
    assert done.returncode == 1
    assert "crops.h5: not a complete crop file" in done.stderr
    assert "delete it and run snakemake again" in done.stderr
    assert not (tmp_path / "split").exists()
