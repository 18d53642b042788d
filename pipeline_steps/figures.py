"""The figures of a comparison, as SVG with the same bytes for the same numbers, and the numbers behind them."""

from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from PIL import Image

from pipeline_steps.drawing import draw_axes
from pipeline_steps.files import whole_file
from pipeline_steps.pose.geometry import ANGLES

matplotlib.use("svg")
matplotlib.rcParams.update(
    {
        "svg.hashsalt": "headpose",
        "svg.fonttype": "none",
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "grid.alpha": 0.3,
    }
)

COLOURS = ("#000000", "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
"""Okabe and Ito's, which most colour-blind readers can tell apart; the first is the baseline's."""


def save(figure: Figure, path: Path) -> None:
    """Write the figure as SVG."""
    with whole_file(path) as temporary:
        figure.savefig(temporary, format="svg", metadata={"Date": None}, bbox_inches="tight")


def _lines(table: pd.DataFrame, x: str, y: str, arms: list[str], xlabel: str, ylabel: str) -> Figure:
    """One line per arm: the mean over seeds, with the range over seeds as a band."""
    figure = Figure(figsize=(6.4, 4))
    axes = figure.subplots()
    for place, arm in enumerate(arms):
        over_seeds = table[table["arm"] == arm].groupby(x)[y].agg(["mean", "min", "max"])
        colour = COLOURS[place % len(COLOURS)]
        axes.plot(over_seeds.index, over_seeds["mean"], color=colour, label=arm, lw=2)
        axes.fill_between(over_seeds.index, over_seeds["min"], over_seeds["max"], color=colour, alpha=0.15, lw=0)
    axes.set(xlabel=xlabel, ylabel=ylabel, ylim=(0, None))
    axes.legend(frameon=False)
    return figure


def error_by_yaw(table: pd.DataFrame, arms: list[str]) -> Figure:
    """table: arm, seed, yaw (centre of the bin, degrees), mean error in degrees: geodesic or, without one, mae."""
    error, name = ("geodesic", "geodesic error") if "geodesic" in table else ("mae", "absolute error")
    return _lines(table, "yaw", error, arms, "yaw of the head (degrees)", f"mean {name} (degrees)")


def cumulative_error(table: pd.DataFrame, arms: list[str]) -> Figure:
    """table: arm, seed, limit (degrees), share (of images with an error below the limit, 0 to 1)."""
    return _lines(table, "limit", "share", arms, "error (degrees)", "share of test images below")


def training_curves(table: pd.DataFrame, arms: list[str]) -> Figure:
    """table: arm, seed, epoch, val_geodesic_deg."""
    return _lines(table, "epoch", "val_geodesic_deg", arms, "epoch", "validation geodesic error (degrees)")


def pose_histogram(euler_deg: np.ndarray) -> Figure:
    """How often yaw, pitch and roll take which value; euler_deg: (N, 3) in degrees, NaN where unknown."""
    figure = Figure(figsize=(9, 2.4), layout="constrained")
    panels = figure.subplots(1, 3, sharey=True)
    for axes, name, values in zip(panels, ANGLES, euler_deg.T, strict=True):
        known = values[np.isfinite(values)]
        reach = 5 * np.ceil(max(95.0, *np.abs(known)) / 5) if len(known) else 95
        axes.hist(known, bins=np.arange(-reach, reach + 5, 5), color=COLOURS[1])
        axes.set(xlabel=f"{name} (degrees)", xlim=(-reach, reach))
    return figure


def faces(images: np.ndarray, label: np.ndarray, predicted: np.ndarray, errors: np.ndarray) -> Figure:
    """The eight best and the eight worst predictions, each as two crops: axes of the label above the prediction's.

    images: uint8 (N, S, S, 3). label, predicted: (N, 3, 3). errors: in degrees (N,). N is at least 1; the
    images are shown in their order, eight to a row.
    """
    columns = min(8, len(images))
    rows = -(-len(images) // columns)
    figure = Figure(figsize=(1.1 * columns, 2.5 * rows))
    for place, axes in enumerate(figure.subplots(rows, columns, squeeze=False).flat):
        axes.axis("off")
        if place >= len(images):
            continue
        pair = Image.new("RGB", (128, 256))
        for half, rotation in enumerate((label[place], predicted[place])):
            face = Image.fromarray(images[place]).resize((128, 128), Image.Resampling.BICUBIC)
            draw_axes(face, rotation)
            pair.paste(face, (0, 128 * half))
        axes.imshow(np.asarray(pair))
        axes.set_title(f"{errors[place]:.1f}°", fontsize=9)
    return figure
