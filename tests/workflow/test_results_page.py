"""Pages made of results: what templates can call, where numbers come from, and that the committed pages are current."""

import shutil
from pathlib import Path

import pandas as pd
import pytest

from pipeline_steps.evaluation.design import Design, folded
from pipeline_steps.job.errors import UserError
from tests.conftest import ROOT, shown_table
from workflow.commands.results_page import blocks
from workflow.commands.results_page.facts import Facts, command
from workflow.commands.results_page.page import SUMMARY, render, write_pages
from workflow.params import load_params
from workflow.plan import finetuning, pretraining

COSTS = pd.DataFrame(
    {
        "arm": ["baseline", "given"],
        "start": ["random", "imagenet"],
        "seeds": 3,
        "pretrain_passes": [0, None],
        "finetune_passes": [123456.0, 1000],
        "pretrain_minutes": [0, None],
        "finetune_minutes": [12.34, 1],
        "device": "cpu, 32-true",
    }
)


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """Results of one question of one study: a table of costs and a figure."""
    made = tmp_path / "results/heads/base/compare/roles"
    (made / "figures").mkdir(parents=True)
    COSTS.to_csv(made / "costs.csv", index=False)
    (made / "figures/curve.svg").write_text("<svg/>")
    (made / "seal.json").write_text("{}")
    return tmp_path / "results"


def test_the_committed_pages_are_what_their_templates_make_of_the_committed_numbers():
    facts = Facts(ROOT / "docs")
    for template in (ROOT / "docs").glob("*.md.j2"):
        page = template.with_suffix("").read_text()
        assert render(template.read_text(), facts) == page, f"{template.name}: make results"
    shown = shown_table(ROOT / "README.md", "make results")
    assert render((ROOT / "docs" / SUMMARY).read_text(), facts) == shown, "README.md: make results"
    committed = {p for folder in ("results", "figures") for p in (ROOT / "docs" / folder).rglob("*.*")}
    assert committed == facts.used, "the pages use every number and figure that is kept for them"


def test_a_number_within_a_sentence_is_that_of_its_arm():
    row = {"mae": 5.546, "mae_std": 0.12, "reduction": 14.26, "low": 3.7, "high": 24.8, "verdict": "better"}
    rows = [{"dataset": "biwi", "arm": "both"} | row, {"dataset": "aflw2000", "arm": "both", "mae": 9.0}]
    rows.append({"dataset": "biwi", "arm": "always frontal", "mae": 17.53})
    table = pd.DataFrame(rows).assign(baseline="plain")
    assert blocks.mae(table, "biwi", "both") == "5.55 ± 0.12"
    assert blocks.mae(table, "biwi", "always frontal") == "17.53"
    assert blocks.reduction(table, "biwi", "both") == "+14.3% (+3.7 to +24.8), better"
    with pytest.raises(UserError, match="biwi, bath: no such arm; the comparison has always frontal, both"):
        blocks.mae(table, "biwi", "bath")


def test_a_number_within_a_sentence_is_against_the_first_baseline_or_the_named_one():
    row = {"dataset": "biwi", "arm": "both", "low": 3.7, "high": 24.8, "verdict": "better"}
    effects = [{"baseline": "plain", "reduction": 14.26}, {"baseline": "longer", "reduction": 10.0}]
    table = pd.DataFrame([row | effect for effect in effects])
    assert blocks.reduction(table, "biwi", "both").startswith("+14.3%")
    assert blocks.reduction(table, "biwi", "both", "longer").startswith("+10.0%")
    with pytest.raises(UserError, match="best: not a baseline; the comparison has plain, longer"):
        blocks.reduction(table, "biwi", "both", "best")


def test_few_columns_hold_every_arm_and_a_baseline_without_reduction():
    shared = {
        "dataset": "heads",
        "baseline": "plain",
        "confidence": 0.9,
        "mae_std": 0.1,
        "geodesic": 9.0,
        "geodesic_std": float("nan"),
    }
    nothing = dict.fromkeys(("reduction", "low", "high"), float("nan"))
    table = pd.DataFrame(
        [
            {"arm": "plain", "mae": 5.0, "verdict": "baseline"} | shared | nothing,
            {"arm": "both", "mae": 4.0, "verdict": "better", "reduction": 20, "low": 11, "high": 29} | shared,
        ]
    )
    head, _, *rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in blocks.errors(table).splitlines()]
    assert head == ["dataset", "arm", "mae", "geodesic", "error reduction (90% interval), verdict"]
    assert rows == [
        ["heads", "plain", "5.00 ± 0.10", "9.00", "baseline"],
        ["heads", "both", "4.00 ± 0.10", "9.00", "+20.0% (+11.0 to +29.0), better"],
    ]


