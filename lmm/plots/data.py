"""The picture of the data: with the fitted lines, a panel for each level, or levels row by row."""

import numpy as np
import pandas as pd

from ..errors import LMMError, shorten
from .canvas import DASHED, as_text, legend_above, level_axes, new_axes
from .choices import block_of, check_fit

MOST_PANELS = 200
MOST_LETTERS = 14       # of the labels below a panel, beyond which they are turned

POINTS = {"ls": "", "marker": ".", "ms": 4}
DASH = {"marker": "_", "ms": 14}
DATA = {"color": "C0", "ms": 3, "label": "data"}
FITTED = {"color": "C1"}


def panels(fit, x=None, group=None, ax=None):
    """The data and the fitted lines, a panel for each level, by the mean fitted value.

    The fitted line (with the random effects) and the population's (without) join means over the
    rows with the same x; where something that is not shown varies along x, another variable or
    another grouping, they are points instead. A model without predictors gets one picture: the
    levels in the order of their mean response, on the vertical axis, their means joined by a line,
    the fitted values marked.

    Parameters
    ----------
    fit : LMMResult
        A fit with random effects.
    x : str, optional
        A variable of the model; by default its first numeric one, or else its first factor.
    group : str, optional
        A grouping, such as ``"Subject"``; by default the first block's.
    ax : array of matplotlib Axes, shape (rows, columns), optional
        One for each level at least, better with shared axes; the others are hidden. By default
        those of a new figure. One for a model without predictors.

    Returns
    -------
    array of matplotlib Axes
        Also where it is one. Both axes are in the units of the data.

    Raises
    ------
    LMMError
        If there is no such variable or grouping, there are more than 200 levels, or more than Axes,
        or matplotlib is not installed.

    Examples
    --------
    >>> fit = lmer("Reaction ~ Days + (Days | Subject)", load_data("sleepstudy"))
    >>> axes = plots.panels(fit)                                       # doctest: +SKIP
    """
    check_fit(fit)
    design = fit.setup.design
    block = block_of(fit, group)
    is_factor = _variables(design)
    if x is not None and x not in is_factor:
        raise LMMError(
            f"x is {x!r}, which is not a variable of the model; "
            f"it has {shorten(is_factor) or 'none'}"
        )
    rows = pd.DataFrame({
        "level": block.codes,
        "y": design.y,
        "fitted": fit.fittedvalues.to_numpy(),
        "population": fit.predict(random=False).to_numpy(),
    })
    if not is_factor:
        return _draw_levels(rows, design.response, block, ax)
    x = x or min(is_factor, key=is_factor.get)
    values = design.data[x]
    rows["x"] = values.cat.codes if is_factor[x] else values
    by_level = rows.groupby("level")
    means = by_level["fitted"].mean()
    order = means.sort_values(kind="stable").index

    # -- a panel for each level
    axes = _grid_of(len(order), ax)
    grid = np.atleast_2d(axes)
    population, fitted = _styles(design, block, rows["level"], is_factor, x)
    for panel, level in zip(grid.flat, order):
        _draw_panel(panel, by_level.get_group(level), population, fitted)
        panel.set_title(as_text(block.levels[level]), fontsize="small")
        if is_factor[x]:
            _name_categories(panel, values.cat.categories)

    # -- what belongs to them together
    _hide_after(grid, len(order))
    _label_outside(grid, as_text(x), as_text(design.response))
    handles = grid[0, 0].lines[-3:]
    if ax is None:
        grid[0, 0].figure.legend(
            handles=handles,
            loc="outside upper center",
            ncols=3,
            frameon=False,
            title=f"by {as_text(block.group)}",
        )
    else:
        grid[0, 0].legend(handles=handles, fontsize="x-small")
    return axes


def _variables(design):
    """The variables of the model, those of slopes included: a dict to whether it is a factor."""
    names = list(design.formula.predictors)
    for block in design.blocks:
        names += block.predictors
    is_factor = {}
    for name in names:
        is_factor[name] = isinstance(design.data[name].dtype, pd.CategoricalDtype)
    return is_factor


