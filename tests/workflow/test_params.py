"""params.yaml, the studies and the published schema agree with the types."""

import json
import re
import subprocess
import sys
from functools import reduce
from pathlib import Path

import pytest
import yaml

from pipeline_steps.job.errors import UserError
from tests.conftest import ROOT
from workflow.params import Params, merged, parse_params
from workflow.plan import Plan

WIDE = {"mean": 0.0, "std": 1.0, "min": -120.0, "max": 9.0}
DEFAULT = yaml.safe_load((ROOT / "params.yaml").read_text())


BELOW = {
    "transfer": ["biwi"],
    "tune": ["biwi"],
    "tune_auxiliary": ["biwi"],
    "tune_pairs": ["biwi"],
    "best": ["biwi"],
    "computing": ["biwi", "roles"],
    "pairs_computing": ["biwi", "pairs"],
    "pairs_alone": ["biwi", "pairs"],
    "confirmed_computing": ["biwi", "confirmed"],
    "imagenet_alone": ["biwi", "imagenet"],
    "imagenet_rolled": ["biwi", "imagenet"],
    "best_longer": ["biwi", "best"],
    "best_flip_test": ["biwi", "best", "best_longer"],
    "best_detail": ["biwi", "best", "best_longer"],
    "best_112": ["biwi", "best"],
    "best_112_rolled": ["biwi", "best", "best_112"],
    "best_112_longer": ["biwi", "best", "best_112"],
    "best_112_flip_test": ["biwi", "best", "best_112", "best_112_longer"],
    "best_112_detail": ["biwi", "best", "best_112", "best_112_longer"],
    "tune_imagenet": ["biwi", "imagenet"],
    "tune_best": ["biwi", "best"],
}
"""Overlays that each of these studies goes on top of; all others go on the default study and on biwi."""


def overlay_of(study: str) -> dict:
    return yaml.safe_load((ROOT / f"studies/{study}.yaml").read_text())


STUDIES = sorted(path.stem for path in (ROOT / "studies").glob("*.yaml"))


@pytest.mark.parametrize("study", STUDIES)
def test_every_study_is_valid(study):
    overlay = overlay_of(study)
    assert study in (overlay.get("study"), overlay.get("question"))
    for below in [BELOW[study]] if study in BELOW else [[], ["biwi"]]:
        values = reduce(merged, [*map(overlay_of, below), overlay], DEFAULT)
        for size in (None, "small", "base", "full"):
            parse_params(values | {"size": size})


def test_all_studies_are_listed():
    listed = re.findall(r"^\| `(\w+)\.yaml` \|", (ROOT / "studies/README.md").read_text(), re.M)
    assert sorted(listed) == STUDIES