def test_a_page_can_be_made_again_without_the_results(results: Path, tmp_path: Path):
    docs, template = (
        tmp_path / "docs",
        '{{ costs("heads/base", "roles") }}\n{{ figure("heads/base", "roles", "curve", "A") }}',
    )
    page = render(template, Facts(docs, results))
    assert "![A](figures/heads/base/roles/curve.svg)" in page
    assert render(template, Facts(docs)) == page
    assert render(template, Facts(docs, tmp_path / "elsewhere")) == page


def test_the_readme_gets_its_table_between_its_marks_and_keeps_all_else(results: Path):
    root = results.parent
    (root / "docs").mkdir()
    (root / "docs" / SUMMARY).write_text('{{ costs("heads/base", "roles") }}\n')
    (root / "docs/page.md.j2").write_text("A page.\n")
    before, old, after = (
        "# Heads\n<!-- table: make results -->\n",
        "| old |\n",
        "<!-- end of table -->\n<!-- table: other -->\n",
    )
    (root / "README.md").write_text(before + old + after)
    write_pages(root, results)
    assert (root / "README.md").read_text() == f"{before}{blocks.costs(COSTS)}\n{after}"
    assert (root / "docs/page.md").read_text() == "A page.\n"
    (root / "README.md").write_text(before + old)
    with pytest.raises(UserError, match=r"README.md: no place for the table; add the lines <!-- table: make results"):
        write_pages(root, results)
    assert (root / "README.md").read_text() == before + old


def test_numbers_are_renewed_from_finished_results_alone(results: Path, tmp_path: Path):
    docs, made = tmp_path / "docs", results / "heads/base/compare/roles"
    Facts(docs, results).table("heads/base", "roles", "costs")
    COSTS.assign(device="H100").to_csv(made / "costs.csv", index=False)
    assert set(Facts(docs).table("heads/base", "roles", "costs")["device"]) == {"cpu, 32-true"}
    (made / "seal.json").unlink()
    assert set(Facts(docs, results).table("heads/base", "roles", "costs")["device"]) == {"cpu, 32-true"}
    (made / "seal.json").write_text("{}")
    assert set(Facts(docs, results).table("heads/base", "roles", "costs")["device"]) == {"H100"}


def default_study(folder: Path, **finetune: int) -> Path:
    """Copies of a comparison whose trainings are those of params.yaml, or others; the folder of all copies."""
    params = load_params([], {"finetune": finetune} if finetune else {})
    docs = folder / "results/quick/default"
    docs.mkdir(parents=True)
    nothing = {"images": 0, "subjects": 0}
    design = {
        "study": {"seeds": params.seeds, "train_on": params.train_on},
        "data": {"rendered": {"train": nothing, "validation": nothing, "test": nothing}},
        "pretrain": folded({n: pretraining(params, n, 0).model_dump(mode="json") for n in params.pretexts()}),
        "finetune": folded(
            {n: finetuning(params, n, 0).model_dump(mode="json") | {"init": arm.init} for n, arm in params.arms.items()}
        ),
        "evaluate": params.evaluate,
        "compare": params.compare,
    }
    (docs / "design.json").write_text(Design.model_validate(design).model_dump_json())
    COSTS.to_csv(docs / "costs.csv", index=False)
    return folder


def test_a_table_of_other_trainings_than_the_study_has_today_is_refused(tmp_path: Path):
    assert "baseline" in render('{{ costs("quick/default") }}', Facts(default_study(tmp_path / "now")))
    then = default_study(tmp_path / "then", epochs=4)
    changed = (
        r"results/quick/default: the study has changed since \(finetune baseline: training.epochs 4 -> 6 and 3 more\)"
    )
    with pytest.raises(UserError, match=changed + "; make it again by: snakemake$"):
        render('{{ costs("quick/default") }}', Facts(then))


