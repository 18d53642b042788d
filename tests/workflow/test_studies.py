"""The list of studies: what a question costs, where it is answered, and that studies/README.md says so."""

import json
import re
from pathlib import Path

import pytest
import yaml

from pipeline_steps.job.errors import UserError
from tests.conftest import ROOT, shown_table
from workflow.params import parse_params
from workflow.questions import DEFAULT, merged, read_files
from workflow.studies import (
    README_COMMAND,
    Costs,
    Study,
    all_studies,
    entry,
    is_answered,
    is_recorded,
    list_studies,
    readme,
    trainings,
    write_readme,
)

HEADS = {
    "study": "heads",
    "about": "Heads of a test",
    "seeds": [0, 1],
    "crops": {"size": 64},
    "pretrain": {"epochs": 2, "epoch_images": 100},
    "finetune": {"epochs": 3, "epoch_images": 100},
    "arms": {
        "baseline": {"init": "random"},
        "pre": {"init": "ssl:simclr"},
        "aux": {"init": "random", "auxiliary": {"simclr": 0.1}},
        "single": {"init": "random", "auxiliary": {"simclr": 0.1}, "views": "single_view"},
        "both": {"init": "ssl:simclr", "auxiliary": {"simclr": 0.1}},
        "other": {"init": "random", "auxiliary": {"byol": 0.1}},
    },
    "questions": {
        "roles": {"asks": "Which role?", "arms": ["baseline", "pre"]},
        "beside": {"asks": "Beside what?", "arms": ["baseline", "aux", "single"], "seeds": [0]},
        "all": {"asks": "All?", "arms": ["baseline", "other"]},
    },
    "sizes": {"large": {"crops": {"size": 96}}},
}
COSTS = """arm,start,seeds,pretrain_passes,pretrain_minutes,finetune_passes,finetune_minutes,device
baseline,random,2,0.0,0.0,300.0,3.0,"cpu, 32-true"
pre,ssl:simclr,2,400.0,4.0,300.0,3.0,"cpu, 32-true"
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A repository of one study, with costs of one of its questions from another machine."""
    (tmp_path / "studies").mkdir()
    (tmp_path / "studies/heads.yaml").write_text(yaml.safe_dump(HEADS, sort_keys=False))
    (tmp_path / "params.yaml").write_text(DEFAULT.read_text())
    recorded = tmp_path / "docs/results/heads/default/roles"
    recorded.mkdir(parents=True)
    (recorded / "costs.csv").write_text(COSTS)
    (recorded / "table.csv").write_text("arm\n")
    return tmp_path


@pytest.fixture
def heads(root: Path) -> Study:
    return next(study for study in all_studies(root / "studies", root / "params.yaml") if study.name == "heads")


@pytest.fixture
def costs(root: Path, heads: Study) -> Costs:
    return Costs([heads], root, root / "docs")


def test_trainings_and_evaluations_are_counted_for_every_seed(heads: Study, costs: Costs):
    roles = heads.ask("default", "roles")
    assert sorted(trainings(roles)) == [
        ("finetune", "baseline", 0),
        ("finetune", "baseline", 1),
        ("finetune", "pre", 0),
        ("finetune", "pre", 1),
        ("pretrain", "simclr", 0),
        ("pretrain", "simclr", 1),
    ]
    found = entry(roles, costs)
    assert (found.trainings, found.evaluations) == (6, 4)


def test_minutes_are_the_recorded_ones_of_the_same_training(heads: Study, costs: Costs):
    found = entry(heads.ask("default", "roles"), costs)
    assert found.minutes == 2 * (3.0 + 3.0 + 4.0)
    assert (found.sources, found.devices) == (["recorded"], ["cpu, 32-true"])


def test_other_trainings_are_estimated_by_their_images_through_the_backbone(heads: Study, costs: Costs):
    # a minute per 100 images: 10 minutes for 1,000 of them; SimCLR passes two views, for it passed 400 of 200 images
    found = entry(heads.ask("default", "beside"), costs)
    beside_pose, single_view = 3.0 + 6.0, 6.0
    assert found.minutes == pytest.approx(3.0 + beside_pose + single_view)
    assert found.sources == ["estimated", "recorded"]


@pytest.mark.parametrize(("size", "question"), [("default", "all"), ("large", "roles")])
def test_minutes_are_unknown_where_nothing_alike_is_recorded(size: str, question: str, heads: Study, costs: Costs):
    assert entry(heads.ask(size, question), costs).minutes is None


def test_what_was_measured_here_comes_first(root: Path, heads: Study):
    folder = root / "results/heads/default/finetune/baseline/seed1"
    folder.mkdir(parents=True)
    (folder / "run.json").write_text(json.dumps({"seconds": 30.0, "device": "gpu", "precision": "32-true"}))
    found = entry(heads.ask("default", "roles"), Costs([heads], root, root / "docs"))
    assert found.minutes == 0.5 + 3.0 + 2 * (3.0 + 4.0)
    assert found.left == 5
    assert found.sources == ["measured", "recorded"]