def _styles(design, block, level_of_row, is_factor, x):
    """How the population's line and the fitted one are drawn: as points where they would zigzag."""
    if set(is_factor) - {x}:
        return POINTS, POINTS
    several = False                             # levels of another grouping within a panel
    for other in design.blocks:
        if other.factors and other.group != block.group:
            codes = pd.Series(other.codes)
            levels_met = codes.groupby(level_of_row).nunique()
            several = several or levels_met.max() > 1
    if several and not is_factor[x]:
        return {}, POINTS
    return {}, {}


def _draw_panel(panel, rows, population, fitted):
    """The data of one level, and the means by x of the two predictions in these styles."""
    means = rows.groupby("x").mean()
    x = means.index
    dash = DASH if len(means) == 1 else {}      # a line would have no length
    population = DASHED | dash | population
    fitted = FITTED | dash | fitted
    panel.plot(x, means["population"], **population, label="population")
    panel.plot(rows["x"], rows["y"], "o", **DATA)
    panel.plot(x, means["fitted"], **fitted, label="fitted")


def _name_categories(panel, categories):
    """The names of a factor's categories on the horizontal axis of a panel."""
    names = [as_text(name) for name in categories]
    letters = sum(map(len, names))
    rotation = 90 if letters > MOST_LETTERS else 0
    panel.set_xticks(range(len(names)), names, rotation=rotation)
    panel.set_xlim(-0.5, len(names) - 0.5)


def _hide_after(grid, m):
    """Show the first m panels, row by row, and no others."""
    for place, panel in enumerate(grid.flat):
        panel.set_visible(place < m)


def _label_outside(grid, x, y):
    """x below each panel with none shown below it, y beside the first of each row."""
    for row in grid:
        row[0].set_ylabel(y)
    for column in grid.T:
        lowest = [panel for panel in column if panel.get_visible()][-1:]
        for panel in lowest:
            panel.set_xlabel(x)
            panel.tick_params(labelbottom=True)


def _grid_of(m, ax):
    """An array of at least m Axes: `ax`, or those of a new figure, as few left over as can be."""
    if ax is not None:
        if np.size(ax) < m:
            raise LMMError(
                f"ax has {np.size(ax)} Axes; there are {m} levels, and each takes one"
            )
        return np.atleast_1d(ax)
    if m > MOST_PANELS:
        raise LMMError(
            f"the grouping has {m} levels, and a figure at most {MOST_PANELS} panels; "
            "give another group"
        )
    side = np.sqrt(m)
    widths = range(int(np.ceil(side)), int(np.ceil(2 * side)) + 1)
    width = min(widths, key=lambda beside: -m % beside)     # the fewest left over
    height = -(-m // width)
    return new_axes(
        None,
        height,
        width,
        sharex=True,
        sharey=True,
        squeeze=False,
        figsize=(1.5 * width + 1, 1.5 * height + 1),
    )


def _draw_levels(rows, response, block, ax):
    """The picture without predictors: the response level by level."""
    means = rows.groupby("level").mean()
    means = means.sort_values("y", kind="stable")
    places = np.arange(len(means))
    place_of_row = np.argsort(means.index)[rows["level"]]
    levels = [block.levels[level] for level in means.index]
    population = means["population"].iloc[0]

    if ax is not None:
        ax = np.ravel(ax)[0]
    ax = level_axes(ax, levels, block.group)
    ax.axvline(population, **DASHED, label="population")
    ax.plot(rows["y"], place_of_row, "o", color="C0", mfc="none", label="data")
    ax.plot(means["y"], places, color="C0", lw=1, label="mean")
    ax.plot(means["fitted"], places, "D", **FITTED, ms=5, label="fitted")
    ax.set_xlabel(as_text(response))
    legend_above(ax)
    return np.atleast_1d(ax)
