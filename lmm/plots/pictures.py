"""Pictures of a fit, those of Bates's slides on lme4 and a few more: ``from lmm import plots; plots.caterpillar(fit)``.

Each function draws on the Axes it is given, `ax`, or on a new figure, and returns the Axes; nothing is shown, and no setting
of matplotlib is changed. matplotlib is an optional extra, imported when a figure is made. A name that the fit does not have
is an `LMMError` that lists those it has.
"""

import numpy as np
import pandas as pd
from scipy.special import ndtri

from ..errors import LMMError, shorten
from ..result import check_level, modes_of, offsets
from .canvas import DASHED, QUIET, as_text, block_of, check_fit, level_axes, new_axes
from .effects import pairs, shrinkage
from .likelihood import profiles, surface

__all__ = ["caterpillar", "pairs", "panels", "profiles", "quantiles", "residuals", "shrinkage", "surface"]

MOST_PANELS = 200
MOST_LETTERS = 14       # of the labels below a panel, beyond which they are turned


def panels(fit, x=None, group=None, ax=None):
    """The data and the fitted lines, a panel for each level of a grouping, in the order of the mean fitted value.

    The fitted line (with the random effects) and the population's (without) join means over the rows with the same x; where
    something that is not shown varies along x, another variable or another grouping, they are points instead. A model
    without predictors gets one picture: the levels in the order of their mean response, on the vertical axis, their means
    joined by a line, the fitted values marked.

    Parameters
    ----------
    fit : LMMResult
    x : str, optional
        A variable of the model; by default its first numeric one, or else its first factor.
    group : str, optional
        A grouping, such as ``"Subject"``; by default the first block's.
    ax : array of Axes, shape (rows, columns), optional
        One for each level at least, better with shared axes; the others are hidden.

    Returns
    -------
    array of Axes
        Also where it is one.
    """
    check_fit(fit)
    design, block = fit.setup.design, block_of(fit, group)
    frame = pd.DataFrame({"level": block.codes, "y": design.y, "fitted": fit.fittedvalues.to_numpy(),
                          "population": fit.predict(random=False).to_numpy()})
    variables = dict.fromkeys([*design.formula.predictors, *(name for one in design.blocks for name in one.predictors)])
    if x is not None and x not in variables:
        raise LMMError(f"x is {x!r}, which is not a variable of the model; it has {shorten(variables) or 'none'}")
    if not variables:
        return _dots(frame, design.response, block, ax)
    factors = {name for name in variables if isinstance(design.data[name].dtype, pd.CategoricalDtype)}
    x = x or min(variables, key=factors.__contains__)
    column = design.data[x]
    frame["x"] = column.cat.codes if x in factors else column
    order = frame.groupby("level")["fitted"].mean().sort_values(kind="stable").index
    axes = _panels(len(order), ax)
    grid = np.atleast_2d(axes)
    levels = dict(list(frame.groupby("level")))
    others = [one.codes for one in design.blocks if one.factors and one.group != block.group]
    several = any(pd.Series(codes).groupby(frame["level"]).nunique().max() > 1 for codes in others)
    points = {"ls": "", "marker": ".", "ms": 4}
    population = points if set(variables) - {x} else {}
    fitted = points if population or (several and x not in factors) else {}
    for panel, level in zip(grid.flat, order):
        means = levels[level].groupby("x").mean()
        marker = {"marker": "_", "ms": 14} if len(means) == 1 else {}
        panel.plot(means.index, means["population"], **DASHED | marker | population, label="population")
        panel.plot(levels[level]["x"], levels[level]["y"], "o", color="C0", ms=3, label="data")
        panel.plot(means.index, means["fitted"], **{"color": "C1"} | marker | fitted, label="fitted")
        panel.set_title(as_text(block.levels[level]), fontsize="small")
        if x in factors:
            names = [as_text(name) for name in column.cat.categories]
            panel.set_xticks(range(len(names)), names, rotation=90 if sum(map(len, names)) > MOST_LETTERS else 0)
            panel.set_xlim(-0.5, len(names) - 0.5)
    used = np.arange(grid.size).reshape(grid.shape) < len(order)
    below = np.vstack([used[1:], np.zeros_like(used[:1])])              # whether there is a panel below
    for place, panel in np.ndenumerate(grid):
        panel.set_visible(bool(used[place]))
        if used[place] and not below[place]:
            panel.set_xlabel(as_text(x))
            panel.tick_params(labelbottom=True)
        if place[1] == 0:
            panel.set_ylabel(as_text(design.response))
    handles = grid[0, 0].lines[-3:]
    if ax is None:
        grid[0, 0].figure.legend(handles=handles, loc="outside upper center", ncols=3, frameon=False,
                                 title=f"by {as_text(block.group)}")
    else:
        grid[0, 0].legend(handles=handles, fontsize="x-small")
    return axes


