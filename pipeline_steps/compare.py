"""Hold the arms of a study against the baseline: mean and spread over seeds, error reduction, what is within noise.

python -m pipeline_steps.compare --recipe RECIPE --output DIR --evaluation DIR --evaluation DIR ...
"""

import json
from functools import cache
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from typer import Option

from pipeline_steps.crops import CropFile
from pipeline_steps.drawing import shown_rotation
from pipeline_steps.errors import UserError
from pipeline_steps.figures import cumulative_error, error_by_yaw, faces, save, training_curves
from pipeline_steps.files import whole_file, write_json
from pipeline_steps.params import CompareParams, Comparison
from pipeline_steps.pose.geometry import ANGLES
from pipeline_steps.pose.metrics import LABEL, PREDICTED, image_errors
from pipeline_steps.recipe import read_recipe, seal
from pipeline_steps.step import main
from pipeline_steps.tracking import track_run

SHOWN = [*ANGLES, "mae", "geodesic", "maev"]


@cache
def read_evaluation(folder: Path) -> tuple[dict[str, Any], pd.DataFrame]:
    """metrics.json and predictions.parquet of one evaluation, the latter by source id."""
    try:
        metrics = json.loads((folder / "metrics.json").read_text())
        return metrics, pd.read_parquet(folder / "predictions.parquet").set_index("source_id").sort_index()
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"{folder}: not a whole evaluation ({error}); delete it and run snakemake again") from error


def subject_errors(table: pd.DataFrame, error: str) -> pd.DataFrame:
    """Sum and count of one error, in degrees, per subject."""
    rotation, predicted = (table[c].to_numpy(float).reshape(-1, 3, 3) for c in (LABEL, PREDICTED))
    errors = image_errors(table[ANGLES].to_numpy(float), rotation, predicted)[error]
    return errors.groupby(table["subject"].to_numpy()).agg(["sum", "count"])


