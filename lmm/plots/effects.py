"""Pictures of several random effects of a level: against each other, and against least squares within the level."""

import numpy as np
import pandas as pd

from ..errors import LMMError, shorten
from ..model import codes_of
from ..result import fixed_names, modes_by_group, modes_of, offsets
from .canvas import DASHED, QUIET, as_text, block_of, check_fit, level_axes, new_axes

COLLINEAR = 1e-10       # smallest singular value, relative to the largest, of columns that determine their coefficients


def pairs(fit, group=None, x=None, y=None, ax=None):
    """The conditional modes of two random effects of a grouping, one against the other: a point for each level.

    Crosses are -+ one conditional standard deviation. Points on a line are a correlation of -+1, a singular covariance.

    Parameters
    ----------
    fit : LMMResult
    group : str, optional
        A grouping, such as ``"Subject"``; by default the first that has two effects.
    x, y : str, optional
        Its effects, as in ``fit.ranef()[group]``; by default the first two.
    ax : Axes, optional

    Returns
    -------
    Axes
    """
    check_fit(fit)
    found = modes_by_group(fit, cond_sd=True)
    effects = {name: [effect for effect in table.columns if f"{effect}_sd" in table] for name, table in found.items() if name}
    group = group or next((name for name, several in effects.items() if len(several) > 1), None)
    if group not in effects and group is not None:
        raise LMMError(f"there is no group {group!r}; group is one of {shorten(effects)}")
    if group is None or len(effects[group]) < 2:
        raise LMMError(f"no grouping has two random effects to draw; there are {shorten(effects)}")
    others = [effect for effect in effects[group] if effect not in (x, y)]
    x, y = x or others.pop(0), y or others.pop(0)
    if not {x, y} <= set(effects[group]) or x == y:
        raise LMMError(f"x and y are {x!r} and {y!r}; they are two of {shorten(effects[group])}")
    ax, table = new_axes(ax), found[group]
    ax.axhline(0, **QUIET)
    ax.axvline(0, **QUIET)
    ax.errorbar(table[x], table[y], xerr=table[f"{x}_sd"], yerr=table[f"{y}_sd"],
                fmt="o", ms=4, lw=0.6, color="C0", ecolor="0.7")
    ax.set(xlabel=as_text(x), ylabel=as_text(y), title=f"conditional modes by {as_text(group)}, -+1 sd")
    return ax


def shrinkage(fit, group=None, ax=None):
    """Coefficients by least squares within each group, and how far the mixed model, ``fit.coef()``, pulls them from there.

    Two random effects are drawn one against the other (the first two, if there are more), a single one level by level, in
    the order of the estimates within the groups.

    Parameters
    ----------
    fit : LMMResult
    group : str, optional
        A grouping, such as ``"Subject"``; by default the first block's.
    ax : Axes, optional

    Returns
    -------
    Axes

    Notes
    -----
    Within a group: least squares, on the columns of its own random effects, of what the rest of the model leaves of y. The
    rest is X beta without the fixed effects of the same names, and the conditional modes of the other groupings, but for
    those nested in this one: Worker:Machine is part of what varies within a Worker. Where none is nested, the modes are
    the ridge regression of the same, with penalties sigma^2 / sd^2. Levels whose rows do not determine the coefficients
    are left out; it is an `LMMError` if none is left.
    """
    check_fit(fit)
    group = block_of(fit, group).group
    within = _within(fit, group)
    effects = list(within.columns)
    if within.empty:
        raise LMMError(f"no level of {group!r} has enough rows for the least squares of {shorten(effects)}")
    if len(effects) == 1:
        within = within.sort_values(effects, kind="stable")
    names = fixed_names(fit, effects)
    population = [fit.params.get(names[effect], 0.0) for effect in effects]
    starts, ends = within.to_numpy(), fit.coef()[group].loc[within.index, [*names.values()]].to_numpy()
    if len(effects) == 1:
        ax = level_axes(ax, within.index, group)
        starts, ends = [np.column_stack([one, range(len(one))]) for one in (starts, ends)]
        ax.axvline(population[0], **DASHED, label="population")
    else:
        ax = new_axes(ax)
        ax.plot(*population[:2], "k+", ms=12, mew=2, label="population", zorder=3)
        ax.set_ylabel(as_text(effects[1]))
    ax.set_xlabel(as_text(effects[0]))
    starts, ends = starts.T[:2], ends.T[:2]
    ax.quiver(*starts, *(ends - starts), angles="xy", scale_units="xy", scale=1, color="grey", width=0.003, zorder=1.5)
    ax.plot(*starts, "o", color="C0", mfc="none", ms=5, label="within group")
    ax.plot(*ends, "o", color="C1", ms=4, label="mixed model")
    ax.legend()
    return ax


def _within(fit, group):
    """The within-group estimates of `shrinkage`: a DataFrame, levels by effects."""
    design, b, at = fit.setup.design, modes_of(fit).b, offsets(fit.setup.design.blocks)
    own = [block for block in design.blocks if block.group == group]
    level = pd.Series(codes_of(own))
    rest = design.X @ fit.beta
    for block, i, j in zip(design.blocks, at, at[1:]):
        if block.group != group and level.groupby(block.codes).nunique().max() > 1:       # not nested
            rest = rest + block.matrix @ b[i:j]
    Z = np.column_stack([np.asarray(block.matrix.sum(axis=1)).ravel() for block in own])
    names = fixed_names(fit, [block.effect for block in own])
    fixed = np.array([fit.params.get(name, 0.0) for name in names.values()])
    found = {}
    for code, rows in level.groupby(level).indices.items():
        lengths = np.linalg.norm(Z[rows], axis=0)
        if lengths.all():
            gamma, _, rank, _ = np.linalg.lstsq(Z[rows] / lengths, (design.y - rest)[rows], rcond=COLLINEAR)
            if rank == len(own):
                found[own[0].levels[code]] = fixed + gamma / lengths        # as from y - rest + Z fixed
    return pd.DataFrame.from_dict(found, orient="index", columns=[block.effect for block in own])
