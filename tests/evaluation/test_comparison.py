"""Comparisons with values worked out by hand, by naive loops, or by normal theory."""

import json
from collections.abc import Sequence
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from pipeline_steps.evaluation import sheets
from pipeline_steps.evaluation.costs import costs, probes, with_passes
from pipeline_steps.evaluation.curves import errors_by_yaw
from pipeline_steps.evaluation.label_curves import label_curve, labels_needed, labels_saved
from pipeline_steps.evaluation.metrics import prediction_table, summarise
from pipeline_steps.evaluation.reading import Evaluated, Trained, read_evaluation
from pipeline_steps.evaluation.sheets import LARGEST, as_markdown
from pipeline_steps.evaluation.table import as_metrics, by_baseline, compare_arms
from pipeline_steps.evaluation.worst import worst_of_all
from pipeline_steps.figures.lines import error_by_yaw
from pipeline_steps.job.errors import UserError
from pipeline_steps.job.recipe import FileInput, Input, JobInput, Recipe
from pipeline_steps.params.arms import baseline_of, several_budgets
from pipeline_steps.params.sections import Comparison, Evaluation, Labels
from pipeline_steps.pose.geometry import euler_to_matrix

SUBJECTS = ["a", "a", "a", "b", "b", "c", "d", "d"]
ERRORS = np.array([3.0, 5, 4, 8, 6, 2, 9, 7])
PARAMS = Comparison(baselines=["baseline"], bootstrap=400)


def evaluation(
    folder: Path,
    arm: str,
    errors: np.ndarray,
    seed: int = 0,
    subjects: list[str] = SUBJECTS,
    dataset: str = "heads",
    part: str = "test",
    yaw_bins: Sequence[float] = (-30.0, 30.0),
) -> Evaluated:
    """An evaluation whose images have these MAEs in degrees: only the yaw is wrong, by three times as much."""
    ids = [f"i{n}" for n in range(len(errors))]
    euler = np.zeros((len(errors), 3))
    predicted = euler_to_matrix(euler + 3 * errors[:, None] * [1, 0, 0])
    table = prediction_table(ids, subjects, euler_to_matrix(euler), euler, predicted)
    folder = folder / dataset / arm / f"seed{seed}"
    folder.mkdir(parents=True)
    params = Evaluation(part=part, bootstrap=100, yaw_bins=list(yaw_bins))
    job = {"study": "made_up", "arm": arm, "seed": seed, "dataset": dataset}
    table.to_parquet(folder / "predictions.parquet")
    (folder / "metrics.json").write_text(json.dumps(job | summarise(table, params)))
    recipe = Recipe(step="evaluate", job=job, params={"seed": seed, "evaluate": params.model_dump(mode="json")})
    (folder / "recipe.json").write_text(recipe.text())
    return read_evaluation(folder)


def training(
    name: str, seed: int, params: dict, run: dict, history: dict | None = None, encoder: Input | None = None
) -> Trained:
    stage = "pretext" if "pretrain" in run else "arm"
    job = {"study": "made_up", stage: name, "seed": seed}
    inputs = {"encoder": encoder} if encoder else {}
    facts = {"device": "cpu", "precision": "32-true", "seconds": 60.0, "backbone_passes": 100}
    recipe = Recipe(step="train", job=job, params=params, inputs=inputs)
    return Trained(facts | run | job, pd.DataFrame(history or {}), recipe)


# the table


def test_arms_are_compared_with_the_baseline_of_their_variation(tmp_path: Path):
    levels = {"baseline-few": 2.0, "baseline-many": 1.0, "other-few": 1.5, "other-many": 1.1}
    evaluations = [evaluation(tmp_path, arm, f * ERRORS, seed) for arm, f in levels.items() for seed in (0, 1, 2)]
    table = compare_arms(evaluations, PARAMS)
    assert list(table["arm"]) == ["baseline-many", "other-many", "baseline-few", "other-few"]
    assert list(table["variation"]) == ["many", "many", "few", "few"]
    assert table["reduction"].tolist() == pytest.approx([np.nan, -10, np.nan, 25], nan_ok=True)
    assert list(table["verdict"]) == ["baseline", "worse", "baseline", "better"]
    assert "against the baseline of the same variation" in as_markdown(table)
    one = compare_arms(evaluations, Comparison(baselines=["baseline-few"], bootstrap=100))
    assert one.set_index("arm")["reduction"].drop("baseline-few").to_dict() == pytest.approx(
        {"baseline-many": 50, "other-few": 25, "other-many": 45}
    )
    assert set(one["baseline"]) == {"baseline-few"}


