"""What MLflow shows of a study: names of errors, headlines and orders of its questions, a comparison's run."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from mlflow.entities import Run
from mlflow.tracking import MlflowClient
from mlflow.utils.validation import MAX_TAG_VAL_LENGTH, _validate_experiment_tag

from pipeline_steps.evaluation.design import Design, Study, Trainings
from pipeline_steps.job.recipe import JobInput, Recipe
from pipeline_steps.params.sections import Comparison, Evaluation
from pipeline_steps.tracking.compared import Compared
from pipeline_steps.tracking.outcomes import evaluation_errors
from pipeline_steps.tracking.runs import track_run
from pipeline_steps.tracking.store import open_client, show_what_lies_here
from pipeline_steps.tracking.view import HEADLINE, questions_of, study_note, view_tag


def write_design(folder: Path, **evaluate: object) -> None:
    nothing = Trainings(shared={}, by_name={})
    design = Design(
        study=Study(seeds=[0], train_on="heads"),
        data={},
        pretrain=nothing,
        finetune=nothing,
        evaluate=Evaluation.model_validate(evaluate),
        compare=Comparison(baselines=["a"]),
    )
    (folder / "design.json").write_text(design.model_dump_json())


def write_comparison(folder: Path, rows: list[dict], **evaluate: object) -> None:
    """A comparison's folder; rows: of its table."""
    (folder / "figures").mkdir(parents=True)
    table = pd.DataFrame(
        {"error": "mae", "confidence": 0.95, "baseline": "a", "verdict": "baseline", "seeds": 1} | r for r in rows
    )
    table = table.assign(**{c: np.nan for c in ("reduction", "low", "high") if c not in table})
    table.to_csv(folder / "table.csv", index=False)
    (folder / "table.md").write_text(table.to_markdown())
    numbers: dict = {}
    for row in rows:
        numbers.setdefault(row["dataset"], {})[row["arm"]] = {
            name: row[name] for name in ("mae", "geodesic", "reduction", "low", "high") if name in row
        }
    (folder / "metrics.json").write_text(json.dumps(numbers))
    write_design(folder, **({"part": "test"} | evaluate))


BASELINE = {"dataset": "heads", "arm": "a", "mae": 9.0, "geodesic": 12.0}
BEST = BASELINE | {"arm": "b", "mae": 8.4, "reduction": 6.4, "low": -1.6, "high": 14.3, "verdict": "within noise"}


@pytest.mark.parametrize(("arms", "complete"), [(2, True), (400, False)])
def test_a_comparisons_note_names_the_best_arm_and_is_never_too_long_for_mlflow(
    tmp_path: Path, arms: int, complete: bool
):
    others = [BASELINE | {"arm": f"c{n:03}", "mae": 10.0 + n, "verdict": "worse"} for n in range(arms - 2)]
    write_comparison(tmp_path / "compare", [BASELINE, BEST, *others])
    note = Compared(tmp_path / "compare").note()
    assert len(note) <= MAX_TAG_VAL_LENGTH
    said = "Lowest mae on heads: **b**, 8.40 degrees; against a: within noise, +6.4% (-1.6 to +14.3)."
    assert note.startswith(said)
    assert ((tmp_path / "compare/table.md").read_text() in note) == complete


def test_a_headline_says_where_the_best_arm_is_a_baseline_or_no_better_than_a_constant(tmp_path: Path):
    constant = BASELINE | {"arm": "always frontal", "baseline": "", "mae": 8.0, "verdict": "constant", "seeds": 0}
    write_comparison(
        tmp_path / "compare", [BASELINE, BASELINE | {"arm": "b", "mae": 9.5, "verdict": "worse"}, constant]
    )
    assert Compared(tmp_path / "compare").headline() == (
        "Lowest mae on heads: **a**, 9.00 degrees; it is a baseline: no arm has a lower one; "
        "**no better than one and the same pose for every image**."
    )


def test_a_headline_gives_the_verdict_against_every_baseline(tmp_path: Path):
    longer = BASELINE | {"arm": "a2", "mae": 8.6, "baseline": "a2"}
    against = BEST | {"baseline": "a2", "reduction": 2.3, "low": -5.0, "high": 9.0}
    rows = [
        BASELINE,
        BEST,
        longer | {"baseline": "a", "verdict": "better"},
        longer,
        against,
        BASELINE | {"baseline": "a2"},
    ]
    write_comparison(tmp_path / "compare", rows)
    headline = Compared(tmp_path / "compare").headline()
    assert headline.endswith(
        "; against a: within noise, +6.4% (-1.6 to +14.3); against a2: within noise, +2.3% (-5.0 to +9.0)."
    )


