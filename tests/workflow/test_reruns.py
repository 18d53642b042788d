"""What runs again after a change: with Snakemake's memory, and without it after outputs were restored."""

import json
import os
import re
import shutil
import time
from base64 import urlsafe_b64encode
from collections import Counter
from pathlib import Path

import pytest
import yaml

from tests.conftest import ROOT, TINY, Repository, World, merged
from workflow.params import parse_params
from workflow.plan import Plan

pytestmark = pytest.mark.workflow

ROTATION_CHAIN = {"pretrain": 1, "finetune": 2, "evaluate": 2, "compare": 1, "write_report": 1, "all": 1}
EVERYTHING_TRAINED = {"pretrain": 1, "finetune": 4, "evaluate": 4, "compare": 1, "write_report": 1, "all": 1}

DESCRIBED = {"split_dataset": 1, "describe_dataset": 1}
RESPLIT = {"split_dataset": 1, **EVERYTHING_TRAINED}
RERENDERED = {"acquire_dataset": 1, "crop_faces": 1, **DESCRIBED, **EVERYTHING_TRAINED}

CHANGES = [
    ("nothing", {}, {}),
    (
        "learning rate",
        {"finetune": {"learning_rate": 0.002}},
        {"finetune": 4, "evaluate": 4, "compare": 1, "write_report": 1, "all": 1},
    ),
    (
        "auxiliary weight of one arm",
        {"arms": {"hybrid": {"auxiliary": {"puzzling": 0.5}}}},
        {"finetune": 1, "evaluate": 1, "compare": 1, "write_report": 1, "all": 1},
    ),
    (
        "parameter of an auxiliary task",
        {"pretext": {"puzzling": {"dropout": 0.1}}},
        {"finetune": 2, "evaluate": 2, "compare": 1, "write_report": 1, "all": 1},
    ),
    ("schedule of pre-training", {"pretrain": {"epochs": 2}}, ROTATION_CHAIN),
    (
        "a new arm",
        {"arms": {"third": {"init": "random", "auxiliary": {"rotation": 0.1}}}},
        {"finetune": 1, "evaluate": 1, "compare": 1, "write_report": 1, "all": 1},
    ),
    ("a new seed", {"seeds": [0, 1]}, EVERYTHING_TRAINED),
    ("crop size", {"crops": {"size": 48}}, {"crop_faces": 1, **DESCRIBED, **EVERYTHING_TRAINED}),
    (
        "labelled people",
        {"labels": {"subjects": 2}},
        {"finetune": 4, "evaluate": 4, "compare": 1, "write_report": 1, "all": 1},
    ),
    (
        "labelled people of one arm",
        {"arms": {"hybrid": {"labels": {"subjects": 2}}}},
        {"finetune": 1, "evaluate": 1, "compare": 1, "write_report": 1, "all": 1},
    ),
    (
        "test-time augmentation",
        {"evaluate": {"flip_test": True}},
        {"evaluate": 4, "compare": 1, "write_report": 1, "all": 1},
    ),
    (
        "detail of test images",
        {"evaluate": {"detail": 24}},
        {"evaluate": 4, "compare": 1, "write_report": 1, "all": 1},
    ),
    (
        "window of test images",
        {"evaluate": {"window": 0.9}},
        {"evaluate": 4, "compare": 1, "write_report": 1, "all": 1},
    ),
    ("who trains", {"datasets": {"rendered": {"split": {"seed": 1}}}}, RESPLIT),
    (
        "another question",
        {"questions": {"roles": {"asks": "Which role?"}}},
        {"compare": 1, "write_report": 1, "all": 1},
    ),
    (
        "a part of the variations",
        {"variations": {"few": {"labels": {"subjects": 1}}, "more": {}}},
        {"finetune": 8, "evaluate": 8, "compare": 1, "write_report": 1, "all": 1},
    ),
    ("tracking", {"tracking": {"uri": "sqlite:///elsewhere.db"}}, {}),
]


@pytest.mark.parametrize(("overlay", "expected"), [c[1:] for c in CHANGES], ids=[c[0] for c in CHANGES])
def test_a_change_runs_what_depends_on_it(finished: World, overlay, expected):
    assert finished.planned(overlay) == Counter(expected)


def test_a_revert_runs_nothing(finished: World):
    assert finished.planned({"finetune": {"learning_rate": 0.002}})
    assert not finished.planned()


def test_forced_jobs_run_alone_and_with_all_forced_everything_runs(finished: World):
    assert finished.planned(None, "--forcerun", "finetune") == Counter({"finetune": 4})
    assert finished.planned(None, "--forceall") == Counter(RERENDERED)


def test_restored_outputs_give_the_same_answers(copy: World):
    assert not copy.planned()
    change = {"finetune": {"learning_rate": 0.002}}
    assert copy.planned(change) == Counter({"finetune": 4, "evaluate": 4, "compare": 1, "write_report": 1, "all": 1})
    assert not copy.planned()