def test_a_question_is_answered_here_once_its_comparison_is_finished(root: Path, heads: Study):
    roles = heads.ask("large", "roles")
    assert not is_answered(roles, root)
    folder = root / "results/heads/large/compare/roles"
    folder.mkdir(parents=True)
    (folder / "table.csv").write_text("unfinished")
    assert not is_answered(roles, root)
    (folder / "seal.json").write_text("{}")
    assert is_answered(roles, root)


def test_a_question_is_recorded_at_the_size_whose_table_is_kept(root: Path, heads: Study):
    recorded = [
        (params.question, size)
        for size in heads.sizes
        for params in heads.questions(size)
        if is_recorded(params, root / "docs")
    ]
    assert recorded == [("roles", "default")]


def test_the_readme_has_a_row_per_question_and_is_written_between_its_marks(root: Path):
    page = root / "studies/README.md"
    page.write_text(f"Before\n<!-- table: {README_COMMAND} -->\nold\n<!-- end of table -->\nAfter\n")
    write_readme(root)
    assert page.read_text().startswith("Before\n")
    assert page.read_text().endswith("\nAfter\n")
    rows = [line for line in shown_table(page, README_COMMAND).splitlines() if line.startswith("| `")]
    assert rows == [
        "| `roles` | Which role? | 6 | 4 | default |",
        "| `beside` | Beside what? | 3 | 3 |  |",
        "| `all` | All? | 4 | 4 |  |",
    ]


def test_the_readmes_example_of_a_question_works():
    (example,) = re.findall(r"^```yaml\n(.*?)^```", (ROOT / "studies/README.md").read_text(), re.MULTILINE | re.DOTALL)
    ((name, question),) = yaml.safe_load(example).items()
    biwi = merged(read_files([DEFAULT, ROOT / "studies/biwi.yaml"]), {"questions": {name: question}})
    params = parse_params(biwi, "README.md", {"question": name})
    assert params.compare.baselines == question["baselines"]
    assert params.arms == parse_params(biwi, "README.md", {"question": question["of"]}).arms


def test_studies_readme_is_what_the_command_makes():
    shown = shown_table(ROOT / "studies/README.md", README_COMMAND)
    assert readme(all_studies(), ROOT / "docs") == shown, f"run: {README_COMMAND}"


def test_every_recorded_table_belongs_to_a_question_of_a_study():
    recorded = {path.parent for path in (ROOT / "docs/results").rglob("*.csv")}
    asked = {
        ROOT / "docs/results" / params.study / size / (params.question or "")
        for study in all_studies()
        for size in study.sizes
        for params in study.questions(size)
    }
    assert recorded <= asked


def test_an_unknown_study_is_named_with_those_there_are(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(UserError, match=r"bivi: no such study; known: quick, best, biwi, "):
        list_studies(["bivi"])
    list_studies(["transfer"])
    assert "Train on rendered heads, test on photographs" in capsys.readouterr().out


def test_a_study_that_extends_another_is_found_by_its_files_name(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], root: Path
):
    (root / "studies/mirrored.yaml").write_text("about: Mirrored heads\n")
    found = all_studies(root / "studies", root / "params.yaml")
    assert [study.name for study in found] == ["quick", "heads", "quick"]
    monkeypatch.setattr("workflow.studies.all_studies", lambda: found)
    list_studies(["mirrored"])
    shown = capsys.readouterr().out
    assert [line for line in shown.splitlines() if line and line[0] != " "] == ["quick (mirrored.yaml): Mirrored heads"]
    with pytest.raises(UserError, match=r"mirored: no such study; known: quick, heads, mirrored$"):
        list_studies(["mirored"])


def test_minutes_of_the_default_study_are_known_in_a_fresh_clone(tmp_path: Path):
    studies = all_studies()
    found = entry(studies[0].ask("default"), Costs(studies, tmp_path, ROOT / "docs"))
    assert found.minutes is not None
    assert 4 < found.minutes < 40


def test_images_of_rendered_heads_are_counted_by_people_in_whole_batches(root: Path):
    data = {"source": {"kind": "rendered", "subjects": 30, "images_per_subject": 10, "image_size": 64}}
    data |= {"crop": {"box": "given_box", "margin": 0.1}, "split": {"test_subjects": 6, "validation_subjects": 4}}
    overlay = {"datasets": {"rendered": data}, "labels": {"subjects": 5, "fraction": 0.5}, "seeds": [0]}
    overlay |= {step: {"epoch_images": None, "batch_size": 16, "epochs": 2} for step in ("pretrain", "finetune")}
    values = merged(read_files([DEFAULT, root / "studies/heads.yaml"]), overlay)
    study = Study("heads", values, "heads.yaml")
    costs = Costs([study], root, root / "none")
    costs.rates, costs.views = {("resnet18", 64): (0.01, "cpu")}, {"simclr": 2.0}
    # 200 images of 20 people are 12 batches of 16, of which each has two views; 25 labelled ones are one batch
    assert entry(study.ask("default", "roles"), costs).minutes == pytest.approx(0.01 * 2 * (2 * 192 + 16 + 16))