def test_the_note_of_many_questions_is_never_too_long_for_mlflow():
    run = SimpleNamespace(data=SimpleNamespace(tags={HEADLINE: "On heads, " * 50}), info=SimpleNamespace(run_id="r"))
    note = study_note("1", {f"question{n}": run for n in range(60)})
    _validate_experiment_tag("mlflow.note.content", note)
    assert note.startswith("**question0:** On heads")
    assert note.endswith("`compare/QUESTION`.")


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MlflowClient:
    monkeypatch.setenv("HEADPOSE_TRACKING", "on")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    return open_client()


def finish(client: MlflowClient, step: str, folder: Path, **values: dict) -> Run:
    """The run of a job that has left its results in a folder."""
    recipe = Recipe(**({"step": step, "params": {}} | values))
    with track_run(recipe, folder) as tracked:
        pass
    run = client.get_run(tracked.run_id)
    assert run.info.status == "FINISHED"
    return run


def test_every_question_keeps_its_headline_its_data_set_and_its_order(client: MlflowClient, tmp_path: Path):
    write_comparison(tmp_path / "roles", [BASELINE, BEST])
    other = BASELINE | {"dataset": "faces", "arm": "c"}
    write_comparison(tmp_path / "labels", [other | {"baseline": "c"}], part="validation")
    for question in ("roles", "labels", "roles"):
        job = {"study": "asked", "question": question}
        finish(client, "compare", tmp_path / question, job=job, params={"again": question})
    tags = client.get_experiment_by_name("headpose-asked").tags
    place = tags["mlflow.note.content"].index("**labels:**")
    second, first = tags["mlflow.note.content"][:place], tags["mlflow.note.content"][place:]
    assert first.startswith("**labels:** Lowest mae on faces: **c**, 9.00 degrees; it is a baseline")
    assert second.startswith("**roles:** Lowest mae on heads: **b**, 8.40 degrees; against a: within noise, +6.4%")
    orders = {name: json.loads(tags[view_tag(name)])["orderByKey"] for name in ("roles", "labels")}
    assert orders == {"roles": "metrics.`test/heads/mae`", "labels": "metrics.`validation/faces/mae`"}
    assert questions_of(tags) == ["labels", "roles"]
    for question, section in (("labels", first), ("roles", second)):
        assert f"viewStateShareKey={question})" in section


def train(client: MlflowClient, folder: Path, arm: str, learning_rate: float, seed: int = 0, **job: str) -> Run:
    """The run of a training, which has sent its test error: 9 degrees for arm a, 8 for every other."""
    folder.mkdir(exist_ok=True)
    (folder / "history.csv").write_text("epoch,train_loss\n1,0.5\n")
    names = {"study": "asked", "arm": arm, "seed": seed} | job
    run = finish(client, "finetune", folder, job=names, params={"learning_rate": learning_rate, "seed": seed})
    client.log_metric(run.info.run_id, "test/heads/mae", 9.0 if arm == "a" else 8.0)
    return run


def compare(client: MlflowClient, folder: Path, trained: list[Run], question: str | None = None) -> Run:
    """The run of a comparison of these trainings, whose results lie in the folder."""
    arms = list(dict.fromkeys(run.data.tags["arm"] for run in trained))
    write_comparison(folder, [BASELINE | {"arm": arm, "verdict": "within noise"} for arm in arms])
    inputs = {f"of/{run.info.run_id}": JobInput(fingerprint=run.data.tags["recipe"]) for run in trained}
    job = {"study": "asked"} | ({"question": question} if question else {})
    recipe = Recipe(step="compare", job=job, params={}, inputs=inputs)
    (folder / "recipe.json").write_text(recipe.text())
    (folder / "seal.json").touch()
    return finish(client, "compare", folder, job=job, inputs=inputs)


def listed(client: MlflowClient, question: str | None = None) -> list[str]:
    """Ids of the runs that a question's link lists, in the order of the store's own search."""
    experiment = client.get_experiment_by_name("headpose-asked")
    view = json.loads(experiment.tags[view_tag(question)])
    found = client.search_runs([experiment.experiment_id], view["searchFilter"], order_by=[f"{view['orderByKey']} ASC"])
    return [run.info.run_id for run in found]


def ids(*runs: Run) -> list[str]:
    return [run.info.run_id for run in runs]


def test_a_question_lists_exactly_the_trainings_that_it_compares(client: MlflowClient, tmp_path: Path):
    a, b, other = (train(client, tmp_path / "training", arm, 1e-3) for arm in "abc")
    renamed = train(client, tmp_path / "training", "an_earlier_name_of_b", 1e-3)  # by the same recipe
    assert renamed.data.tags["recipe"] == b.data.tags["recipe"]
    compare(client, tmp_path / "roles", [a, b], "roles")
    compare(client, tmp_path / "rest", [a, other], "rest")
    assert listed(client, "roles") == ids(b, a)
    assert listed(client, "rest") == ids(other, a)


