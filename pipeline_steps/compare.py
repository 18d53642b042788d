"""Hold the arms of a study against the baseline: mean and spread over seeds, error reduction, what is within noise.

python -m pipeline_steps.compare --recipe RECIPE --output DIR --evaluation DIR --evaluation DIR ...
"""

import json
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
from typer import Option

from pipeline_steps.errors import UserError
from pipeline_steps.files import whole_file, write_json
from pipeline_steps.params import CompareParams, Comparison
from pipeline_steps.pose.metrics import ANGLES, LABEL, PREDICTED, image_errors
from pipeline_steps.recipe import read_recipe, seal
from pipeline_steps.step import main

SHOWN = [*ANGLES, "mae", "geodesic", "maev"]


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
    for dataset, of_dataset in metrics.groupby("dataset"):
        tables = {
            arm: [subject_errors(read[i][1], params.error) for i in group.sort_values("seed").index]
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


def as_markdown(table: pd.DataFrame, confidence: float) -> str:
    """The table for people: mean and spread in one cell."""

    def cell(row: "pd.Series[Any]", name: str) -> str:
        spread = row[f"{name}_std"]
        return f"{row[name]:.2f}" + ("" if np.isnan(spread) else f" ± {spread:.2f}")

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
    output: Annotated[Path, Option(help="folder for the tables")],
    evaluation: Annotated[list[Path], Option(help="folder of one evaluation; repeat for each")],
) -> None:
    """Write table.md, table.csv and metrics.json."""
    made = read_recipe(recipe)
    params = made.params_as(CompareParams).compare
    table = compare_arms(evaluation, params)
    with whole_file(output / "table.csv") as temporary:
        table.to_csv(temporary, index=False)
    with whole_file(output / "table.md") as temporary:
        temporary.write_text(as_markdown(table, params.confidence))
    flat: dict[str, dict[str, dict[str, float]]] = {}
    for _, row in table.iterrows():
        numbers = {n: float(row[n]) for n in [*SHOWN, "reduction"] if n in row and not np.isnan(row[n])}
        flat.setdefault(str(row["dataset"]), {})[str(row["arm"])] = numbers
    write_json(output / "metrics.json", flat)
    seal(made, output / "recipe.json")


if __name__ == "__main__":
    main(compare)