def test_a_baseline_that_is_missing_is_named():
    with pytest.raises(UserError, match="'baseline' leaves other-few without a baseline; add 'baseline-few'"):
        baseline_of("other-few", "baseline", ["baseline-many", "other-few", "other-many"])


def test_arms_with_other_seeds_or_other_images_are_refused(tmp_path: Path):
    evaluations = [evaluation(tmp_path, "baseline", ERRORS, seed) for seed in (0, 1)]
    evaluations += [evaluation(tmp_path, "other", ERRORS, seed) for seed in (0, 2)]
    with pytest.raises(UserError, match=r"other has seeds \[0, 2\], baseline has \[0, 1\]"):
        compare_arms(evaluations, PARAMS)
    evaluations = [
        evaluation(tmp_path / "images", arm, ERRORS[:n], 0, SUBJECTS[:n]) for arm, n in (("baseline", 8), ("x", 7))
    ]
    with pytest.raises(UserError, match="heads: x was tested on other images than baseline; run evaluate again"):
        compare_arms(evaluations, PARAMS)


def test_the_text_below_the_table_says_what_its_numbers_are(tmp_path: Path):
    arms = [("baseline", 1), ("x", 1.1), ("y", 1.2)]
    evaluations = [evaluation(tmp_path, a, f * ERRORS, s, part="validation") for s in (0, 1, 2) for a, f in arms]
    text = as_markdown(compare_arms(evaluations, PARAMS))
    assert "on the validation images (heads: 8 images of 4 subjects), mean ± standard deviation over seeds" in text
    assert "no error here is a test error" in text
    assert "allow for how few people and seeds there are" in text
    assert "hold for all 2 compared arms of a data set together with 95% confidence" in text
    single = as_markdown(compare_arms([e for e in evaluations if e.arm != "y"], PARAMS))
    assert "hold for the one compared arm" in single


def test_a_baseline_alone_makes_a_table(tmp_path: Path):
    text = as_markdown(compare_arms([evaluation(tmp_path, "baseline", ERRORS)], PARAMS))
    assert "baseline" in text
    assert "nterval" not in text.split("\n\n")[1]


# too little for a verdict


@pytest.mark.parametrize(("seeds", "verdict"), [(1, "too few seeds"), (2, "too few seeds"), (3, "better")])
def test_there_is_no_verdict_with_fewer_than_three_seeds(tmp_path: Path, seeds: int, verdict: str):
    arms = [("baseline", 1), ("other", 0.5)]
    table = compare_arms([evaluation(tmp_path, a, f * ERRORS, s) for s in range(seeds) for a, f in arms], PARAMS)
    row = table.set_index("arm").loc["other"]
    assert (row["reduction"], row["verdict"]) == (pytest.approx(50), verdict)
    assert np.isnan([row["low"], row["high"]]).tolist() == [verdict != "better"] * 2
    text, metrics = as_markdown(table), as_metrics(table)["heads"]["other"]
    assert ("+50.0% (no interval)" in text) == ("there is neither an interval nor a verdict" in text) == (seeds < 3)
    assert ("95% confidence" in text) == ("low" in metrics) == (seeds == 3)


def test_there_is_no_verdict_with_one_person(tmp_path: Path):
    arms, one = [("baseline", 1), ("other", 0.5)], ["a"] * 8
    evaluations = [evaluation(tmp_path, a, f * ERRORS, s, one) for s in range(3) for a, f in arms]
    table = compare_arms(evaluations, PARAMS)
    assert table.iloc[1][["verdict", "subjects"]].tolist() == ["too few people", 1]
    assert table.iloc[1][["low", "high"]].isna().all()
    assert "Too few people: one person does not show how much people vary." in as_markdown(table)


