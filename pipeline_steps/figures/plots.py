"""The figures of a comparison, as SVG with the same bytes for the same numbers, and the numbers behind them."""

from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from pipeline_steps.images.drawing import draw_axes
from pipeline_steps.job.files import whole_file
from pipeline_steps.params.arms import parts_of
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

COLOURS = ("#000000", "#0072b2", "#d55e00", "#009e73", "#cc79a7")
"""Okabe and Ito's, which most colour-blind readers can tell apart, but the two that are pale on white.

The first is the baseline's; the report draws it, and all that is black, in the colour of its text.
"""

STYLES = ("-", "--", ":")
"""Of lines, the next once all colours are used; what then still remains is drawn grey, as one among others."""


def save(figure: Figure, path: Path) -> None:
    """Write the figure as SVG."""
    with whole_file(path) as temporary:
        figure.savefig(temporary, format="svg", metadata={"Date": None}, bbox_inches="tight")


def _line(axes: Axes, points: pd.DataFrame, place: int, label: str, marker: str | None = None) -> None:
    """One line, the mean, with a band from low to high; points: mean, low, high by x. place: its turn in `COLOURS`."""
    turn, colour = place // len(COLOURS), COLOURS[place % len(COLOURS)]
    if turn >= len(STYLES):
        first = place == len(COLOURS) * len(STYLES)
        axes.plot(points.index, points["mean"], color="#bbbbbb", label="others" if first else None, lw=0.8, zorder=1)
        return
    style = STYLES[turn]
    axes.plot(points.index, points["mean"], color=colour, ls=style, label=label, lw=2, marker=marker)
    axes.fill_between(points.index, points["low"], points["high"], color=colour, alpha=0.15, lw=0)


def _panels(titles: list[str]) -> tuple[Figure, dict[str, Axes]]:
    """A panel per title, at most four to a row, in one scale."""
    columns, rows = min(4, len(titles)), -(-len(titles) // 4)
    figure = Figure(figsize=(4.6 if len(titles) == 1 else 4 * columns, 3.4 if len(titles) == 1 else 3.2 * rows))
    places = list(figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).flat)
    for unused in places[len(titles) :]:
        unused.axis("off")
    for axes, title in zip(places, titles, strict=False):
        axes.set_title(title, fontsize=10)
    return figure, dict(zip(titles, places, strict=False))


def _legend(panels: dict[str, Axes]) -> None:
    """One legend for all panels: inside where it is small and there is one panel, else beside the last of the row."""
    *_, axes = list(panels.values())[:4]
    handles, names = axes.get_legend_handles_labels()
    if len(panels) == 1 and len(names) <= len(COLOURS):
        axes.legend(frameon=False)
    else:
        axes.legend(handles, names, frameon=False, loc="upper left", bbox_to_anchor=(1.02, 1))


def _lines(
    table: pd.DataFrame, x: str, y: str, names: list[str], xlabel: str, ylabel: str, of: str = "arm", zero: bool = True
) -> Figure:
    """One line per name in the column `of`: the mean over seeds, with the range over seeds as a band.

    Arms crossed with variations are drawn in one panel per variation, an arm in the same colour in all. zero: whether
    the scale starts there.
    """
    figure, panels = _panels(list(dict.fromkeys(parts_of(name)[1] for name in names)) or [""])
    stems = list(dict.fromkeys(parts_of(name)[0] for name in names))
    for name in names:
        stem, variation = parts_of(name)
        over_seeds = table[table[of] == name].groupby(x)[y]
        points = pd.DataFrame({"mean": over_seeds.mean(), "low": over_seeds.min(), "high": over_seeds.max()})
        _line(panels[variation], points, stems.index(stem), stem)
    for axes in panels.values():
        axes.set(xlabel=xlabel, ylabel=ylabel)
        axes.label_outer()
        if zero:
            axes.set_ylim(0, None)
    if names:
        _legend(panels)
    return figure


def error_by_yaw(table: pd.DataFrame, arms: list[str]) -> Figure:
    """table: arm, seed, yaw (centre of the bin, degrees), mean errors in degrees: geodesic or, without any, mae."""
    geodesic = table["geodesic"].notna().any()
    error, name = ("geodesic", "geodesic error") if geodesic else ("mae", "absolute error")
    return _lines(table, "yaw", error, arms, "yaw of the head (degrees)", f"mean {name} (degrees)")


def cumulative_error(table: pd.DataFrame, arms: list[str]) -> Figure:
    """table: arm, seed, limit (degrees), share (of images with an error below the limit, 0 to 1)."""
    return _lines(table, "limit", "share", arms, "error (degrees)", "share of images below")


def training_curves(table: pd.DataFrame, arms: list[str]) -> Figure:
    """table: arm, seed, epoch, val_geodesic_deg."""
    return _lines(table, "epoch", "val_geodesic_deg", arms, "epoch", "validation geodesic error (degrees)")


def pretraining_probe(table: pd.DataFrame) -> Figure:
    """table: pretext, seed, epoch, probe_mae_deg, images; may be empty."""
    at_end = table[table["epoch"] == table.groupby("pretext")["epoch"].transform("max")]
    pretexts = list(at_end.groupby("pretext")["probe_mae_deg"].mean().sort_values().index)
    ylabel = "error of a linear probe (MAE, degrees)"
    return _lines(table, "images", "probe_mae_deg", pretexts, "images seen", ylabel, of="pretext", zero=False)


def label_curves(table: pd.DataFrame, arms: list[str]) -> Figure:
    """table: curve, arm, labelled_images, mean, low, high over seeds (degrees); arms: without variation."""
    figure, panels = _panels(list(dict.fromkeys(table["curve"])) or [""])
    for curve, axes in panels.items():
        for place, arm in enumerate(arms):
            points = table[(table["curve"] == curve) & (table["arm"] == arm)].set_index("labelled_images")
            if len(points):
                _line(axes, points, place, arm, marker="o")
        axes.set(xscale="log", xlabel="labelled images", ylabel="error (degrees)")
        axes.label_outer()
    if len(table):
        _legend(panels)
    return figure


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


def face_pair(image: np.ndarray, label: np.ndarray, predicted: np.ndarray) -> Image.Image:
    """One crop twice, with the axes of the label above and the prediction's below; uint8 (S, S, 3), (3, 3), (3, 3)."""
    pair = Image.new("RGB", (128, 256))
    for half, rotation in enumerate((label, predicted)):
        face = Image.fromarray(image).resize((128, 128), Image.Resampling.BICUBIC)
        draw_axes(face, rotation)
        pair.paste(face, (0, 128 * half))
    return pair


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
        axes.imshow(np.asarray(face_pair(images[place], label[place], predicted[place])))
        axes.set_title(f"{errors[place]:.1f}°", fontsize=9)
    return figure