def test_numbers_are_not_renewed_from_results_of_other_trainings(tmp_path: Path):
    docs, other = default_study(tmp_path / "docs"), default_study(tmp_path / "other", epochs=4)
    made = tmp_path / "results/quick/default/compare"
    shutil.copytree(other / "results/quick/default", made)
    (made / "seal.json").write_text("{}")
    kept = (docs / "results/quick/default/design.json").read_bytes()
    render('{{ costs("quick/default") }}', Facts(docs, tmp_path / "results"))
    assert (docs / "results/quick/default/design.json").read_bytes() == kept


def test_a_study_that_was_not_run_is_named_with_its_command(tmp_path: Path):
    facts = Facts(tmp_path, tmp_path)
    with pytest.raises(UserError, match=r"table\.csv: missing; make it by: .* studies/biwi.yaml"):
        render('{{ table("biwi/small", "labels") }}', facts)
    assert render(
        '{% if has("biwi/small", "labels") %}x{% else %}{{ command("biwi/small", "labels") }}{% endif %}', facts
    ) == ("HEADPOSE_REAL_DATA=FOLDER snakemake --configfile studies/biwi.yaml --config question=labels size=small")


@pytest.mark.parametrize(
    ("study", "question", "expected"),
    [
        ("quick/default", "", "snakemake"),
        ("quick/base", "", "snakemake --config size=base"),
        ("paper/default", "roles", "snakemake --configfile studies/paper.yaml --config question=roles"),
        (
            "best/full",
            "detail",
            "HEADPOSE_REAL_DATA=FOLDER snakemake --configfile studies/best.yaml --config question=detail size=full",
        ),
    ],
)
def test_a_command_names_file_question_and_size_and_the_folder_of_archives(study: str, question: str, expected: str):
    assert command(study, question) == expected


def test_photographs_are_not_published(tmp_path: Path):
    with pytest.raises(UserError, match="biwi_faces: shows people"):
        Facts(tmp_path).figure("biwi-base", "roles", "biwi_faces")


def test_costs_that_are_not_known_are_no_zeros():
    text = blocks.costs(COSTS)
    assert "| baseline | random   | 0                      | 0.0" in text
    assert "123,456" in text
    assert text.count("not here") == 2


def test_labels_saved_say_what_is_a_bound_and_what_is_not_reached():
    place = {"dataset": "heads", "curve": "people"}
    table = pd.DataFrame(
        [
            place
            | {"arm": "a", "question": "baseline at its largest budget", "variation": "", "error_deg": 5.0}
            | {"labels": 100.0, "baseline_labels": 400.0, "share": 0.25, "bound": "at most"},
            place
            | {"arm": "a", "question": "arm at a budget", "variation": "few", "error_deg": 4.0}
            | {"labels": 100.0, "baseline_labels": None, "share": None, "bound": ""},
        ]
    )
    first, second = blocks.labels_saved(table).split("How many labels the baseline needs")
    assert "| 100         | 400            | ≤ 25% (no interval) |" in first
    assert "| few      | 4.00    | 100       | none             |         |" in second
    assert blocks.labels_needed(table, "heads", "people", "a") == "≤ 25% (no interval; 100 of 400 images)"
    with pytest.raises(UserError, match="heads, images, a: no such curve; there are people"):
        blocks.labels_needed(table, "heads", "images", "a")


def test_probes_show_untrained_last_and_lowest():
    values = {0: (20.0, 22.0), 1: (10.0, 12.0), 2: (13.0, 13.0)}
    table = pd.DataFrame(
        [
            {"pretext": "simclr", "seed": s, "epoch": e, "probe_mae_deg": pair[s], "images": 64 * e}
            for e, pair in values.items()
            for s in (0, 1)
        ]
    )
    row = [cell.strip() for cell in blocks.probes(table).splitlines()[2].strip("|").split("|")]
    assert row == ["simclr", "21.00 ± 1.41", "13.00 ± 0.00", "11.00 ± 1.41", "1 of 2", "128"]
    assert "No pre-training had a probe" in blocks.probes(table.iloc[:0])