def reduction(arm: list[pd.DataFrame], baseline: list[pd.DataFrame], params: Comparison) -> tuple[float, float, float]:
    """Relative error reduction in percent against the baseline, and its paired bootstrap interval.

    arm and baseline: `subject_errors` of every seed. Subjects are resampled jointly for both, seeds for each.
    """
    rng = np.random.default_rng(0)
    counts = baseline[0]["count"].to_numpy(float)
    ours, theirs = (np.stack([t["sum"].to_numpy(float) for t in tables]) for tables in (arm, baseline))

    def percent(weights: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        means = [(w[:, :, None] * s[None]).sum(1) for w, s in ((a, ours), (b, theirs))]
        numerator, denominator = ((weights * m).sum(1) / (weights * counts).sum(1) for m in means)
        result: np.ndarray = 100 * (1 - numerator / denominator)
        return result

    def drawn(n: int) -> np.ndarray:
        return rng.multinomial(n, np.full(n, 1 / n), size=params.bootstrap).astype(float)

    even = [np.full((1, len(t)), 1 / len(t)) for t in (ours, theirs)]
    point = float(percent(np.ones((1, len(counts))), *even)[0])
    samples = percent(drawn(len(counts)), drawn(len(ours)) / len(ours), drawn(len(theirs)) / len(theirs))
    tail = 50 * (1 - params.confidence)
    low, high = np.percentile(samples, [tail, 100 - tail])
    return point, float(low), float(high)


def compare_arms(folders: list[Path], params: Comparison) -> pd.DataFrame:
    """One row per data set and arm, the baseline first, then by rising error; errors in degrees."""
    read = [read_evaluation(folder) for folder in folders]
    metrics = pd.DataFrame([m for m, _ in read])
    rows = []
    for dataset, of_dataset in metrics.reindex(columns=["dataset", "arm", "seed", *SHOWN]).groupby("dataset"):
        error = params.error if of_dataset[params.error].notna().all() else "mae"
        tables = {
            arm: [subject_errors(read[i][1], error) for i in group.sort_values("seed").index]
            for arm, group in of_dataset.groupby("arm")
        }
        if params.baseline not in tables:
            raise UserError(f"compare.baseline: no evaluation of {params.baseline!r} on {dataset}; add it to arms")
        baseline = tables[params.baseline]
        for arm, group in of_dataset.groupby("arm"):
            row: dict[str, Any] = {"dataset": dataset, "arm": arm, "seeds": len(group)}
            for name in SHOWN:
                row[name], row[f"{name}_std"] = group[name].mean(), group[name].std(ddof=1)
            if not all(table["count"].equals(baseline[0]["count"]) for table in tables[arm]):
                raise UserError(
                    f"{dataset}: {arm} and {params.baseline} were tested on different images; run evaluate again"
                )
            if arm != params.baseline:
                point, low, high = reduction(tables[arm], baseline, params)
                row |= {"reduction": point, "low": low, "high": high}
                row["verdict"] = "better" if low > 0 else "worse" if high < 0 else "within noise"
            else:
                row["verdict"] = "baseline"
            rows.append(row)
    table = pd.DataFrame(rows)
    table["rank"] = table["arm"].ne(params.baseline)
    return table.sort_values(["dataset", "rank", params.error]).drop(columns="rank").reset_index(drop=True)


def image_error(table: pd.DataFrame) -> "pd.Series[float]":
    """Per image, in degrees: the geodesic error or, where some label is no full rotation, the MAE of known angles."""
    geodesic = table["geodesic_deg"]
    return geodesic if geodesic.notna().all() else table["mae_deg"]


def errors_by_yaw(folders: list[Path]) -> pd.DataFrame:
    """dataset, arm, seed, yaw (centre of the bin), n, and mean errors in degrees, from every metrics.json."""
    rows = []
    for folder in folders:
        metrics, _ = read_evaluation(folder)
        job = {name: metrics[name] for name in ("dataset", "arm", "seed")}
        for part in metrics["by_yaw"]:
            errors = {name: part[name] for name in ("n", "mae", "geodesic") if name in part}
            rows.append(job | {"yaw": (part["low"] + part["high"]) / 2} | errors)
    return pd.DataFrame(rows)


def cumulative_errors(folders: list[Path]) -> pd.DataFrame:
    """dataset, arm, seed, limit in degrees, share of images with a smaller `image_error` (0 to 1)."""
    limits = np.arange(0.0, 30.5, 0.5)
    rows = []
    for folder in folders:
        metrics, table = read_evaluation(folder)
        shares = (image_error(table).to_numpy()[:, None] < limits).mean(0)
        job = {name: metrics[name] for name in ("dataset", "arm", "seed")}
        rows += [job | {"limit": limit, "share": share} for limit, share in zip(limits, shares, strict=True)]
    return pd.DataFrame(rows)


def histories(folders: list[Path]) -> pd.DataFrame:
    """arm, seed and every epoch's row of each fine-tuning."""
    tables = []
    for folder in folders:
        try:
            run = json.loads((folder / "run.json").read_text())
            tables.append(pd.read_csv(folder / "history.csv").assign(arm=run["arm"], seed=run["seed"]))
        except (OSError, ValueError, KeyError) as error:
            raise UserError(f"{folder}: not a whole fine-tuning ({error}); delete it and run again") from error
    return pd.concat(tables, ignore_index=True)


def best_and_worst(evaluation: Path, crops: Path) -> Figure:
    """Faces with the eight smallest and the eight largest errors of one evaluation."""
    _, table = read_evaluation(evaluation)
    errors = image_error(table)
    order = errors.argsort(kind="stable").to_numpy()
    places = np.concatenate([order[:8], order[8:][-8:]])
    shown = table.iloc[places]
    with CropFile(crops) as file:
        rows = [file.source_ids.index(source_id) for source_id in shown.index]
        images = file.read(np.array(rows))
    label, predicted = (shown[c].to_numpy(float).reshape(-1, 3, 3) for c in (LABEL, PREDICTED))
    known = [shown_rotation(r, e) for r, e in zip(label, shown[ANGLES].to_numpy(float), strict=True)]
    return faces(images, np.array(known), predicted, errors.to_numpy()[places])


def dataset_of(crops: Path) -> str:
    """Name of the data set that a crop file belongs to."""
    with CropFile(crops) as file:
        return file.dataset


def write_csv(table: pd.DataFrame, path: Path) -> None:
    """Write a table without its index."""
    with whole_file(path) as temporary:
        table.to_csv(temporary, index=False)


def draw_all(
    table: pd.DataFrame, evaluations: list[Path], trainings: list[Path], crops: dict[str, Path], output: Path
) -> None:
    """Write every figure as SVG into output/figures, and the numbers behind the curves into output."""
    by_yaw, cumulative, history = errors_by_yaw(evaluations), cumulative_errors(evaluations), histories(trainings)
    write_csv(by_yaw, output / "error_by_yaw.csv")
    write_csv(cumulative, output / "cumulative_error.csv")
    write_csv(history, output / "training_curves.csv")
    arms = list(dict.fromkeys(table["arm"]))
    figures = output / "figures"
    save(training_curves(history, arms), figures / "training_curves.svg")
    for dataset, path in crops.items():
        of_dataset = by_yaw[by_yaw["dataset"] == dataset].dropna(axis=1, how="all")
        save(error_by_yaw(of_dataset, arms), figures / f"{dataset}_error_by_yaw.svg")
        share = cumulative[cumulative["dataset"] == dataset]
        save(cumulative_error(share, arms), figures / f"{dataset}_cumulative_error.svg")
        best = table[table["dataset"] == dataset].sort_values(["geodesic", "mae"])["arm"].iloc[0]
        of_best = [f for f in evaluations if read_evaluation(f)[0]["dataset"] == dataset and f.parent.name == best]
        save(best_and_worst(min(of_best), path), figures / f"{dataset}_faces.svg")


def as_markdown(table: pd.DataFrame, confidence: float) -> str:
    """The table for people: mean and spread in one cell."""

    def cell(row: "pd.Series[Any]", name: str) -> str:
        spread = row[f"{name}_std"]
        return "" if np.isnan(row[name]) else f"{row[name]:.2f}" + ("" if np.isnan(spread) else f" ± {spread:.2f}")

    shown = table[["dataset", "arm", "seeds"]].copy()
    for name in SHOWN:
        shown[name] = [cell(row, name) for _, row in table.iterrows()]
    shown[f"error reduction ({confidence:.0%} interval)"] = [
        "" if pd.isna(point) else f"{point:+.1f}% ({low:+.1f} to {high:+.1f})"
        for point, low, high in table.reindex(columns=["reduction", "low", "high"]).to_numpy(float)
    ]
    shown["verdict"] = table["verdict"]
    text: str = shown.to_markdown(index=False, disable_numparse=True)
    return text + "\n\nErrors in degrees, mean ± standard deviation over seeds.\n"


def compare(
    recipe: Annotated[Path, Option(help="parameters of this job")],
    output: Annotated[Path, Option(help="folder for tables and figures")],
    evaluation: Annotated[list[Path], Option(help="folder of one evaluation; repeat for each")],
    training: Annotated[list[Path], Option(help="folder of one fine-tuning; repeat for each")],
    crops: Annotated[list[Path], Option(help="crops.h5 of one test data set; repeat for each")],
) -> None:
    """Write table.md, table.csv, metrics.json, the figures, and the numbers behind them."""
    made = read_recipe(recipe)
    params = made.params_as(CompareParams).compare
    with track_run(made, output):
        table = compare_arms(evaluation, params)
        write_csv(table, output / "table.csv")
        with whole_file(output / "table.md") as temporary:
            temporary.write_text(as_markdown(table, params.confidence))
        flat: dict[str, dict[str, dict[str, float]]] = {}
        for _, row in table.iterrows():
            numbers = {n: float(row[n]) for n in [*SHOWN, "reduction"] if n in row and not np.isnan(row[n])}
            flat.setdefault(str(row["dataset"]), {})[str(row["arm"])] = numbers
        write_json(output / "metrics.json", flat)
        draw_all(table, evaluation, training, {dataset_of(path): path for path in crops}, output)
    seal(made, output / "recipe.json")


if __name__ == "__main__":
    main(compare)