def edit(path: Path, addition: str = "\nEDITED = 1\n") -> str:
    """Change what a module does; returns its text before."""
    text = path.read_text()
    path.write_text(text + addition)
    return text


def test_edited_code_runs_the_rules_that_import_it(finished: World, tmp_path: Path):
    repository = Repository(tmp_path / "repository").folder
    world = World(finished.folder, repository)
    assert not world.planned()
    for module, expected in (
        ("pretext/puzzling.py", {"finetune": 2, "evaluate": 2, "compare": 1, "write_report": 1, "all": 1}),
        ("evaluation/metrics.py", {"evaluate": 4, "compare": 1, "write_report": 1, "all": 1}),
        ("rendering/compositing.py", RERENDERED),
        ("images/image_files.py", {"crop_faces": 1, **DESCRIBED, **EVERYTHING_TRAINED}),
        ("acquisition/download.py", {}),
        ("job/progress.py", {}),
        ("tracking/runs.py", {}),
    ):
        path = repository / "pipeline_steps" / module
        text = edit(path)
        assert world.planned() == Counter(expected), module
        path.write_text(text)


def test_editing_comments_docstrings_or_formatting_runs_nothing(finished: World, tmp_path: Path):
    repository = Repository(tmp_path / "repository").folder
    for path in (repository / "pipeline_steps").rglob("*.py"):
        text = re.sub(r'^( *)(def|class) .*:\n\1    """', r"\g<0>Edited. ", path.read_text(), flags=re.M)
        text = text.replace('description="', 'description="Edited: ')
        path.write_text(f"# edited\n{text}\n\n# edited\n".replace("(\n", "(  # edited\n", 1))
    assert not World(finished.folder, repository).planned()


def test_a_dry_run_changes_no_date_and_writes_nothing_but_recipes(copy: World):
    def seen() -> dict[Path, tuple[int, int]]:
        found = (p for top in ("data", "results") for p in (copy.folder / top).rglob("*"))
        return {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in found}

    tomorrow = time.time() + 86400
    os.utime(copy.folder / "results/tiny/default/compare/table.csv", (tomorrow, tomorrow))
    before = seen()
    assert copy.planned({"finetune": {"learning_rate": 0.002}})
    assert seen() == before
    assert {path.name for path in copy.folder.iterdir()} <= {
        "data",
        "results",
        ".recipes",
        ".snakemake",
        f"overlay{os.getpid()}.yaml",
    }


def test_crops_that_were_deleted_are_made_again_for_a_new_arm_which_alone_is_trained(copy: World):
    for name in ("raw", "crops"):
        shutil.rmtree(copy.folder / "data" / name)
    assert not copy.planned()
    more = {"arms": {"third": {"init": "random"}}}
    trained_and_tested = {"finetune": 1, "evaluate": 1, "compare": 1, "write_report": 1, "all": 1}
    assert copy.planned(more) == Counter({"acquire_dataset": 1, "crop_faces": 1, **trained_and_tested})


@pytest.mark.parametrize(
    ("setting", "named"),
    [
        (("--dry-run", "--rerun-triggers", "mtime", "params"), "rerun-triggers"),
        (("--dry-run", "--max-checksum-file-size", "1000"), "max-checksum-file-size"),
        (("--dry-run", "--workflow-profile", "none"), "rerun-triggers, max-checksum-file-size, ignore-incomplete"),
        (
            (
                "--workflow-profile",
                "none",
                "--rerun-triggers",
                "mtime",
                "--max-checksum-file-size",
                "0",
                "--forcerun",
                "compare",
            ),
            "ignore-incomplete",
        ),
    ],
    ids=["triggers", "checksums", "no profile", "incomplete files"],
)
def test_a_profile_by_which_snakemake_would_answer_otherwise_is_refused_in_one_line(copy: World, setting, named):
    done = copy.snakemake(*setting)
    assert done.returncode != 0
    assert f"profile: {named} differs from what this workflow needs; set " in done.stdout + done.stderr


def test_another_study_that_cuts_and_splits_a_data_set_otherwise_costs_this_one_no_training(copy: World):
    other = {
        "study": "other",
        "crops": {"border": "constant"},
        "datasets": {"rendered": {"split": {"seed": 1}}},
    }
    done = copy.snakemake("all_data", overlay=other)
    assert done.returncode == 0, done.stderr
    assert set(copy.planned()) <= {"crop_faces", "split_dataset", "describe_dataset", "all"}, "they are put back"
    more = {"arms": {"third": {"init": "random"}}}
    trained_and_tested = {"finetune": 1, "evaluate": 1, "compare": 1, "write_report": 1, "all": 1}
    assert copy.planned(more) == Counter({"crop_faces": 1, **DESCRIBED, **trained_and_tested})


