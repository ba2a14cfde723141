"""The picture of the likelihood: its surface over two elements of theta, and the way of a fit."""

from itertools import pairwise

import numpy as np
from scipy.spatial.distance import cdist

from ..errors import LMMError
from ..practical import LMMprof
from .canvas import as_text, legend_above, new_axes
from .choices import check_fit, two_of

GRID_POINTS = 40        # along each side of a likelihood surface
FLAT_BELOW = 4.0        # log units below sigma's scale, where a standard deviation counts as zero
MARGIN = 0.2            # around what the surface shows, log units, ...
MARGIN_SHARE = 0.05     # ... or where the scale is not logarithmic, of the whole
LABEL_MARGIN = 0.05     # of the Axes, nearer to whose frame no label stands
CONTOURS = np.outer(10.0 ** np.arange(9), [1, 2, 5]).ravel()

PATHS = {
    "simplex": {
        "label": "Nelder-Mead",
        "color": "C0",
        "marker": ".",
        "ms": 4,
        "lw": 0.6,
    },
    "newton": {             # rings, for its steps may all be where the optimum is marked
        "label": "Newton",
        "color": "C1",
        "marker": "o",
        "ms": 13,
        "mfc": "none",
        "mew": 1.5,
        "lw": 1.5,
        "zorder": 2.5,
    },
}
START = {
    "color": "C0",
    "ms": 5,
    "label": "start",
}
OPTIMUM = {
    "ms": 7,
    "mew": 2,
    "clip_on": False,
    "zorder": 3,
}
CONTOUR_COLOR = "0.6"
CONTOUR_WIDTH = 0.8


def surface(fit, first=None, second=None, ax=None):
    """The likelihood over two elements of theta, and the way the fit took to its optimum.

    Contours of twice the drop of the log-likelihood (or of REML's criterion), the other elements of
    theta being at their estimates; and each evaluation by Nelder-Mead and by Newton's iteration,
    where the others were elsewhere. Where the estimate is a standard deviation of zero, -inf on
    this scale, the picture ends where the surface has become flat.

    Parameters
    ----------
    fit : LMMResult
        A fit with random effects.
    first, second : str, optional
        Elements of theta, as in ``fit.setup.labels``: ``"sigma"`` or a block. By default the first
        two blocks, or sigma and the only one.
    ax : matplotlib Axes, optional
        Where to draw; by default on a new figure.

    Returns
    -------
    matplotlib Axes
        `first` is horizontal and `second` vertical, as in theta: log standard deviations, of units
        of y (or elements of T below its diagonal, which are no logs).

    Raises
    ------
    LMMError
        If there are no two such elements, or matplotlib is not installed.

    Notes
    -----
    Costs 1600 evaluations of the likelihood.

    Examples
    --------
    >>> fit = lmm("score ~ Machine", load_data("Machines"), ["Worker"])
    >>> ax = plots.surface(fit, "sigma", "Worker")                     # doctest: +SKIP
    """
    check_fit(fit)
    setup = fit.setup
    labels = list(setup.labels)
    if len(labels) == 1:
        raise LMMError(
            "the fit has no random effects, so theta is log sigma alone and has no surface; "
            "name a block in ref"
        )
    usual = labels[1:3] if len(labels) > 2 else labels
    first, second = two_of(labels, usual, "first and second", first, second)
    chosen = [labels.index(first), labels.index(second)]
    axes = [setup.log_labels[i] for i in chosen]

    # -- where: the estimate, the start, the ways from one to the other, and a window around them
    edge = _edge(fit)[chosen]
    estimate = fit.theta[chosen]
    best = np.maximum(estimate, edge)
    trace = fit.trace
    tried = np.maximum(trace[axes].to_numpy(), edge)
    paths = {phase: tried[trace["phase"] == phase] for phase in PATHS}
    shown = np.vstack([tried[:1], *paths.values()])
    x, y = _window(fit, chosen, best, edge, shown)

    # -- how much: 2 (nll(theta) - nll(estimate)) over the window
    drop = _drop(fit, chosen, x, y)

    # -- the picture
    ax = new_axes(ax)
    contours = _draw_contours(ax, x, y, drop)
    for phase, path in paths.items():
        if len(path):
            ax.plot(*path.T, **PATHS[phase])
    if len(tried):
        ax.plot(*tried[0], "s", **START)
    at_edge = "" if np.isfinite(estimate).all() else " (sd 0, at the edge)"
    ax.plot(*best, "kx", **OPTIMUM, label=f"optimum{at_edge}")
    criterion = "REML criterion" if fit.reml else "-2 log-likelihood"
    ax.plot(
        [],
        [],
        color=CONTOUR_COLOR,
        lw=CONTOUR_WIDTH,
        label=f"{criterion} above its least",
    )
    _label_contours(ax, contours, [*paths.values(), best[None]])
    ax.set_xlabel(as_text(axes[0]))
    ax.set_ylabel(as_text(axes[1]))
    legend_above(ax)
    return ax


