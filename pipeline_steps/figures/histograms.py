"""The poses of a data set."""

import numpy as np
from matplotlib.figure import Figure

from pipeline_steps.figures.style import COLOURS, in_style
from pipeline_steps.pose.geometry import ANGLES


@in_style
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
