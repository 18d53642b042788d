"""The style of all figures, and figures as SVG with the same bytes for the same numbers."""

import io
from pathlib import Path

import matplotlib
from matplotlib.figure import Figure

from pipeline_steps.job.files import write_text

in_style = matplotlib.rc_context(
    {
        "svg.hashsalt": "headpose",
        "svg.fonttype": "none",
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "grid.alpha": 0.3,
    }
)
"""Decorator of functions that draw or write a figure: within them, matplotlib follows this style."""

COLOURS = ("#000000", "#0072b2", "#d55e00", "#009e73", "#cc79a7")
"""Okabe and Ito's palette, which most colour-blind readers can tell apart, without the two pale colours.

The first is the baseline's; the report draws it, and all that is black, in the colour of its text.
"""

LINE_STYLES = ("-", "--", ":")
"""The next one once all colours are used; what then still remains is drawn grey, as one among others."""


@in_style
def svg(figure: Figure) -> str:
    """The figure as an SVG document."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None}, bbox_inches="tight")
    return buffer.getvalue()


def save(figure: Figure, path: Path) -> None:
    """Write the figure as SVG."""
    write_text(path, svg(figure))
