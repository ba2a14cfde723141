"""Pictures of what the model assumes: residuals without a pattern, and normal values."""

import numpy as np
from scipy.special import ndtri

from ..errors import LMMError, shorten
from ..result import column_starts, modes_of
from .canvas import QUIET, as_text, level_axes, new_axes
from .choices import check_fit
from .smooth import smooth_line

LARGEST = 3          # levels that have a name where there is no room for all


def residuals(fit, ax=None):
    """The residuals, in units of sigma, against the fitted values.

    Parameters
    ----------
    fit : LMMResult
        Any fit.
    ax : matplotlib Axes, optional
        Where to draw; by default on a new figure.

    Returns
    -------
    matplotlib Axes
        A point for each row used: `fit.fittedvalues`, in the units of y, and `fit.resid_scaled`;
        and a smooth line, which should be flat.

    Raises
    ------
    LMMError
        If `fit` is no fit, or matplotlib is not installed.

    Examples
    --------
    >>> fit = lmm("score ~ Machine", load_data("Machines"), ["Worker"])
    >>> ax = plots.residuals(fit)                                      # doctest: +SKIP
    """
    check_fit(fit)
    fitted = fit.fittedvalues.to_numpy()
    scaled = fit.resid_scaled.to_numpy()

    ax = new_axes(ax)
    ax.axhline(0, **QUIET)
    ax.plot(fitted, scaled, ".", color="C0")
    ax.plot(*smooth_line(fitted, scaled), color="C1")
    ax.set_xlabel(f"fitted {as_text(fit.setup.design.response)}")
    ax.set_ylabel("scaled residual")
    return ax


def quantiles(fit, of="residuals", ax=None):
    """A normal quantile plot: the points lie near a line if the values are normal.

    Parameters
    ----------
    fit : LMMResult
        Any fit.
    of : str, optional
        ``"residuals"``, in units of sigma, or the name of a block, as in ``fit.sd``, for its
        conditional modes.
    ax : matplotlib Axes, optional
        Where to draw; by default on a new figure.

    Returns
    -------
    matplotlib Axes
        A point for each value, and the line through the quartiles.

    Raises
    ------
    LMMError
        If `of` is none of these names, or matplotlib is not installed.

    Notes
    -----
    The i-th smallest of m values stands at the normal quantile of (i - 0.5) / m.

    Examples
    --------
    >>> fit = lmm("score ~ Machine", load_data("Machines"), ["Worker"])
    >>> ax = plots.quantiles(fit, "Worker")                            # doctest: +SKIP
    """
    check_fit(fit)
    values, label = _values(fit, of)
    m = len(values)
    z = ndtri((np.arange(m) + 0.5) / m)
    low, high = np.quantile(values, [0.25, 0.75])
    ends = z[[0, -1]]
    slope = (high - low) / 2 / ndtri(0.75)
    line = (low + high) / 2 + slope * ends

    ax = new_axes(ax)
    ax.plot(ends, line, **QUIET)
    ax.plot(z, np.sort(values), ".", color="C0")
    ax.set_xlabel("standard normal quantile")
    ax.set_ylabel(label)
    return ax


def influence(fit, by=None, ax=None):
    """Cook's distance of each level of a grouping: how far the fit moves without it.

    Parameters
    ----------
    fit : LMMResult
        Any fit of a formula.
    by : str, optional
        As in `fit.influence`.
    ax : matplotlib Axes, optional
        Where to draw; by default on a new figure.

    Returns
    -------
    matplotlib Axes
        A line for each level, the largest above; levels without which there is no fit are left out.

    Raises
    ------
    LMMError
        As `fit.influence`, or if matplotlib is not installed.

    Examples
    --------
    >>> fit = lmer("Reaction ~ Days + (Days | Subject)", load_data("sleepstudy"))
    >>> ax = plots.influence(fit)                                      # doctest: +SKIP
    """
    check_fit(fit)
    found = fit.influence(by)["cooks_distance"].dropna().sort_values()
    ax = level_axes(ax, list(found.index), found.index.name)
    places = np.arange(len(found))
    ax.hlines(places, 0, found.to_numpy(), **QUIET)
    ax.plot(found.to_numpy(), places, "o", color="C0")
    if len(ax.get_yticks()) == 0:
        for place in places[-LARGEST:]:
            at = found.iloc[place], place
            name = as_text(found.index[place])
            ax.annotate(name, at, (5, -3), textcoords="offset points", va="top", fontsize="small")
        ax.margins(x=0.2)
    ax.set_xlim(left=0)
    ax.set_xlabel("Cook's distance without the level")
    return ax


def _values(fit, of):
    """The scaled residuals, or the conditional modes of the block `of`; and their label."""
    names = list(fit.sd.index)
    if of not in ("residuals", *names):
        raise LMMError(f"of is {of!r}; it is one of {shorten(['residuals', *names])}")
    if of == "residuals":
        return fit.resid_scaled.to_numpy(), "scaled residual"
    j = names.index(of)
    starts = column_starts(fit.setup.design.blocks)
    modes = modes_of(fit).b[starts[j] : starts[j + 1]]
    return modes, f"{as_text(of)}: conditional mode"
