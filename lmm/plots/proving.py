"""The picture of a proof: the boxes that the variances were cut into, over the criterion."""

import numpy as np

from ..errors import LMMError
from ..fitting import BoundProblem, criterion_at
from ..inference import Proof
from .canvas import as_text, new_axes

GRID = 60               # of the grid of the criterion, a side
LEVELS = (0.1, 0.5, 1, 2, 4, 8, 16, 32, 64)      # of nll above the optimum, that have a contour
TICKS = (0, 0.5, 1, 2, 5, 10, 20, 50, 100)       # of a standard deviation over sigma
APART = 0.25            # on the scale of the axes, how far ticks are from each other at least


def proof(found, ax=None):
    """The boxes of a proof of two variances, over the likelihood.

    Parameters
    ----------
    found : Proof
        As ``fit.prove(keep=True)`` returns it, of a fit with two standard deviations.
    ax : matplotlib Axes, optional
        Where to draw; by default on a new figure.

    Returns
    -------
    matplotlib Axes
        Standard deviations over sigma, on a scale of log(1 + variance); boxes, contours of the
        criterion, sigma being profiled out, and the optimum. Boxes without end go to the edge.

    Raises
    ------
    LMMError
        If it is no proof with its cells, or not of two independent effects; or matplotlib is not
        installed.

    Notes
    -----
    Where the criterion is far above the optimum large boxes do; near by small ones are needed.

    Examples
    --------
    >>> fit = lmm("score ~ Machine", load_data("Machines"), ["Worker", ["Worker", "Machine"]])
    >>> ax = plots.proof(fit.prove(keep=True))                         # doctest: +SKIP
    """
    if not isinstance(found, Proof):
        kind = type(found).__name__
        raise LMMError(f"found is of type {kind}; it is what fit.prove(keep=True) returns")
    if not len(found.cells):
        raise LMMError("it has no cells; these are kept by fit.prove(keep=True), if it is a proof")
    problem = BoundProblem(found.fit.setup)
    covariance = found.fit.setup.covariance
    if not covariance.elementwise or problem.chart.s != 2:
        raise LMMError("a picture is there for two independent effects alone")

    # -- the scale: log(1 + variance times its unit)
    units = problem.chart.units
    low, up = (np.log1p(part * units) for part in problem.chart.ends(found.cells))
    optimum = np.log1p(np.exp(2 * (found.fit.theta[1:] - found.fit.theta[0])) * units)
    edge = float(max(6.0, 1.5 * optimum.max()))
    up = np.minimum(up, edge)

    ax = new_axes(ax)
    from matplotlib.collections import PatchCollection
    from matplotlib.patches import Rectangle
    inside = (low < edge).all(axis=1)
    patches = [Rectangle(a, *(b - a)) for a, b in zip(low[inside], up[inside])]
    boxes = PatchCollection(patches, facecolor="none", edgecolor="0.6", linewidth=0.5)
    ax.add_collection(boxes)

    # -- the criterion
    line = np.linspace(0, edge, GRID)
    across, along = np.meshgrid(line, line)
    points = np.expm1(np.column_stack([across.ravel(), along.ravel()])) / units
    above = (criterion_at(problem, points) - found.fit.nll).reshape(across.shape)
    contours = ax.contour(across, along, above, LEVELS, cmap="viridis", linewidths=1)
    ax.clabel(contours, fontsize="x-small")
    ax.plot(*optimum, "*", color="C3", markersize=10, label="the optimum")

    names = [as_text(block.name) for block in found.fit.setup.design.blocks]
    for axis, name, unit in zip((ax.xaxis, ax.yaxis), names, units):
        places = np.log1p(np.array(TICKS) ** 2 * unit)
        shown = (places <= edge) & (np.diff(places, append=np.inf) > APART)
        axis.set_ticks(places[shown], [f"{tick:g}" for tick in np.array(TICKS)[shown]])
        axis.set_label_text(f"sd of {name} / sigma")
    ax.set_xlim(0, edge)
    ax.set_ylim(0, edge)
    ax.legend()
    return ax