# folds


FOLDS = {"a": 0, "b": 1, "c": 1, "d": 2}
"""The seed whose training was tested on each person."""


def fold(folder: Path, arm: str, errors: np.ndarray, seed: int, folds: dict[str, int] = FOLDS) -> Evaluated:
    """The evaluation of a fold: of `evaluation`, the people whom this seed did not train on."""
    whole = evaluation(folder, arm, errors, seed)
    table = whole.table[whole.table["subject"].map(folds) == seed]
    return Evaluated(whole.metrics | summarise(table.reset_index(), whole.params), table, whole.params)


def test_folds_are_compared_over_all_their_images(tmp_path: Path):
    other = ERRORS * [1, 1, 1, 0.5, 0.5, 0.5, 1, 1]
    evaluations = [fold(tmp_path, arm, e, seed) for seed in range(3) for arm, e in (("baseline", ERRORS), ("x", other))]
    table = compare_arms(evaluations, PARAMS).set_index("arm")
    assert table.loc["x", ["seeds", "folds", "subjects", "images"]].tolist() == [3, 3, 4, 8]
    assert table.loc["baseline", "mae"] == pytest.approx(44 / 8, abs=1e-4), "over images, not over folds"
    assert table.loc["x", "mae"] == pytest.approx(36 / 8, abs=1e-4)
    assert table.loc["x", "reduction"] == pytest.approx(100 * 8 / 44, abs=1e-3)
    assert table.loc["baseline", "mae_std"] == pytest.approx(np.std([12 / 3, 16 / 3, 16 / 2], ddof=1), abs=1e-4)


def test_an_image_that_moved_in_the_table_is_still_the_same_image(tmp_path: Path):
    evaluations = [
        evaluation(tmp_path, a, e, s) for s in range(3) for a, e in (("baseline", ERRORS), ("x", ERRORS[::-1]))
    ]
    again = [e._replace(table=e.table.sort_index(ascending=False)) for e in evaluations]
    pd.testing.assert_frame_equal(compare_arms(again, PARAMS), compare_arms(evaluations, PARAMS))


def test_tables_of_folds_say_so(tmp_path: Path):
    arms = [("baseline", 1), ("x", 0.5)]
    evaluations = [fold(tmp_path, arm, f * ERRORS, seed) for seed in range(3) for arm, f in arms]
    text = as_markdown(compare_arms(evaluations, PARAMS))
    assert "| trainings" in text
    assert "| 3 folds" in text
    assert "mean ± standard deviation over folds" in text
    assert "allow for how few folds there are" in text
    evaluations += [evaluation(tmp_path, arm, f * ERRORS, s, dataset="faces") for s in range(3) for arm, f in arms]
    both = as_markdown(compare_arms(evaluations, PARAMS))
    assert "| 3 seeds" in both
    assert "standard deviation over seeds (faces) or folds (heads)" in both
    assert "allow for how few people and seeds, or folds, there are" in both


def test_images_that_are_tested_neither_by_all_seeds_nor_by_one_are_refused(tmp_path: Path):
    evaluations = [evaluation(tmp_path, "baseline", ERRORS, 0), fold(tmp_path, "baseline", ERRORS, 1)]
    with pytest.raises(UserError, match="heads: each image was tested by 1 to 2 of 2 seeds; it must be all, or one"):
        compare_arms(evaluations, PARAMS)


def test_a_person_in_two_folds_is_refused(tmp_path: Path):
    evaluations = [fold(tmp_path, "baseline", ERRORS, seed) for seed in range(2)]
    (first, second) = evaluations
    moved = second._replace(table=second.table.replace({"subject": {"b": "a"}}))
    with pytest.raises(UserError, match="heads: images of a are in several folds; each person must be in one"):
        compare_arms([first, moved], PARAMS)


def test_arms_whose_folds_differ_are_refused(tmp_path: Path):
    other = FOLDS | {"a": 1, "b": 0}
    evaluations = [fold(tmp_path, a, ERRORS, s, f) for s in range(3) for a, f in (("baseline", FOLDS), ("x", other))]
    with pytest.raises(UserError, match="heads: x was tested on other images than baseline; run evaluate again"):
        compare_arms(evaluations, PARAMS)


