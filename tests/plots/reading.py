"""What is drawn, read back from the Axes."""

import numpy as np
import pytest

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")
plt = pytest.importorskip("matplotlib.pyplot")

Z = 1.959963984540054           # the normal quantile of 0.975
QUARTILE = 0.6744897501960817   # the normal quantile of 0.75

SINGLE = ["caterpillar", "residuals", "quantiles", "shrinkage", "surface"]


def drawn(ax, label):
    """x and y of the line with this label."""
    line, = (line for line in ax.lines if line.get_label() == label)
    x, y = line.get_data()
    return np.asarray(x, float), np.asarray(y, float)


def points_of(line):
    """The points of a line, (n, 2)."""
    return np.column_stack(line.get_data()).astype(float)


def ticks(ax, which="y"):
    """The texts along an axis."""
    tick_labels = getattr(ax, f"get_{which}ticklabels")()
    return [label.get_text() for label in tick_labels]


def labels(ax):
    """What is written below and beside."""
    return ax.get_xlabel(), ax.get_ylabel()


def arrows(ax):
    """Starts and ends of the arrows, (m, 2) each."""
    quivers = [artist for artist in ax.collections if isinstance(artist, matplotlib.quiver.Quiver)]
    quiver, = quivers
    start = np.column_stack([quiver.X, quiver.Y])
    way = np.column_stack([quiver.U, quiver.V])
    return start, start + way


def below_its_legend(ax):
    """Whether the legend stands above the Axes, in a figure that has been drawn."""
    return ax.get_legend().get_window_extent().y0 > ax.get_window_extent().y1