def _edge(fit):
    """(1 + q,): where the surface is flat in a log sd, and in any case below a positive estimate.

    -inf for elements of theta for which it is nowhere flat: log sigma, T below its diagonal.
    """
    log_sds = fit.setup.covariance.directions
    edge = np.full(fit.theta.shape, -np.inf)
    edge[log_sds] = _usual(fit)[log_sds] - FLAT_BELOW
    positive = np.isfinite(fit.theta)
    edge[positive] = np.minimum(edge, fit.theta - 1)[positive]
    return edge


def _usual(fit):
    """The theta whose blocks each add sigma^2 to an average level's whole."""
    setup = fit.setup
    variances = np.exp(2 * (fit.theta[0] + setup.units))
    return setup.covariance.theta(fit.theta[0], np.diag(variances))


def _window(fit, chosen, best, edge, tried):
    """The grid, (2, GRID_POINTS): what was tried, and three standard errors around the estimate.

    Where there is no standard error: five log units; for an element of T below its diagonal the
    standard deviation with which its effect adds sigma^2 to an average level's whole.
    """
    covariance = fit.setup.covariance
    scale = covariance.simplex_units(_usual(fit))[chosen]
    on_log = covariance.logs[chosen]
    errors = np.sqrt(np.diag(fit.cov_theta()))
    reach = 3 * errors[chosen]
    reach_of_logs = np.fmin(reach, FLAT_BELOW + 1)          # nan where the sd is zero
    reach_of_others = np.where(np.isnan(reach), scale, reach)
    reach = np.where(on_log, reach_of_logs, reach_of_others)
    within = np.vstack([tried, best - reach, best + reach])
    low = within.min(axis=0)
    high = within.max(axis=0)
    margin = np.where(on_log, MARGIN, MARGIN_SHARE * (high - low))
    low = np.maximum(low - margin, edge)
    high = high + margin
    return np.linspace(low, high, GRID_POINTS).T


def _drop(fit, chosen, x, y):
    """2 (nll(theta) - nll(estimate)) by rows y and columns x, the values of the chosen elements."""
    theta = fit.theta.copy()
    drop = np.empty((len(y), len(x)))
    for i, j in np.ndindex(drop.shape):
        theta[chosen] = x[j], y[i]
        nll = LMMprof(theta, fit.setup)
        drop[i, j] = 2 * (nll - fit.nll)
    return drop


def _draw_contours(ax, x, y, drop):
    """Contours of the drop at 1, 2, 5, 10, ..."""
    highest = drop[np.isfinite(drop)].max()
    levels = [level for level in CONTOURS if level < highest]
    return ax.contour(
        x,
        y,
        drop,
        levels or [highest / 2],
        colors=CONTOUR_COLOR,
        linewidths=CONTOUR_WIDTH,
    )


def _label_contours(ax, contours, paths):
    """The value of each contour, where it is farthest from the paths and the values before it.

    Near the frame, where a label would be cut, there is none. Distances are shares of the Axes.
    """
    low, high = np.array([ax.get_xlim(), ax.get_ylim()]).T
    size = high - low
    occupied = [_along(path) / size for path in paths]
    places = []
    for lines in contours.allsegs:              # those of one level, none if it is off the grid
        points = np.vstack([np.empty((0, 2)), *lines])
        from_frame = np.minimum(points - low, high - points) / size
        inside = from_frame.min(axis=1) > LABEL_MARGIN
        if not inside.any():
            continue
        candidates = points[inside] / size
        distances = cdist(candidates, np.vstack(occupied)).min(axis=1)
        place = candidates[np.argmax(distances)]
        occupied.append(place[None])
        places.append(place * size)
    ax.clabel(
        contours,
        fontsize="small",
        fmt="%g",
        colors="0.4",
        manual=places,
    )


def _along(path):
    """Points along a path, (m, 2), and between them."""
    ways = [np.linspace(start, end, 20) for start, end in pairwise(path)]
    return np.vstack([path, *ways])