@pytest.mark.parametrize("days", [1, -30], ids=["clock put back", "clock put forward"])
def test_a_clock_that_jumps_changes_nothing(copy: World, days: int):
    moment = time.time() + days * 86400
    for path in (p for top in ("data", "results") for p in (copy.folder / top).rglob("*.*")):
        os.utime(path, (moment, moment))
    assert not copy.planned()
    change = {"compare": {"confidence": 0.9}}
    assert copy.planned(change) == Counter({"compare": 1, "write_report": 1, "all": 1})
    done = copy.snakemake(overlay=change)
    assert done.returncode == 0, done.stderr
    assert not copy.planned(change)


def test_a_job_that_outlived_a_killed_snakemake_is_finished_and_what_follows_it_runs(copy: World):
    results = copy.folder / "results/tiny/default"
    for path in (results / "finetune/baseline/seed0").iterdir():
        held_for_unfinished = urlsafe_b64encode(str(path.relative_to(copy.folder)).encode()).decode()
        (copy.folder / ".snakemake/incomplete").mkdir(parents=True, exist_ok=True)
        (copy.folder / ".snakemake/incomplete" / held_for_unfinished).write_text('{"external_jobid": null}')
    for folder in ("evaluate/test/rendered/baseline/seed0", "compare"):
        shutil.rmtree(results / folder)
    assert copy.planned() == Counter({"evaluate": 1, "compare": 1, "all": 1})


def test_facts_of_the_machine_run_nothing(finished: World):
    done = finished.snakemake("--dry-run", "--cores", "1", "--resources", "gpu=1")
    assert "Nothing to be done" in done.stdout + done.stderr


def test_the_order_of_arms_seeds_and_data_sets_changes_no_recipe():
    values = merged(yaml.safe_load((ROOT / "params.yaml").read_text()), yaml.safe_load(TINY.read_text()))
    values["seeds"] = [0, 1]
    turned = values | {"seeds": [1, 0], "arms": dict(reversed(values["arms"].items()))}
    plans = [{folder: job.recipe for folder, job in Plan(parse_params(v)).jobs.items()} for v in (values, turned)]
    assert plans[0] == plans[1]


@pytest.mark.parametrize(
    ("overlay", "message"),
    [
        ({"finetune": {"lerning_rate": 1}}, "finetune.lerning_rate: unknown key"),
        ({"finetune": {"learning_rate": "1e-3"}}, "write 1.0e-3"),
        ({"finetune": {"learning_rate": -1.0}}, "finetune.learning_rate: Input should be greater than 0 (given: -1.0)"),
        ({"arms": {"hybrid": {"auxiliary": {"jigsaw": 1.0}}}}, "arms.hybrid.auxiliary: 'jigsaw' is not defined"),
        ({"arms": {"hybrid": {"init": "file:."}}}, "arms.hybrid.init: no file .; give the path of a state dict"),
    ],
)
def test_bad_parameters_stop_at_once_with_one_clear_line(finished: World, overlay, message):
    done = finished.snakemake("--dry-run", overlay=overlay)
    assert done.returncode != 0
    assert message in done.stdout + done.stderr


def test_a_training_of_another_study_is_taken_over_where_its_recipe_is_equal_but_for_names(copy: World):
    overlay = {"study": "second", "arms": {"pretrained": None, "renamed": {"init": "ssl:rotation"}}}
    target = "results/second/default/finetune/renamed/seed0/model.safetensors"
    results = copy.folder / "results"
    sealed = results / "tiny/default/finetune/pretrained/seed0/seal.json"
    sealed.write_text(json.dumps((seal := json.loads(sealed.read_text())) | {"versions": {"torch": "1.0"}}))
    done = copy.snakemake(target, overlay=overlay)
    assert done.returncode == 0, done.stderr
    copied = json.loads((copy.folder / target).with_name("seal.json").read_text())
    assert copied["versions"] == {"torch": "1.0"}, "those that computed the weights"
    assert copied["fingerprint"] == seal["fingerprint"]
    encoder = "pretrain/rotation/seed0/encoder.safetensors"
    for taken, trained in (
        (copy.folder / target, results / "tiny/default/finetune/pretrained/seed0/model.safetensors"),
        (results / "second/default" / encoder, results / "tiny/default" / encoder),
    ):
        assert taken.read_bytes() == trained.read_bytes()
        record = json.loads((taken.parent / "run.json").read_text())
        assert record["study"] == "second"
        assert copy.folder / record["taken_over_from"] == trained.parent
    assert record["pretext"] == "rotation"
    assert copy.planned(overlay, target) == Counter()


def test_a_damaged_training_is_not_taken_over(copy: World):
    trained = copy.folder / "results/tiny/default/finetune/baseline/seed0/model.safetensors"
    os.truncate(trained, 100)
    target = "results/second/default/finetune/baseline/seed0/model.safetensors"
    done = copy.snakemake(target, overlay={"study": "second"})
    assert done.returncode == 0, done.stderr
    assert "taken_over_from" not in json.loads((copy.folder / target).with_name("run.json").read_text())
