"""The picture of the likelihood: its surface over two elements of theta, and the way of a fit."""

import numpy as np

from ..errors import LMMError
from ..fitting import units
from ..practical import LMMprof
from .canvas import as_text, new_axes
from .choices import check_fit, two_of

GRID_POINTS = 40        # along each side of a likelihood surface
FLAT_BELOW = 4.0        # log units below sigma's scale, where a standard deviation counts as zero
MARGIN = 0.2            # around what the surface shows, log units
CONTOURS = np.outer(10.0 ** np.arange(9), [1, 2, 5]).ravel()

PATHS = {
    "simplex": {"label": "Nelder-Mead", "color": "C0"},
    "newton": {"label": "Newton", "color": "C1"},
}
CONTOUR = {"color": "0.6", "lw": 0.8}
OPTIMUM = {
    "ms": 9,
    "mew": 2,
    "clip_on": False,
    "zorder": 3,
}


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

    # -- where: the estimate, the ways to it, and a window around them
    edge = _edge(fit)[chosen]
    estimate = fit.theta[chosen]
    best = np.maximum(estimate, edge)
    trace = fit.trace
    tried = np.maximum(trace[axes].to_numpy(), edge)
    shown = trace["phase"].isin(list(PATHS)).to_numpy()
    x, y = _window(fit, chosen, best, edge, tried[shown])

    # -- how much: 2 (nll(theta) - nll(estimate)) over the window
    drop = _drop(fit, chosen, x, y)

    # -- the picture
    ax = new_axes(ax)
    _draw_contours(ax, x, y, drop)
    for phase, style in PATHS.items():
        path = tried[trace["phase"] == phase]
        if len(path):
            ax.plot(*path.T, ".-", lw=0.6, ms=4, **style)
    if len(tried):
        ax.plot(*tried[0], "s", color="C0", ms=5, label="start")
    at_edge = "" if np.isfinite(estimate).all() else " (sd 0, at the edge)"
    ax.plot(*best, "kx", **OPTIMUM, label=f"optimum{at_edge}")
    criterion = "REML criterion" if fit.reml else "-2 log-likelihood"
    ax.plot([], [], **CONTOUR, label=f"{criterion} above its least")
    ax.set_xlabel(as_text(axes[0]))
    ax.set_ylabel(as_text(axes[1]))
    ax.legend(
        loc="lower center",
        bbox_to_anchor=(0.5, 1),
        ncols=3,
        frameon=False,
        fontsize="small",
    )
    return ax


def _edge(fit):
    """(1 + q,): where the surface is flat in a log sd, and in any case below a positive estimate.

    -inf for elements of theta for which it is nowhere flat: log sigma, T below its diagonal.
    """
    setup = fit.setup
    log_sds = setup.covariance.diagonal
    edge = np.full(fit.theta.shape, -np.inf)
    edge[log_sds] = fit.theta[0] + units(setup) - FLAT_BELOW
    positive = np.isfinite(fit.theta)
    edge[positive] = np.minimum(edge, fit.theta - 1)[positive]
    return edge


def _window(fit, chosen, best, edge, tried):
    """The grid, (2, GRID_POINTS): what was tried, and three standard errors around the estimate."""
    on_log = fit.setup.covariance.on_log[chosen]
    variances = np.diag(fit.cov_theta())[chosen]
    reach = 3 * np.sqrt(variances)
    reach_of_logs = np.fmin(reach, FLAT_BELOW + 1)          # nan where the sd is zero
    reach_of_others = np.nan_to_num(reach, nan=fit.sigma)
    reach = np.where(on_log, reach_of_logs, reach_of_others)
    within = np.vstack([tried, best - reach, best + reach])
    low = within.min(axis=0) - MARGIN
    high = within.max(axis=0) + MARGIN
    return np.linspace(np.maximum(low, edge), high, GRID_POINTS).T


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
    """Contours of the drop at 1, 2, 5, 10, ..., with their values."""
    highest = drop[np.isfinite(drop)].max()
    levels = [level for level in CONTOURS if level < highest] or [highest / 2]
    contours = ax.contour(x, y, drop, levels, colors="0.6", linewidths=0.8)
    ax.clabel(contours, fontsize="small", fmt="%g", colors="0.4")
