"""Results lie where layout.py says, whatever the study and its size are called: for DVC and for make, too."""

import json
import re
from pathlib import Path

import pytest
import yaml

from tests.conftest import ROOT, Repository
from workflow.layout import StudyLayout
from workflow.params import load_params
from workflow.plan import Plan

STAGES = {"data": ["data/crops", "data/splits", "data/cards"]}


def dvc_yaml(values: dict[str, str]) -> dict:
    """dvc.yaml as DVC reads it, with the values of params.yaml in place of ${...}."""
    text = re.sub(r"\$\{(\w+)\}", lambda found: values[found[1]], (ROOT / "dvc.yaml").read_text())
    return yaml.safe_load(text)


@pytest.mark.parametrize(
    ("study", "size", "question"), [("quick", "default", ""), ("quick", "small", "roles"), ("other", "full", "")]
)
def test_dvc_versions_what_the_plan_makes(
    study: str, size: str, question: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    names = {"study": study, "size": size, "question": question}
    plan = Plan(load_params(config=names | {"questions": {question: {"asks": "Which?"}} if question else {}}))
    stages = dvc_yaml(names)
    versioned = {path for stage in stages["stages"].values() for out in stage["outs"] for path in out}
    made = [folder for folder in plan.jobs if not folder.startswith(("data/raw", plan.layout.export("", "")[:-5]))]
    assert not [folder for folder in made if not any(f"{folder}/".startswith(f"{out}/") for out in versioned)]
    assert not [out for out in versioned if not any(f"{folder}/".startswith(f"{out}/") for folder in made)]
    assert [Path(file) for file in stages["metrics"]] == [Path(plan.comparison, "metrics.json")]
    plotted = {file for plot in stages["plots"] for of in plot.values() for file in of["y"]}
    assert {str(Path(file).parent) for file in plotted} == {plan.comparison}


@pytest.mark.workflow
@pytest.mark.parametrize("size", ["default", "small"])
def test_make_prints_the_table_of_the_study_and_size_that_params_yaml_names(size: str, tmp_path: Path):
    repository = Repository(tmp_path / "repository")
    repository.set_params({"size": size})
    command = "python", "-m", "workflow.commands.outcome"
    folder = f"results/tiny/{size}"
    assert f"error: {folder}/compare/table.md: not there yet" in repository(*command, fails=True)
    table = repository.folder / folder / "compare/table.md"
    table.parent.mkdir(parents=True)
    table.write_text("| arm |")
    said = repository(*command)
    assert "| arm |" in said
    for path in ("compare/table.md", "report/report.html", "finetune/*/seed*/model.safetensors"):
        assert f" {folder}/{path}\n" in said


def test_params_yaml_says_what_dvc_needs_to_know():
    values = yaml.safe_load((ROOT / "params.yaml").read_text())
    assert isinstance(values["study"], str)
    assert isinstance(values["size"], str)
    assert isinstance(values["question"], str)


def test_make_spells_no_folder_of_results():
    assert "results/" not in re.sub(r"##.*|MODEL=\S+", "", (ROOT / "Makefile").read_text())


@pytest.mark.parametrize("place", ["workflow/plan.py", "workflow/rules", "workflow/commands", "Snakefile", "drills"])
def test_folders_of_results_are_spelled_in_the_layout_alone(place: str):
    files = [ROOT / place] if (ROOT / place).is_file() else [p for p in (ROOT / place).rglob("*") if p.is_file()]
    for path in (path for path in files if path.suffix in ("", ".py", ".smk")):
        code = re.sub(r'"""[\s\S]*?"""|#.*', "", path.read_text())
        assert not re.findall(r"""["'](?:results|data/(?:raw|crops|splits|cards))/""", code), path


def test_a_study_is_called_by_its_size_unless_that_is_the_default():
    assert StudyLayout("biwi", "small").name == "biwi-small"
    assert StudyLayout("quick", "default").name == "quick"
    assert json.dumps(StudyLayout("biwi", "small").comparison("roles")) == '"results/biwi/small/compare/roles"'
