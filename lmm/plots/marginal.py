"""Pictures of what the fixed effects say: marginal means, and fitted means with a band."""

import numpy as np

from ..errors import LMMError
from ..inference import Means, variables_of
from .canvas import as_text, legend_above, new_axes
from .choices import check_fit

PLACES = 60             # of a covariate, where a fitted mean is drawn
QUANTILES = (0.1, 0.5, 0.9)     # of a numeric `by`, at which there are lines
LETTERS_BESIDE = 45     # of the names below an axis that are read side by side
ASIDE = 0.12            # between the points of two levels of `by`, as a share of a step


def means(means, letters=True, ax=None):
    """Marginal means, or slopes, with their intervals: ``plots.means(fit.means("Variety"))``.

    Parameters
    ----------
    means : Means
        What `fit.means` and `fit.slopes` return.
    letters : bool, optional
        Whether to write letters beside them: two means within one level of `by` that share none
        differ, by Tukey's method, at 5 percent.
    ax : matplotlib Axes, optional
        Where to draw; by default on a new figure.

    Returns
    -------
    matplotlib Axes
        A point for each mean; a colour for each combination of levels of `by`.

    Raises
    ------
    LMMError
        If `means` are none, or matplotlib is not installed.

    Examples
    --------
    >>> fit = lmer("Yield ~ Variety + (1 | Block)", load_data("Oats"))
    >>> ax = plots.means(fit.means("Variety"))                         # doctest: +SKIP
    """
    if not isinstance(means, Means):
        raise LMMError(
            f"plots.means draws what fit.means(...) returns, not a {type(means).__name__}"
        )
    table = means.table
    families = means.families()
    names = means.levels_of_family()
    what = table.columns[0]
    ax = new_axes(ax)
    marks = means.letters() if letters and len(names) > 1 else None
    for number, (label, rows) in enumerate(families.items()):
        part = table.iloc[rows]
        places = np.arange(len(part)) + ASIDE * (number - (len(families) - 1) / 2)
        values = part[what].to_numpy()
        ax.vlines(places, part["lower"], part["upper"], color=f"C{number}", lw=1.5)
        ax.plot(places, values, "o", color=f"C{number}", label=as_text(label))
        if marks is not None:
            for place, upper, mark in zip(places, part["upper"], marks.iloc[rows]):
                ax.annotate(
                    mark, (place, upper), (0, 3), textcoords="offset points",
                    ha="center", fontsize="small", color=f"C{number}",
                )
    ax.set_xticks(range(len(names)), [as_text(name) for name in names])
    if sum(map(len, names)) > LETTERS_BESIDE:
        ax.tick_params("x", rotation=30)
        for label in ax.get_xticklabels():
            label.set(horizontalalignment="right", rotation_mode="anchor")
    ax.margins(x=0.15, y=0.1)
    ax.set_xlabel(as_text(":".join(means.of)))
    ax.set_ylabel(f"{what} of {as_text(means.response)}")
    if len(families) > 1:
        legend_above(ax)
        ax.get_legend().set_title(as_text(":".join(means.by)))
    return ax


def effects(fit, of, by=None, level=0.95, data=True, ax=None):
    """The fitted mean over a variable with its confidence band, the data behind it.

    Parameters
    ----------
    fit : LMMResult
    of : str
        A variable of the fixed effects: numeric, a line with a band; or a factor, points with
        intervals.
    by : str, optional
        Another one, with a colour for each of its levels; if it is numeric, at three quantiles.
    level : float, optional
        Of the band, between 0 and 1; pointwise, by Satterthwaite's method.
    data : bool, optional
        Whether to draw the data, as they are: what else the model has is in their scatter.
    ax : matplotlib Axes, optional
        Where to draw; by default on a new figure.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    LMMError
        If a variable is in no fixed effect, or matplotlib is not installed.

    Notes
    -----
    Other variables are at their mean, or averaged over their levels, as in `fit.means`.

    Examples
    --------
    >>> fit = lmer("Reaction ~ Days + (Days | Subject)", load_data("sleepstudy"))
    >>> ax = plots.effects(fit, "Days")                                # doctest: +SKIP
    """
    check_fit(fit)
    for name, value in (("of", of), ("by", by)):
        if not isinstance(value, str) and not (name == "by" and value is None):
            kind = type(value).__name__
            raise LMMError(f"{name} is of type {kind}; it is the name of one variable")
    factors, covariates = variables_of(fit)
    columns = fit.setup.design.data
    at = {}
    if of in covariates:
        values = columns[of].to_numpy(float)
        at[of] = np.linspace(values.min(), values.max(), PLACES)
    if by is not None and by in covariates and by != of:
        values = columns[by].to_numpy(float)
        at[by] = np.unique(np.quantile(values, QUANTILES))
    found = fit.means(of, by, at=at, level=level)
    if of in factors:
        return means(found, letters=False, ax=ax)

    ax = new_axes(ax)
    x = columns[of].to_numpy(float)
    y = fit.setup.design.y
    if data and (by is None or by in covariates):
        ax.plot(x, y, ".", color="grey", ms=3, alpha=0.5, zorder=0)
    for number, (label, rows) in enumerate(found.families().items()):
        part = found.table.iloc[rows]
        color = f"C{number}"
        if data and by in factors:
            here = np.asarray(columns[by]).astype(str) == label
            ax.plot(x[here], y[here], ".", color=color, ms=3, alpha=0.4, zorder=0)
        ax.fill_between(at[of], part["lower"], part["upper"], color=color, alpha=0.2, lw=0)
        ax.plot(at[of], part["mean"], color=color, label=as_text(label))
    ax.set_xlabel(as_text(of))
    ax.set_ylabel(as_text(fit.setup.design.response))
    if by is not None:
        legend_above(ax)
        ax.get_legend().set_title(as_text(by))
    return ax