# several baselines


def three_arms(folder: Path) -> list[Evaluated]:
    """Arms whose errors are 1, 0.8 and 0.6 times the same, for every image of three seeds."""
    levels = {"baseline": 1.0, "longer": 0.8, "other": 0.6}
    return [evaluation(folder, arm, f * ERRORS, seed) for seed in (0, 1, 2) for arm, f in levels.items()]


TWO = Comparison(baselines=["baseline", "longer"], bootstrap=400)


def test_with_several_baselines_every_arm_is_compared_with_each(tmp_path: Path):
    table = compare_arms(three_arms(tmp_path), TWO)
    found = {(row.baseline, row.arm): (row.reduction, row.verdict) for row in table.itertuples()}
    assert found == {
        ("baseline", "baseline"): (pytest.approx(np.nan, nan_ok=True), "baseline"),
        ("baseline", "longer"): (pytest.approx(20), "better"),
        ("baseline", "other"): (pytest.approx(40), "better"),
        ("longer", "longer"): (pytest.approx(np.nan, nan_ok=True), "baseline"),
        ("longer", "baseline"): (pytest.approx(-25), "worse"),
        ("longer", "other"): (pytest.approx(25), "better"),
    }
    assert list(table["baseline"]) == ["baseline"] * 3 + ["longer"] * 3, "in the order of the parameters"


def test_the_effect_against_a_baseline_is_the_same_whatever_other_baselines_there_are(tmp_path: Path):
    rng = np.random.default_rng(3)
    evaluations = [
        evaluation(tmp_path, arm, rng.gamma(2, 3, 8), seed, dataset=dataset)
        for dataset in ("heads", "faces")
        for arm in ("baseline", "longer", "other", "fourth")
        for seed in (0, 1, 2)
    ]
    alone = [compare_arms(evaluations, Comparison(baselines=[b], bootstrap=400)) for b in TWO.baselines]
    both = by_baseline(compare_arms(evaluations, TWO))
    for (name, block), single in zip(both.items(), alone, strict=True):
        assert set(block["baseline"]) == {name}
        pd.testing.assert_frame_equal(block.reset_index(drop=True), single, check_exact=True)


def test_baselines_of_several_variations_go_by_the_name_without_it(tmp_path: Path):
    arms = [f"{stem}-{variation}" for stem in ("baseline", "longer") for variation in ("few", "many")]
    evaluations = [evaluation(tmp_path, arm, level * ERRORS) for level, arm in enumerate(arms, start=1)]
    blocks = by_baseline(compare_arms(evaluations, TWO))
    assert list(blocks) == ["baseline", "longer"]
    assert set(blocks["longer"]["baseline"]) == {"longer-few", "longer-many"}


def test_the_markdown_table_has_one_row_per_arm_and_two_columns_per_baseline(tmp_path: Path):
    text = as_markdown(compare_arms(three_arms(tmp_path), TWO))
    head, _, *rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if "|" in line]
    assert head[-4:] == [
        *("error reduction against baseline (95% interval)", "verdict against baseline"),
        *("error reduction against longer (95% interval)", "verdict against longer"),
    ]
    assert {row[1]: row[-4:] for row in rows} == {
        "baseline": ["", "baseline", "-25.0% (-25.0 to -25.0)", "worse"],
        "longer": ["+20.0% (+20.0 to +20.0)", "better", "", "baseline"],
        "other": ["+40.0% (+40.0 to +40.0)", "better", "+25.0% (+25.0 to +25.0)", "better"],
    }
    assert "against each baseline" in text
    assert "hold for all 2 compared arms of a data set and one baseline together with 95% confidence" in text


def test_metrics_name_the_baseline_only_where_there_are_several(tmp_path: Path):
    evaluations = three_arms(tmp_path)
    alone, both = (as_metrics(compare_arms(evaluations, params))["heads"]["other"] for params in (PARAMS, TWO))
    assert alone["reduction"] == pytest.approx(40)
    assert both["against_baseline"]["reduction"] == pytest.approx(40)
    assert both["against_longer"] == {name: pytest.approx(25) for name in ("reduction", "low", "high")}
    assert both["mae"] == alone["mae"] == pytest.approx(0.6 * ERRORS.mean())


