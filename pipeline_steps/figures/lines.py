"""Line plots of a comparison."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pipeline_steps.figures.style import COLOURS, LINE_STYLES, in_style
from pipeline_steps.params.arms import stem_and_variation


def _line(axes: Axes, points: pd.DataFrame, place: int, label: str, marker: str | None = None) -> None:
    """One line, the mean, with a band from low to high; points: mean, low, high by x. place: its turn in `COLOURS`."""
    turn, colour = place // len(COLOURS), COLOURS[place % len(COLOURS)]
    if turn >= len(LINE_STYLES):
        first = place == len(COLOURS) * len(LINE_STYLES)
        axes.plot(points.index, points["mean"], color="#bbbbbb", label="others" if first else None, lw=0.8, zorder=1)
        return
    style = LINE_STYLES[turn]
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


@in_style
def _lines(
    table: pd.DataFrame, x: str, y: str, names: list[str], xlabel: str, ylabel: str, of: str = "arm", zero: bool = True
) -> Figure:
    """One line per name in the column `of`: the mean over seeds, with the range over seeds as a band.

    Arms crossed with variations are drawn in one panel per variation, an arm in the same colour in all. zero: whether
    the scale starts there.
    """
    figure, panels = _panels(list(dict.fromkeys(stem_and_variation(name)[1] for name in names)) or [""])
    stems = list(dict.fromkeys(stem_and_variation(name)[0] for name in names))
    for name in names:
        stem, variation = stem_and_variation(name)
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
    """table: arm, seed, images (through the backbone), val_geodesic_deg."""
    ylabel = "validation geodesic error (degrees)"
    return _lines(table, "images", "val_geodesic_deg", arms, "images through the backbone", ylabel)


def pretraining_probe(table: pd.DataFrame) -> Figure:
    """table: pretext, seed, epoch, probe_mae_deg, images; may be empty."""
    at_end = table[table["epoch"] == table.groupby("pretext")["epoch"].transform("max")]
    pretexts = list(at_end.groupby("pretext")["probe_mae_deg"].mean().sort_values().index)
    ylabel = "error of a linear probe (MAE, degrees)"
    return _lines(table, "images", "probe_mae_deg", pretexts, "images seen", ylabel, of="pretext", zero=False)


@in_style
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
