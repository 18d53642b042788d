"""params.yaml, the studies and the published schema agree with the types."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from pipeline_steps.job.errors import UserError
from tests.conftest import ROOT
from workflow.params import Params, load_params, merged, parse_params
from workflow.plan import Plan
from workflow.studies import Study, all_studies

WIDE = {"mean": 0.0, "std": 1.0, "min": -120.0, "max": 9.0}
DEFAULT = yaml.safe_load((ROOT / "params.yaml").read_text())
FOLDS = {"rendered": {"split": {"folds": 5, "test_subjects": None}}}
ASKED = {"asks": "Which is best?"}


@pytest.mark.parametrize("study", all_studies(), ids=lambda study: study.name)
def test_every_question_of_every_study_is_valid_at_every_size_and_every_arm_is_compared(study: Study):
    compared = set()
    for params in (params for size in study.sizes for params in study.questions(size)):
        assert params.about
        compared |= {arm.partition("-")[0] for arm in params.arms}
    file = ROOT / "studies" / f"{study.name}.yaml"
    own = yaml.safe_load(file.read_text())["arms"] if study.name != DEFAULT["study"] else DEFAULT["arms"]
    assert {*own} <= compared


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
        ({"datasets": {"rendered": {"split": {"test_subjects": None}}}}, "give test_subjects, folds, or a protocol"),
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
        (
            {"datasets": FOLDS, "seeds": [0, 1, 2]},
            "seeds: [0, 1, 2] do not test each of the 5 folds of rendered once, as the trainings with seed s are "
            "tested on fold s mod 5; give 5 seeds, such as [0, 1, 2, 3, 4]",
        ),
        ({"datasets": FOLDS, "seeds": [0, 1, 2, 3, 5]}, "seeds: [0, 1, 2, 3, 5] do not test each"),
        (
            {"finetune": {"augmentation": {"scale": [0.9, 1.3]}}},
            "finetune.augmentation.scale: windows of up to 1.3 times",
        ),
        (
            {"arms": {"hybrid": {"finetune": {"augmentation": {"scale": [0.9, 1.3]}}}}},
            "arms.hybrid.finetune.augmentation.scale: windows of up to 1.3 times the crop reach beyond what is stored, "
            "1.2 times; raise crops.context",
        ),
        (
            {"network": {"pose_head": "euler"}, "finetune": {"augmentation": {"roll": 30.0}}},
            "arms.baseline: finetune.augmentation.roll: Euler angles jump where images are rotated",
        ),
        ({"evaluate": {"window": 1.5}}, "evaluate.window: windows of up to 1.5 times"),
        ({"datasets": {"rendered": {"split": {"folds": 5}}}}, "give either test_subjects or folds"),
        ({"evaluate": {"yaw_bins": [30.0, 0.0]}}, "evaluate.yaw_bins: every edge must be greater than the one before"),
        ({"arms": {"baseline": {"init": "ssl:jigsaw"}}}, "'jigsaw' is not defined"),
        ({"arms": {"hybrid": {"views": "single_view", "auxiliary": {"rotation": 1.0}}}}, "exactly one auxiliary task"),
        ({"train_on": "biwi"}, "train_on: 'biwi' is not defined"),
        ({"compare": {"baselines": ["supervised"]}}, "compare.baselines: 'supervised' is not defined"),
        ({"compare": {"baselines": ["supervised"]}, "variations": {"few": {}}}, "compare.baselines: 'supervised'"),
        ({"compare": {"baseline": "supervised"}}, "compare: baseline is now called baselines; rename this key"),
        ({"size": "huge"}, "size: 'huge' is not defined; known: default, small, base, full"),
        ({"sizes": {"small": {"crop": {"size": 8}}}, "size": "small"}, "crop: unknown key"),
        ({"variations": {"few": {"label": {"subjects": 1}}}}, "arms.baseline-few.label: unknown key"),
        ({"arms": {"baseline": {"labels": {"subjects": 0}}}}, "arms.baseline.labels.subjects"),
        ({"arms": {"baseline": {"finetune": {"epoch": 1}}}}, "arms.baseline.finetune.epoch"),
        ({"pretext": {"pose": {"kind": "rotation"}}}, "pretext.pose: this name is taken"),
        ({"question": "roles"}, "question: 'roles' is not defined; known: none"),
        ({"questions": {"roles": {"arms": ["baseline"]}}}, "questions.roles.asks: missing"),
        ({"questions": {"roles": ASKED | {"labels": {}}}}, "questions.roles.labels: unknown key"),
        ({"questions": {"roles": ASKED | {"arms": ["baseline", "pre"]}}}, "questions.roles.arms: 'pre' is not defined"),
        ({"questions": {"roles": ASKED | {"arms": ["hybrid", "hybrid"]}}}, "names one twice"),
        ({"questions": {"roles": ASKED | {"of": "pairs"}}}, "questions.roles.of: 'pairs' is not defined; known: roles"),
        (
            {"questions": {"a": ASKED | {"of": "b"}, "b": ASKED | {"of": "a"}}},
            "questions.a.of: goes in a circle, a -> b",
        ),
        ({"questions": {"roles": ASKED | {"baselines": ["pre"]}}}, "compare.baselines: 'pre' is not defined"),
        ({"questions": {"roles": ASKED | {"arms": ["hybrid"]}}}, "compare.baselines: 'baseline' is not defined"),
        ({"extends": "biwi"}, "extends: unknown key"),
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


@pytest.mark.parametrize(
    "overlay",
    [{"seeds": [5, 1, 7, 3, 9]}, {"seeds": [0], "evaluate": {"part": "validation"}}],
    ids=["each", "validation"],
)
def test_folds_need_a_seed_each_where_they_are_tested(overlay: dict):
    params = parse_params(merged(DEFAULT, {"datasets": FOLDS} | overlay))
    assert params.datasets["rendered"].split.folds == 5


def test_a_size_is_merged_over_everything_else():
    params = parse_params(merged(DEFAULT, {"size": "full", "crops": {"size": 32}}))
    assert params.crops.size == 224
    assert params.network.backbone == "resnet50"
    assert params.network.pose_head == DEFAULT["network"]["pose_head"]


def test_the_default_size_changes_nothing():
    params = parse_params(DEFAULT)
    assert params.size == "default"
    assert params.crops.size == DEFAULT["crops"]["size"]


QUESTIONS = {
    "roles": ASKED | {"arms": ["hybrid", "baseline"], "seeds": [3]},
    "again": ASKED | {"of": "roles", "baselines": ["hybrid"], "evaluate": {"flip_test": True}},
    "few": ASKED | {"of": "again", "variations": {"few": {"labels": {"subjects": 1}}}},
}


def test_a_question_selects_its_arms_in_its_order_and_the_first_is_asked_by_default():
    params = parse_params(merged(DEFAULT, {"questions": QUESTIONS}))
    assert params.question == "roles"
    assert list(params.arms) == ["hybrid", "baseline"]
    assert params.seeds == [3]
    assert params.compare.baselines == ["baseline"], "of the study's, those that are among the arms"


def test_a_question_of_another_has_all_that_it_does_not_change():
    params = parse_params(merged(DEFAULT, {"questions": QUESTIONS, "question": "few"}))
    assert list(params.arms) == ["hybrid-few", "baseline-few"]
    assert params.seeds == [3]
    assert params.compare.baselines == ["hybrid"]
    assert params.evaluate.flip_test
    assert params.evaluate.within == DEFAULT["evaluate"]["within"]


def test_without_questions_all_arms_are_compared():
    params = parse_params(DEFAULT)
    assert params.question is None
    assert list(params.arms) == list(DEFAULT["arms"])


def test_a_size_can_change_a_question_or_remove_it():
    sizes = {"small": {"questions": {"roles": {"arms": ["baseline"]}, "again": None}}}
    overlay = {"questions": QUESTIONS, "sizes": sizes, "size": "small"}
    assert list(parse_params(merged(DEFAULT, overlay)).arms) == ["baseline"]
    with pytest.raises(UserError, match=r"question: 'again' is not defined; known: roles, few"):
        parse_params(merged(DEFAULT, overlay | {"question": "again"}))


def written(folder: Path, **files: str) -> list[Path]:
    """Parameter files with these contents."""
    paths = [folder / f"{name}.yaml" for name in files]
    for path, content in zip(paths, files.values(), strict=True):
        path.write_text(content)
    return paths


def test_the_command_line_wins_over_question_size_study_and_what_it_extends(tmp_path: Path):
    paths = written(
        tmp_path,
        ground="{study: ground, about: Ground, seeds: [1], crops: {size: 48}, labels: {subjects: 9}, "
        "finetune: {epochs: 9}}",
        above="{extends: ground.yaml, study: above, finetune: {epochs: 8}, labels: {subjects: 8}, "
        "sizes: {tiny: {finetune: {epochs: 7}, seeds: [7]}}, questions: {only: {asks: 'Which?', seeds: [6]}}}",
    )
    params = load_params(paths[1:], {"size": "tiny"})
    assert (params.study, params.about) == ("above", "")
    assert params.crops.size == 48, "of the file that is extended"
    assert params.labels.subjects == 8, "of the study"
    assert params.finetune.epochs == 7, "of the size"
    assert params.seeds == [6], "of the question"
    assert params.network.backbone == DEFAULT["network"]["backbone"], "of params.yaml"
    given = load_params(paths[1:], {"size": "tiny", "seeds": [5], "finetune": {"epochs": 5}})
    assert given.seeds == [5]
    assert given.finetune.epochs == 5


def test_a_study_does_not_inherit_questions_of_the_study_that_it_extends(tmp_path: Path):
    (path,) = written(tmp_path, mine="{study: mine, extends: biwi}")
    params = load_params([path], {"size": "small"})
    assert params.questions == {}
    assert "aux_puzzling" in params.arms
    assert params.train_on == "biwi"


def test_what_is_extended_may_extend_and_paths_are_relative_to_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "more").mkdir()
    written(tmp_path, low="{seeds: [4]}", middle="extends: low.yaml")
    (top,) = written(tmp_path / "more", top="extends: ../middle.yaml")
    monkeypatch.chdir(tmp_path)
    assert load_params([top.relative_to(tmp_path)]).seeds == [4]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (
            {"a": "extends: b.yaml", "b": "extends: a.yaml"},
            "a.yaml: extends: goes in a circle, a.yaml -> b.yaml -> a.yaml",
        ),
        ({"a": "extends: bivi"}, r"a.yaml: extends: no file .*studies/bivi.yaml .*; give the path of an existing one"),
        ({"a": "extends: [biwi]"}, "a.yaml: extends: give the name of a study"),
        ({"a": "arms: {"}, r"a\.yaml, line 1: not YAML: .*; correct it"),
        ({"a": "seeds: [0]\nlabels:\n\tsubjects: 3"}, r"a\.yaml, line 3: not YAML: .*; correct it"),
        ({"a": "about: 2026-13-45"}, r"a\.yaml: not YAML: month must be in 1..12; correct it"),
        ({"a": "just text"}, "a.yaml: has no keys at the top level"),
        ({"a": "[seeds]"}, "a.yaml: has no keys at the top level"),
        ({"a": ""}, "a.yaml: has no keys at the top level"),
        ({"a": "# seeds: [0]"}, "a.yaml: has no keys at the top level"),
        (
            {"a": "seeds: [0]\nabout: A\n'seeds': [1]"},
            r"a\.yaml, line 3: seeds: given before, in line 1; remove one of the two",
        ),
        (
            {"a": "arms:\n  hybrid:\n    init: random\n    auxiliary: {puzzling: 1.0, puzzling: 0.3}"},
            r"a\.yaml, line 4: arms\.hybrid\.auxiliary\.puzzling: given before, in line 4; remove one of the two",
        ),
        (
            {"a": "extends: b.yaml", "b": "questions:\n  - {arms: [a], asks: x, arms: [b]}"},
            r"b\.yaml, line 2: questions\.0\.arms: given before, in line 2",
        ),
        ({"a": "seeds: []"}, "params.yaml, a.yaml: seeds: "),
    ],
)
def test_a_study_file_that_cannot_be_used_is_named(files: dict[str, str], message: str, tmp_path: Path):
    path = written(tmp_path, **files)[0]
    with pytest.raises(UserError, match=message) as error:
        load_params([path])
    assert "\n" not in str(error.value)


def test_a_file_that_is_not_utf8_is_named_and_a_byte_order_mark_is_no_fault(tmp_path: Path):
    path = tmp_path / "windows.yaml"
    path.write_text("seeds: [4]", "utf-8-sig")
    assert load_params([path]).seeds == [4]
    path.write_text("seeds: [4]", "utf-16")
    with pytest.raises(UserError, match=r"windows\.yaml: not UTF-8 .*; save it as UTF-8"):
        load_params([path])


@pytest.mark.parametrize("text", ["finetune: &a {epochs: *a}", "seeds: &a [1, *a]", "arms: &a {x: {y: [*a]}}"])
def test_a_map_or_list_that_contains_itself_is_refused_by_line_and_key(tmp_path: Path, text: str):
    (path,) = written(tmp_path, recursive=text)
    with pytest.raises(UserError, match=r"recursive\.yaml, line 1: \w+\S* contains itself; write it out$"):
        load_params([path])


def test_aliases_and_merged_maps_are_not_given_twice(tmp_path: Path):
    (path,) = written(tmp_path, shared="finetune: &all {epochs: 3, batch_size: 8}\npretrain: {<<: *all, epochs: 5}")
    params = load_params([path])
    assert (params.finetune.epochs, params.pretrain.epochs, params.pretrain.batch_size) == (3, 5, 8)


def test_a_change_of_one_place_leaves_the_other_place_of_an_alias_as_it_is(tmp_path: Path):
    text = "pretrain: {augmentation: &shared {blur: 0.1}}\nfinetune: {augmentation: *shared}"
    (tmp_path / "first.yaml").write_text(text)
    (tmp_path / "second.yaml").write_text("extends: first.yaml\nfinetune: {augmentation: {blur: 0.5}}")
    params = load_params([tmp_path / "second.yaml"])
    assert (params.pretrain.augmentation.blur, params.finetune.augmentation.blur) == (0.1, 0.5)


def test_all_problems_are_named_in_one_line_and_a_misspelt_key_by_the_nearest_that_there_is():
    finetune = {"learning_rat": 0.1, "batch_size": 8, "epochs": 0, "warmup_epoch": 1.0, "zzz": 1}
    with pytest.raises(UserError) as error:
        parse_params(DEFAULT | {"finetune": finetune, "seed": [0]})
    assert str(error.value) == (
        "params.yaml: finetune.epochs: Input should be greater than or equal to 1 (given: 0); "
        "also finetune.learning_rat: unknown key; did you mean learning_rate?; "
        "also finetune.warmup_epoch: unknown key; did you mean warmup_epochs?; "
        "also finetune.zzz: unknown key; remove it or correct its spelling; "
        "also seed: unknown key; did you mean seeds?"
    )
    with pytest.raises(UserError, match=r"a: unknown key; .*; also d: .*; also 3 more$"):
        parse_params(DEFAULT | dict.fromkeys("abcdefgh", 1))


def test_every_arm_is_run_once_with_every_variation():
    variations = {"few": {"labels": {"subjects": 1}}, "slow": {"finetune": {"epochs": 3}}, "gone": None}
    params = parse_params(merged(DEFAULT, {"variations": variations}))
    assert set(params.arms) == {f"{arm}-{variation}" for arm in DEFAULT["arms"] for variation in ("few", "slow")}
    assert params.labels_of("hybrid-few").subjects == 1
    assert params.labels_of("hybrid-slow").subjects == DEFAULT["labels"]["subjects"]
    assert params.finetune_of("hybrid-slow").epochs == 3
    assert params.finetune_of("hybrid-slow").learning_rate == DEFAULT["finetune"]["learning_rate"]


@pytest.mark.parametrize("overlay", ["tests/studies/tiny.yaml", "drills/study.yaml"])
def test_overlays_outside_the_folder_of_studies_are_valid_too(overlay: str):
    assert Plan(load_params([ROOT / overlay])).finetunings()