def test_a_baseline_that_is_named_twice_is_refused():
    with pytest.raises(ValidationError, match="every baseline must be named once"):
        Comparison(baselines=["baseline", "baseline"])


# the worst images


def test_the_worst_images_are_those_of_the_mean_over_seeds(tmp_path: Path):
    other = np.array([1.0, 20, 1, 1, 1, 1, 1, 1])
    evaluations = [evaluation(tmp_path, "baseline", 3 * ERRORS, seed) for seed in (0, 1)]
    evaluations += [evaluation(tmp_path, "best", e, seed) for seed, e in enumerate((ERRORS, other))]
    found = worst_of_all(compare_arms(evaluations, PARAMS), evaluations)
    assert list(dict.fromkeys(found["arm"])) == ["best", "baseline"]
    first = found.iloc[0]
    assert (first["source_id"], first["subject"]) == ("i1", "a")
    assert first["error_deg"] == pytest.approx(3 * (5 + 20) / 2), "geodesic error of a turn by the yaw alone"
    assert first["pred_yaw"] == pytest.approx(37.5)
    assert found[found["arm"] == "baseline"]["error_deg"].is_monotonic_decreasing


def test_the_worst_images_of_folds_of_unequal_size_are_those_of_all_folds(tmp_path: Path):
    factors = {"baseline": 2, "best": 1}
    evaluations = [fold(tmp_path, arm, f * ERRORS, seed) for arm, f in factors.items() for seed in range(3)]
    found = worst_of_all(compare_arms(evaluations, PARAMS), evaluations)
    best = found[found["arm"] == "best"]
    assert list(best["source_id"]) == ["i6", "i3", "i7", "i4", "i1", "i2", "i0", "i5"]
    assert best["error_deg"].tolist() == pytest.approx([27, 24, 21, 18, 15, 12, 9, 6])
    assert best["pred_yaw"].tolist() == pytest.approx([27, 24, 21, 18, 15, 12, 9, 6])
    assert list(best["subject"]) == ["d", "b", "d", "b", "a", "a", "a", "c"]


# error by yaw


def test_error_by_yaw_is_drawn_even_where_no_head_lies_in_any_bin_or_no_yaw_is_known(tmp_path: Path):
    evaluations = [evaluation(tmp_path, "baseline", ERRORS, seed) for seed in (0, 1)]
    evaluations.append(evaluation(tmp_path, "baseline", ERRORS, dataset="backs", yaw_bins=[90.0, 180.0]))
    table = errors_by_yaw(evaluations)
    assert table[["dataset", "seed", "yaw", "n"]].values.tolist() == [
        *[["heads", 0, 0, 8], ["heads", 1, 0, 8], ["backs", 0, 0, 8]]
    ], "all that lie beyond the bins are in one of -90 to 90 degrees"
    assert table["geodesic"].tolist() == pytest.approx([3 * ERRORS.mean()] * 3, abs=1e-4)
    for dataset, points in (("heads", 1), ("backs", 1), ("unknown", 0)):
        (axes,) = error_by_yaw(table[table["dataset"] == dataset], ["baseline"]).axes
        assert len(axes.lines[0].get_xdata()) == points


# costs and probes