def _panels(m, ax):
    """An array of at least m Axes."""
    if ax is not None:
        if np.size(ax) < m:
            raise LMMError(f"ax has {np.size(ax)} Axes; there are {m} levels, and each takes one")
        return np.atleast_1d(ax)
    if m > MOST_PANELS:
        raise LMMError(f"the grouping has {m} levels, and a figure at most {MOST_PANELS} panels; give another group")
    side = np.sqrt(m)
    columns = min(range(int(np.ceil(side)), int(np.ceil(2 * side)) + 1), key=lambda c: -m % c)      # fewest left over
    rows = -(-m // columns)
    return new_axes(None, rows, columns, sharex=True, sharey=True, squeeze=False, figsize=(1.5 * columns + 1, 1.5 * rows + 1))


def _dots(frame, response, block, ax):
    """The picture without predictors."""
    means = frame.groupby("level").mean().sort_values("y", kind="stable")
    one = level_axes(ax if ax is None else np.ravel(ax)[0], [block.levels[level] for level in means.index], block.group)
    one.axvline(means["population"].iloc[0], **DASHED, label="population")
    one.plot(frame["y"], np.argsort(means.index)[frame["level"]], "o", color="C0", mfc="none", label="data")
    one.plot(means["y"], range(len(means)), color="C0", lw=1, label="mean")
    one.plot(means["fitted"], range(len(means)), "D", color="C1", ms=5, label="fitted")
    one.set_xlabel(as_text(response))
    one.legend()
    return np.atleast_1d(one)


def caterpillar(fit, group=None, name=None, level=0.95, ax=None):
    """The conditional modes of one block with prediction intervals, from the smallest to the largest.

    An interval is the mode -+ the normal quantile times the conditional standard deviation, beta and theta taken as known.

    Parameters
    ----------
    fit : LMMResult
    group, name : str, optional
        Of the block, as in ``fit.ranef(tidy=True)``: ``"Subject"``, ``"Days"``. By default the first block that fits.
    level : float, optional
        Of the intervals, between 0 and 1.
    ax : Axes, optional

    Returns
    -------
    Axes
    """
    check_fit(fit)
    check_level(level)
    block, frame = block_of(fit, group, name), fit.ranef(tidy=True)
    frame = frame[(frame["group"] == block.group) & (frame["name"] == block.effect)].sort_values("estimate", kind="stable")
    ax = level_axes(ax, frame["level"], block.group)
    ax.axvline(0, **QUIET)
    half = ndtri(0.5 + level / 2) * frame["sd"]
    ax.errorbar(frame["estimate"], range(len(frame)), xerr=half, fmt="o", ms=4, lw=1, color="C0")
    ax.set_xlabel(f"{as_text(block.effect)}: conditional modes, {100 * level:g}% prediction intervals")
    return ax


def residuals(fit, ax=None):
    """The residuals, in units of sigma, against the fitted values.

    Parameters
    ----------
    fit : LMMResult
    ax : Axes, optional

    Returns
    -------
    Axes
    """
    check_fit(fit)
    ax = new_axes(ax)
    ax.axhline(0, **QUIET)
    ax.plot(fit.fittedvalues.to_numpy(), fit.resid_scaled.to_numpy(), ".", color="C0")
    ax.set(xlabel=f"fitted {as_text(fit.setup.design.response)}", ylabel="scaled residual")
    return ax


def quantiles(fit, of="residuals", ax=None):
    """A normal quantile plot: the points lie near a line if the values are normal.

    The i-th smallest of n values stands at the normal quantile of (i - 0.5) / n; the line goes through the quartiles.

    Parameters
    ----------
    fit : LMMResult
    of : str, optional
        ``"residuals"``, in units of sigma, or the name of a block, as in ``fit.sd``, for its conditional modes.
    ax : Axes, optional

    Returns
    -------
    Axes
    """
    check_fit(fit)
    names = list(fit.sd.index)
    if of not in ("residuals", *names):
        raise LMMError(f"of is {of!r}; it is one of {shorten(['residuals', *names])}")
    if of == "residuals":
        values, label = fit.resid_scaled.to_numpy(), "scaled residual"
    else:
        at = offsets(fit.setup.design.blocks)[names.index(of):]
        values, label = modes_of(fit).b[at[0]:at[1]], f"{as_text(of)}: conditional mode"
    z = ndtri((np.arange(len(values)) + 0.5) / len(values))
    low, high = np.quantile(values, [0.25, 0.75])
    ax = new_axes(ax)
    ax.plot(z[[0, -1]], (low + high) / 2 + (high - low) / 2 * z[[0, -1]] / ndtri(0.75), **QUIET)
    ax.plot(z, np.sort(values), ".", color="C0")
    ax.set(xlabel="standard normal quantile", ylabel=label)
    return ax