@pytest.mark.parametrize("size", ["small", "base", "full"])
def test_no_question_trains_another_questions_models_anew(size, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for archive in ("biwi_face_crops.tar.gz", "aflw2000_dev300.tar.gz"):
        (tmp_path / archive).write_text(archive)
    monkeypatch.setenv("HEADPOSE_REAL_DATA", str(tmp_path))
    trained: dict[str, tuple[str, str]] = {}
    for question in set(STUDIES) - {"paper"}:
        overlays = [*BELOW.get(question, ["biwi"]), question]
        plan = Plan(parse_params(reduce(merged, map(overlay_of, overlays), DEFAULT) | {"size": size}))
        for folder in [*plan.pretrainings(), *plan.finetunings()]:
            key = plan.recipes[folder].key
            other, known = trained.setdefault(folder, (question, key))
            assert known == key, f"{folder}: otherwise in studies/{question}.yaml than in studies/{other}.yaml"


def test_parameters_parse_without_heavy_libraries():
    """Snakemake and every step wait for what the parameters import."""
    code = "import sys, workflow.plan; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, text=True, capture_output=True, check=True)
    assert not {"torchvision", "lightning", "mlflow", "kornia", "lightly", "pandas", "scipy"} & {*done.stdout.split()}


def test_the_published_schema_is_that_of_the_types():
    schema = json.loads((ROOT / "workflow/resources/params.schema.json").read_text())
    assert schema == Params.model_json_schema(), "run: python -m workflow.commands.schema"


@pytest.mark.parametrize(
    ("overlay", "message"),
    [
        ({"datasets": {"rendered": {"split": {"test_subjects": None}}}}, "give test_subjects, or a protocol"),
        ({"datasets": {"rendered": {"archive": "x.zip"}}}, "archive: this data set has none"),
        (
            {"datasets": {"rendered": {"source": {"pose": {"yaw": WIDE}}}}},
            "params.yaml: datasets.rendered.source.pose: ",
        ),
        ({"pretext": {"puzzling": {"grid": 5}}}, "pretext.puzzling"),
        (
            {
                "pretext": {"masked_modelling": {"cells": 7}},
                "arms": {"hybrid": {"auxiliary": {"masked_modelling": 1.0}}},
            },
            "multiple of 7",
        ),
        (
            {"datasets": {"rendered": {"split": {"test_subjects": "most"}}}},
            "test_subjects: Input should be a valid integer or 'all'",
        ),
        ({"seeds": []}, "seeds"),
        ({"evaluate": {"yaw_bins": [30.0, 0.0]}}, "evaluate.yaw_bins: every edge must be greater than the one before"),
        ({"arms": {"baseline": {"init": "ssl:jigsaw"}}}, "'jigsaw' is not defined"),
        ({"arms": {"hybrid": {"views": "single_view", "auxiliary": {"rotation": 1.0}}}}, "exactly one auxiliary task"),
        ({"train_on": "biwi"}, "train_on: 'biwi' is not defined"),
        ({"compare": {"baseline": "supervised"}}, "compare.baseline"),
        ({"compare": {"baseline": "supervised"}, "variations": {"few": {}}}, "compare.baseline"),
        ({"size": "huge"}, "size: 'huge' is not defined; known: small, base, full"),
        ({"sizes": {"small": {"crop": {"size": 8}}}, "size": "small"}, "crop: unknown key"),
        ({"variations": {"few": {"label": {"subjects": 1}}}}, "arms.baseline-few.label: unknown key"),
        ({"arms": {"baseline": {"labels": {"subjects": 0}}}}, "arms.baseline.labels.subjects"),
        ({"arms": {"baseline": {"finetune": {"epoch": 1}}}}, "arms.baseline.finetune.epoch"),
        ({"pretext": {"pose": {"kind": "rotation"}}}, "pretext.pose: this name is taken"),
        (
            {"arms": {"hybrid": {"views": "single_view", "auxiliary_on": "train"}}},
            "exactly one auxiliary task, on labelled images",
        ),
    ],
)
def test_an_impossible_value_names_its_key(overlay, message):
    with pytest.raises(UserError, match=r"params.yaml: ") as error:
        parse_params(merged(DEFAULT, overlay))
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_size_is_merged_over_everything_else():
    params = parse_params(merged(DEFAULT, {"size": "full", "crops": {"size": 32}}))
    assert params.crops.size == 224
    assert params.network.backbone == "resnet50"
    assert params.network.pose_head == DEFAULT["network"]["pose_head"]


def test_every_arm_is_run_once_with_every_variation():
    variations = {"few": {"labels": {"subjects": 1}}, "slow": {"finetune": {"epochs": 3}}, "gone": None}
    params = parse_params(merged(DEFAULT, {"variations": variations}))
    assert set(params.arms) == {f"{arm}-{variation}" for arm in DEFAULT["arms"] for variation in ("few", "slow")}
    assert params.labels_of("hybrid-few").subjects == 1
    assert params.labels_of("hybrid-slow").subjects == DEFAULT["labels"]["subjects"]
    assert params.finetune_of("hybrid-slow").epochs == 3
    assert params.finetune_of("hybrid-slow").learning_rate == DEFAULT["finetune"]["learning_rate"]