def test_costs_join_every_arm_with_its_own_pretraining():
    pretrainings = [
        training(name, seed, {"task": name, "seed": seed}, {"pretrain": 1, "seconds": seconds, "backbone_passes": 1000})
        for name, seconds in (("rotation", 120.0), ("simclr", 600.0))
        for seed in (0, 1)
    ]
    simclr = [JobInput(fingerprint=p.recipe.fingerprint) for p in pretrainings if p.name == "simclr"]
    arms = [
        *(training("plain", s, {"init": "random"}, {"seconds": 60.0 * (1 + s)}) for s in (0, 1)),
        *(training("pre", s, {"init": "encoder"}, {"device": "H100"}, encoder=simclr[s]) for s in (0, 1)),
        training("given", 0, {"init": "imagenet"}, {}),
        training("file", 0, {"init": "encoder"}, {}, encoder=FileInput(sha256="f" * 64)),
    ]
    table = costs(arms, pretrainings).set_index("arm")
    assert table.loc["plain", ["start", "pretrain_passes", "finetune_passes", "finetune_minutes"]].tolist() == [
        *("random", 0, 100, 1.5)
    ]
    assert table.loc["pre", ["start", "pretrain_minutes", "pretrain_passes"]].tolist() == ["ssl:simclr", 10, 1000]
    assert table.loc["pre", "device"] == "cpu, 32-true and H100, 32-true"
    assert table.loc["given", "start"] == "imagenet"
    assert table.loc[["given", "file"], ["pretrain_minutes", "pretrain_passes"]].isna().all(axis=None)
    with pytest.raises(UserError, match="pre/seed0: its pre-training gone is missing"):
        costs([training("pre", 0, {"init": "encoder"}, {}, encoder=JobInput(fingerprint="gone"))], pretrainings)


def test_every_error_has_what_its_arm_cost_beside_it_its_pretraining_counted(tmp_path: Path):
    table = compare_arms(three_arms(tmp_path), Comparison(baselines=["baseline"], bootstrap=100))
    arms = list(dict.fromkeys(table["arm"]))
    spent = pd.DataFrame({"arm": arms, "pretrain_passes": [0.0, 51200.0, np.nan], "finetune_passes": 16384.0})
    shown = sheets.arms(with_passes(table, spent))
    assert dict(zip(shown["arm"], shown["images through the backbone"], strict=True)) == dict(
        zip(arms, ["16,384", "67,584", "16,384"], strict=True)
    )
    assert "images through the backbone" not in sheets.arms(table)


def test_probes_begin_with_the_untrained_backbone_and_count_images():
    history = {"epoch": [1, 2], "val_probe_mae_deg": [9.0, 8.0], "backbone_passes": [64, 64]}
    probed = training("simclr", 0, {}, {"pretrain": 1, "untrained_probe_mae_deg": 12.0}, history)
    without = training("rotation", 0, {}, {"pretrain": 1}, {"epoch": [1], "backbone_passes": [64]})
    assert probes([probed, without]).to_numpy().tolist() == [
        ["simclr", 0, 0, 12.0, 0],
        ["simclr", 0, 1, 9.0, 64],
        ["simclr", 0, 2, 8.0, 128],
    ]


# labels

BUDGETS = {  # people, share of each one's 100 images
    "1_person": (1, 0.5),
    "2_people": (2, 0.5),
    "4_people": (4, 0.5),
    "8_people": (8, 0.5),
    "10_percent": (8, 0.1),
    "all": (8, 1.0),
}


class Known(Evaluated):
    """An evaluation whose errors are columns of its table."""

    def errors(self, name: str) -> np.ndarray:
        return self.table[name].to_numpy()


def known(names: dict, errors: np.ndarray) -> Known:
    """One of a run on other heads, with these MAEs in degrees, an image for each person."""
    people = [f"p{person:02}" for person in range(len(errors))]
    table = pd.DataFrame({"mae": errors, "subject": people}, index=people)
    metrics = names | {"dataset": "heads", "mae": errors.mean(), "n": len(errors)}
    return Known(metrics, table, Evaluation())


def labelled_study(gain: float) -> tuple[list[Known], list[Trained]]:
    """20 degrees with 50 labelled images and 2 degrees less with every doubling; `arm` is better by `gain`."""
    evaluations, trainings = [], []
    for (variation, (people, share)), stem, seed in product(BUDGETS.items(), ("baseline", "arm"), (0, 1)):
        images, name = round(people * share * 100), f"{stem}-{variation}"
        error = 20 - 2 * np.log2(images / 50) - gain * (stem == "arm") + (0.5 if seed else -0.5)
        evaluations.append(known({"arm": name, "seed": seed}, np.array([error - 1, error + 1])))
        params = {"labels": {"subjects": people, "fraction": share, "redraw": False}}
        trainings.append(training(name, seed, params, {"labelled_subjects": people, "labelled_images": images}))
    return evaluations, trainings


