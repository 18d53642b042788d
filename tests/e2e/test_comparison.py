"""A question with several label budgets, and the page of results, through the workflow."""

import json
from pathlib import Path

import pandas as pd
import pytest
import yaml

from tests.conftest import World
from workflow.commands.results_page.facts import Facts
from workflow.commands.results_page.page import render

pytestmark = pytest.mark.e2e

BUDGETS = {
    "questions": {
        "labels": {
            "asks": "How many labels does pre-training save?",
            "seeds": [0, 1],
            "arms": ["baseline", "pretrained"],
            "variations": {"few": {"labels": {"subjects": 1}}, "more": {"labels": {"subjects": 3}}},
        }
    }
}


def test_label_budgets_make_curves(copy: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HEADPOSE_TRACKING", "off")
    done = copy.snakemake(overlay=BUDGETS)
    assert done.returncode == 0, done.stdout + done.stderr
    made = copy.folder / "results/tiny/default/compare/labels"
    table = pd.read_csv(made / "table.csv").query("verdict != 'constant'")
    assert {(row.arm, row.baseline) for row in table.itertuples()} == {
        (f"{arm}-{variation}", f"baseline-{variation}")
        for arm in ("baseline", "pretrained")
        for variation in ("few", "more")
    }
    curve = pd.read_csv(made / "label_curve.csv")
    assert curve["labelled_images"].tolist() == [4, 12, 4, 12]
    for row in curve.itertuples():
        same = table[table["arm"] == f"{row.arm}-{row.variation}"].iloc[0]
        assert (row.mean, row.std) == pytest.approx((same["mae"], same["mae_std"]))
    assert (made / "figures/rendered_label_curve.svg").stat().st_size > 1000
    again = copy.snakemake("--dry-run", overlay=BUDGETS)
    assert "Nothing to be done" in again.stdout + again.stderr
    calls = ("design", "table", "costs", "probes", "worst", "label_curve", "labels_saved")
    template = "\n\n".join(f'{{{{ {call}("tiny/default", "labels") }}}}' for call in calls)
    page = render(template, Facts(tmp_path / "docs", copy.folder / "results"))
    assert "- **Seeds** 0, 1. **Trained on** rendered, pre-trained on rendered." in page
    assert "| 4 images of 1 person " in page
    assert "nan" not in page


def test_the_page_of_a_finished_study(finished: World, tmp_path: Path):
    calls = ("design", "table", "costs", "probes", "worst")
    figure = '{{ figure("tiny/default", "", "rendered_cumulative_error", "Errors") }}'
    template = "\n\n".join([*(f'{{{{ {call}("tiny/default") }}}}' for call in calls), figure])
    page = render(template, Facts(tmp_path / "docs", finished.folder / "results"))
    assert (finished.folder / "results/tiny/default/compare/table.md").read_text().strip() in page
    assert "| hybrid            | random        | 0.3 puzzling       | 12 images of 3 people |" in page
    assert "- **rendered**, images: 16 of 4 people to train on" in page
    assert (tmp_path / "docs/figures/tiny/default/rendered_cumulative_error.svg").exists()
    assert "nan" not in page


def test_tables_are_utf8_whatever_the_locale(copy: World, monkeypatch: pytest.MonkeyPatch):
    for name, value in {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}.items():
        monkeypatch.setenv(name, value)  # Python then takes files to be ASCII
    two_seeds = {"seeds": [0, 1], "arms": {"pretrained": None, "pretrained_hybrid": None}}
    done = copy.snakemake(overlay=two_seeds)
    assert done.returncode == 0, done.stdout + done.stderr
    table = (copy.folder / "results/tiny/default/compare/table.md").read_text("utf-8")
    assert "\N{PLUS-MINUS SIGN}" in table
    assert "too few seeds" in table


def test_several_baselines_reach_the_metrics_and_the_report(copy: World):
    done = copy.snakemake(overlay={"compare": {"baselines": ["baseline", "pretrained"]}})
    assert done.returncode == 0, done.stdout + done.stderr
    results = copy.folder / "results/tiny/default"
    table = pd.read_csv(results / "compare/table.csv").query("verdict != 'constant'").set_index(["baseline", "arm"])
    assert len(table) == 2 * 4
    mae = table["mae"].groupby("arm").first()
    metrics = json.loads((results / "compare/metrics.json").read_text())["rendered"]["hybrid"]
    report = (results / "report/report.html").read_text("utf-8")
    for baseline in ("baseline", "pretrained"):
        reduction = 100 * (1 - mae["hybrid"] / mae[baseline])
        assert table.loc[(baseline, "hybrid"), "reduction"] == pytest.approx(reduction)
        assert metrics[f"against_{baseline}"]["reduction"] == pytest.approx(reduction)
        assert f"verdict against {baseline}" in report
        assert f"{reduction:+.1f}% (" in report
    versions = json.loads((results / "finetune/hybrid/seed0/seal.json").read_text())["versions"]
    assert f"torch {versions['torch']}, " in report, "which libraries computed the results"


def test_costs_and_probes_are_those_of_the_trainings(finished: World):
    results = finished.folder / "results/tiny/default"
    costs = pd.read_csv(results / "compare/costs.csv").set_index("arm")
    for arm, pretext in (("baseline", None), ("pretrained", "rotation"), ("hybrid", None)):
        run = yaml.safe_load((results / f"finetune/{arm}/seed0/run.json").read_text())
        before = yaml.safe_load((results / f"pretrain/{pretext}/seed0/run.json").read_text()) if pretext else {}
        assert costs.loc[arm, "finetune_passes"] == run["backbone_passes"]
        assert costs.loc[arm, "pretrain_passes"] == before.get("backbone_passes", 0)
    probes = pd.read_csv(results / "compare/probes.csv")
    assert probes["epoch"].tolist() == [0, 1]
    assert probes["images"].tolist() == [0, costs.loc["pretrained", "pretrain_passes"]]


def test_outputs_of_the_comparison_follow_from_the_parameters(finished: World):
    def outputs(overlay: dict) -> str:
        done = finished.snakemake("--dry-run", "--printshellcmds", overlay=overlay)
        assert done.returncode == 0, done.stderr
        return done.stdout + done.stderr

    change = {"compare": {"confidence": 0.9}}
    both = outputs(change)
    assert "probes.csv" in both
    assert "--pretraining results/tiny/default/pretrain/rotation/seed0" in both
    assert "label_curve" not in both
    neither = outputs(change | {"arms": {"pretrained": None, "pretrained_hybrid": None}})
    assert "probe" not in neither
    assert "labels_saved.csv" in outputs(BUDGETS)
