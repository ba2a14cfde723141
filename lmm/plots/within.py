"""The picture of shrinkage: least squares within each level, and where the mixed model pulls it."""

import numpy as np
import pandas as pd

from ..errors import LMMError, shorten
from ..model import codes_of
from ..result import column_starts, fixed_names, modes_of
from .canvas import DASHED, as_text, legend_above, level_axes, new_axes
from .choices import block_of, check_fit

# The smallest singular value, relative to the largest, of columns, each of length 1, that determine
# their coefficients.
DETERMINED = 1e-10

POPULATION = {
    "label": "population",
    "ms": 12,
    "mew": 2,
    "zorder": 3,
}
LEAST_SQUARES = {
    "label": "within group",
    "color": "C0",
    "mfc": "none",
    "ms": 5,
}
MIXED_MODEL = {
    "label": "mixed model",
    "color": "C1",
    "ms": 4,
}


def shrinkage(fit, group=None, ax=None):
    """Coefficients by least squares within each level, and how far the mixed model pulls them.

    Two random effects are drawn one against the other (the first two, if there are more), a single
    one level by level, in the order of the estimates within the levels.

    Parameters
    ----------
    fit : LMMResult
        A fit with random effects.
    group : str, optional
        A grouping, such as ``"Subject"``; by default the first block's.
    ax : matplotlib Axes, optional
        Where to draw; by default on a new figure.

    Returns
    -------
    matplotlib Axes
        An arrow for each level, from its least squares to its row of ``fit.coef()``, in the units
        of the coefficients; and the fixed effects, called population.

    Raises
    ------
    LMMError
        If there is no such grouping, no level whose rows determine its coefficients, or matplotlib
        is not installed.

    Notes
    -----
    Within a level: least squares, on the columns of its own random effects, of what the other parts
    of the model leave of y. These are X beta without the fixed effects of the same names, and the
    conditional modes of the other groupings, but for those nested in this one: Worker:Machine is
    part of what varies within a Worker. Where none is nested, the modes are the ridge regression of
    the same, with penalties sigma^2 / sd^2. Levels whose rows do not determine the coefficients are
    left out.

    Examples
    --------
    >>> fit = lmer("Reaction ~ Days + (Days | Subject)", load_data("sleepstudy"))
    >>> ax = plots.shrinkage(fit)                                      # doctest: +SKIP
    """
    check_fit(fit)
    group = block_of(fit, group).group
    within = _within(fit, group)
    effects = list(within.columns)
    if within.empty:
        raise LMMError(
            f"no level of {group!r} has enough rows for the least squares of {shorten(effects)}"
        )
    if len(effects) == 1:
        within = within.sort_values(effects, kind="stable")
    population = _fixed_parts(fit, effects)
    names = list(fixed_names(fit, effects).values())
    mixed = fit.coef()[group].iloc[within.index][names]

    if len(effects) == 1:
        levels = block_of(fit, group).levels
        ax = level_axes(ax, [levels[code] for code in within.index], group)
        ax.axvline(population[0], **DASHED, label="population")
        starts = _one_above_the_other(within)
        ends = _one_above_the_other(mixed)
    else:
        ax = new_axes(ax)
        ax.plot(*population[:2], "k+", **POPULATION)
        ax.set_ylabel(as_text(effects[1]))
        starts = within.to_numpy().T[:2]
        ends = mixed.to_numpy().T[:2]
    ax.set_xlabel(as_text(effects[0]))
    _draw_arrows(ax, starts, ends)
    legend_above(ax)
    return ax


def _draw_arrows(ax, starts, ends):
    """Arrows between points, (2, number of them) each, and the points."""
    ax.quiver(
        *starts,
        *(ends - starts),
        angles="xy",
        scale_units="xy",
        scale=1,
        color="grey",
        width=0.003,
        zorder=1.5,
    )
    ax.plot(*starts, "o", **LEAST_SQUARES)
    ax.plot(*ends, "o", **MIXED_MODEL)


def _one_above_the_other(values):
    """The points of one column of numbers, (2, m), from below."""
    return np.array([values.iloc[:, 0], range(len(values))])


def _within(fit, grouping):
    """The coefficients by least squares of `shrinkage`: by numbers of levels, and by effects."""
    design = fit.setup.design
    blocks = [block for block in design.blocks if block.group == grouping]
    effects = [block.effect for block in blocks]
    level_of_row = pd.Series(codes_of(blocks))

    # -- what the other parts of the model leave: y - offset - X beta - sum of Z_j b_j, weighted
    left = design.y - design.offset - _of_other_parts(fit, grouping, level_of_row)
    left = design.weighted(left)

    # -- the values of the effects, (n, c): in each row of Z_j one level has an entry
    values = [np.asarray(block.matrix.sum(axis=1)).ravel() for block in blocks]
    Z = design.weighted(np.column_stack(values))

    # -- in each level, min |left - Z gamma|; y - X beta + Z fixed would have fixed + gamma
    fixed = np.array(_fixed_parts(fit, effects))
    found = {}
    rows_of_level = level_of_row.groupby(level_of_row).indices
    for code, rows in rows_of_level.items():
        gamma = _least_squares(Z[rows], left[rows])
        if gamma is not None:
            found[code] = fixed + gamma
    return pd.DataFrame.from_dict(found, orient="index", columns=effects)


def _fixed_parts(fit, effects):
    """The fixed effects that these random ones vary around, a list; 0 where there is none."""
    names = fixed_names(fit, effects)
    return [fit.params.get(names[effect], 0.0) for effect in effects]


def _of_other_parts(fit, grouping, level_of_row):
    """X beta, and Z_j b_j of the other groupings but for those nested in this one: (n,)."""
    design = fit.setup.design
    b = modes_of(fit).b
    starts = column_starts(design.blocks)
    total = design.X @ fit.beta
    for block, start, stop in zip(design.blocks, starts, starts[1:]):
        if block.group == grouping:
            continue
        levels_met = level_of_row.groupby(block.codes).nunique()
        if levels_met.max() > 1:
            total = total + block.matrix @ b[start:stop]
    return total


def _least_squares(Z, y):
    """The gamma, (c,), with the least |y - Z gamma|, or None where Z, (m, c), does not say one."""
    norms = np.linalg.norm(Z, axis=0)
    if not norms.all():
        return None
    gamma, _, rank, _ = np.linalg.lstsq(Z / norms, y, rcond=DETERMINED)
    if rank < Z.shape[1]:
        return None
    return gamma / norms