def test_label_curves_vary_in_people_or_in_images_of_the_same_people():
    table = label_curve(*labelled_study(2), "mae")
    of_baseline = table[table["arm"] == "baseline"].groupby("curve", sort=False)["variation"].agg(list)
    assert of_baseline.to_dict() == {
        "people, 50% of each one's images": ["1_person", "2_people", "4_people", "8_people"],
        "images of 8 people": ["10_percent", "8_people", "all"],
    }
    first = table[(table["arm"] == "baseline") & (table["variation"] == "1_person")].iloc[0]
    assert (first["labelled_images"], first["mean"], first["low"], first["high"]) == (50, 20, 19.5, 20.5)


@pytest.mark.parametrize(("gain", "share"), [(2, 0.5), (1, 1 / np.sqrt(2)), (0, 1)])
def test_labels_saved_by_an_arm_that_is_better_by_a_known_amount(gain, share):
    evaluations, trainings = labelled_study(gain)
    table = labels_saved(label_curve(evaluations, trainings, "mae"), "baseline", evaluations, PARAMS)
    at_largest = table[table["question"] == "baseline at its largest budget"].set_index("curve")
    assert set(at_largest.index) == {"people, 50% of each one's images", "images of 8 people"}
    assert at_largest["share"].tolist() == pytest.approx([share, share], abs=1e-3)
    people = table[table["curve"].str.startswith("people") & (table["question"] == "arm at a budget")]
    at = people.set_index("variation")
    assert at.loc["2_people", ["labels", "baseline_labels"]].tolist() == pytest.approx([100, 100 / share], abs=0.1)
    if gain:
        assert np.isnan(at.loc["8_people", "baseline_labels"]), "more than any budget that was measured"


def test_labels_needed_are_never_extrapolated():
    labels, errors = np.array([10.0, 100, 1000]), np.array([9.0, 5.0, 6.0])
    assert labels_needed(labels, errors, 7) == (pytest.approx(10**1.5), False)
    assert labels_needed(labels, errors, 4.9) == (pytest.approx(np.nan, nan_ok=True), False)
    assert labels_needed(labels, errors, 9.5) == (pytest.approx(10), True), "the smallest budget does: an upper bound"
    several, bounds = labels_needed(labels, np.stack([errors, errors + 2]), np.array([5.5, 6.5]))
    assert several.tolist() == pytest.approx([10 ** (1 + 3.5 / 4), np.nan], nan_ok=True)
    assert not bounds.any()


@pytest.mark.parametrize(
    ("share", "low", "high", "bound", "shown"),
    [
        (0.66, 0.41, 0.97, "", "66% (41% to 97%)"),
        (0.66, 0.41, np.inf, "", "66% (at least 41%)"),
        (0.5, 0, 0.97, "at most", "≤ 50% (at most 97%)"),
        (0.66, 0, np.inf, "", "66% (anything)"),
        (0.66, np.nan, np.nan, "", "66% (no interval)"),
        (np.nan, 0.6, np.inf, "", "(at least 60%)"),
        (np.nan, np.nan, np.nan, "", ""),
    ],
)
def test_shares_of_labels_are_shown_with_what_is_known_of_them(share, low, high, bound, shown):
    row = {"dataset": "heads", "curve": "people", "arm": "x", "question": LARGEST, "variation": "", "error_deg": 5.0}
    row |= {"labels": 66, "baseline_labels": 100, "share": share, "share_low": low, "share_high": high, "bound": bound}
    sheet = next(iter(sheets.labels_saved(pd.DataFrame([row])).values()))
    assert sheet["share"].tolist() == [shown]


def test_budgets_are_told_apart_by_people_and_images():
    few, same, half = Labels(subjects=2), Labels(subjects=2, redraw=True), Labels(subjects=2, fraction=0.5)
    assert not several_budgets({"a": few, "b": half})
    assert not several_budgets({"a-x": few, "a-y": same})
    assert several_budgets({"a-x": few, "a-y": half})