def test_replaced_trainings_leave_the_list_and_come_back_with_their_results(client: MlflowClient, tmp_path: Path):
    here = tmp_path / "results/asked/default/compare"
    before = [train(client, tmp_path / "training", arm, 1e-3) for arm in "ba"]
    first = compare(client, here, before)
    after = [train(client, tmp_path / "training", arm, 2e-3) for arm in "ba"]
    here.rename(tmp_path / "kept")
    compare(client, here, after)
    assert listed(client) == ids(*after)
    shutil.rmtree(here)
    (tmp_path / "kept").rename(here)  # the change is reverted: no step runs
    (here / "a_damaged_one").mkdir()
    for name in ("seal.json", "recipe.json"):
        (here / "a_damaged_one" / name).write_text("{")
    show_what_lies_here(client, tmp_path / "results")
    assert listed(client) == ids(*before)
    assert first.info.run_id in client.get_experiment_by_name("headpose-asked").tags["mlflow.note.content"]


@pytest.mark.parametrize(("count", "exact"), [(0, False), (500, True), (600, False)])
def test_a_list_that_does_not_fit_into_a_tag_is_of_all_trainings(tmp_path: Path, count: int, exact: bool):
    write_comparison(tmp_path / "compare", [BASELINE, BEST])
    view = Compared(tmp_path / "compare").view(["0" * 32] * count)
    _validate_experiment_tag(view_tag(None), json.dumps(view))
    assert (view["searchFilter"] != "tags.stage = 'finetune'") == exact


def test_a_comparison_is_a_run_of_numbers_whose_many_inputs_are_a_file(client: MlflowClient, tmp_path: Path):
    (tmp_path / "training").mkdir()
    (tmp_path / "training/history.csv").write_text("epoch,train_loss\n1,0.5\n")
    trained = finish(client, "finetune", tmp_path / "training", job={"study": "asked", "arm": "b"})
    fingerprint = trained.data.tags["recipe"]
    inputs = {
        "results/asked/default/finetune/b/seed0": JobInput(fingerprint=fingerprint),
        "results/asked/default/finetune/a/seed0": JobInput(fingerprint="0" * 16),
    }
    write_comparison(tmp_path / "compare", [BASELINE, BEST])
    run = finish(client, "compare", tmp_path / "compare", job={"study": "asked"}, inputs=inputs)
    assert {name: value for name, value in run.data.metrics.items() if not name.startswith("system/")} == {
        **{"test/heads/a/mae": 9.0, "test/heads/a/geodesic": 12.0, "test/heads/b/mae": 8.4},
        **{"test/heads/b/geodesic": 12.0, "test/heads/b/reduction": 6.4},
        **{"test/heads/b/low": -1.6, "test/heads/b/high": 14.3},
    }
    assert not [name for name in run.data.tags if name.startswith("input.")]
    sent = json.loads(Path(client.download_artifacts(run.info.run_id, "inputs.json")).read_text())
    (known, unknown) = inputs
    assert sent == {
        known: {"recipe": fingerprint, "run": trained.info.run_id},
        unknown: {"recipe": "0" * 16, "run": None},
    }
    assert run.data.tags["mlflow.note.content"].startswith("Lowest mae on heads: **b**")


@pytest.mark.parametrize(
    ("evaluate", "prefix"),
    [
        ({"part": "test"}, "test"),
        ({"part": "test", "flip_test": False}, "test"),
        ({"part": "test", "flip_test": True}, "test_flip_test"),
        ({"part": "validation", "flip_test": False, "detail": None}, "validation"),
        ({"part": "test", "flip_test": True, "detail": 109}, "test_flip_test_detail_109"),
        ({"part": "test", "window": 0.9}, "test_window_0.9"),
    ],
)
def test_errors_of_another_kind_do_not_take_the_place_of_the_test_errors(tmp_path: Path, evaluate: dict, prefix: str):
    (tmp_path / "metrics.json").write_text(json.dumps({"dataset": "heads", "n": 8, "mae": 4.5}))
    recipe = Recipe(step="evaluate", job={"dataset": "heads"}, params={"seed": 0, "evaluate": evaluate})
    assert evaluation_errors(recipe, tmp_path) == {f"{prefix}/heads/mae": 4.5}
    write_comparison(tmp_path / "compare", [BASELINE], **evaluate)
    view = Compared(tmp_path / "compare").view([])
    assert view["orderByKey"] == f"metrics.`{prefix}/heads/mae`"
