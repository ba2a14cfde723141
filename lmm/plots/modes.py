"""Pictures of the conditional modes: level by level, and two effects against each other."""

from scipy.special import ndtri

from ..errors import LMMError, shorten
from ..result import check_level, ranef
from .canvas import QUIET, as_text, level_axes, new_axes
from .choices import block_of, check_fit, two_of


def caterpillar(fit, group=None, name=None, level=0.95, ax=None):
    """The conditional modes of one block, with prediction intervals, from smallest to largest.

    Parameters
    ----------
    fit : LMMResult
        A fit with random effects.
    group, name : str, optional
        Of the block, as in ``fit.ranef(tidy=True)``: ``"Subject"``, ``"Days"``. By default the
        first block that fits.
    level : float, optional
        Of the intervals, between 0 and 1.
    ax : matplotlib Axes, optional
        Where to draw; by default on a new figure.

    Returns
    -------
    matplotlib Axes
        One point for each level of the grouping, in the units of y (for a slope, per unit of its
        variable). Up to 60 levels are named.

    Raises
    ------
    LMMError
        If there is no such block, `level` is no probability, or matplotlib is not installed.

    Notes
    -----
    An interval is the mode -+ the normal quantile times the conditional standard deviation of
    equation (5), beta and theta taken as known.

    Examples
    --------
    >>> fit = lmm("score ~ Machine", load_data("Machines"), ["Worker"])
    >>> ax = plots.caterpillar(fit)                                    # doctest: +SKIP
    """
    check_fit(fit)
    check_level(level)
    block = block_of(fit, group, name)
    frame = fit.ranef(tidy=True)
    of_group = frame["group"] == block.group
    of_effect = frame["name"] == block.effect
    frame = frame[of_group & of_effect].assign(label=block.levels)
    frame = frame.sort_values("estimate", kind="stable")
    half_width = ndtri(0.5 + level / 2) * frame["sd"]

    ax = level_axes(ax, frame["label"], block.group)
    ax.axvline(0, **QUIET)
    ax.errorbar(
        frame["estimate"],
        range(len(frame)),
        xerr=half_width,
        fmt="o",
        ms=4,
        lw=1,
        color="C0",
    )
    effect = as_text(block.effect)
    ax.set_xlabel(f"{effect}: conditional modes, {100 * level:g}% prediction intervals")
    return ax


def pairs(fit, group=None, x=None, y=None, ax=None):
    """The conditional modes of two random effects of a grouping, one against the other.

    Parameters
    ----------
    fit : LMMResult
        A fit in which some grouping has two random effects.
    group : str, optional
        A grouping, such as ``"Subject"``; by default the first that has two effects.
    x, y : str, optional
        Its effects, as in ``fit.ranef()[group]``; by default the first two.
    ax : matplotlib Axes, optional
        Where to draw; by default on a new figure.

    Returns
    -------
    matplotlib Axes
        A point for each level, in the units of the effects. Crosses are -+ one conditional
        standard deviation.

    Raises
    ------
    LMMError
        If there are no two such effects, or matplotlib is not installed.

    Notes
    -----
    Points on a line are a correlation of -+1: a singular covariance.

    Examples
    --------
    >>> fit = lmer("Reaction ~ Days + (Days | Subject)", load_data("sleepstudy"))
    >>> ax = plots.pairs(fit)                                          # doctest: +SKIP
    """
    check_fit(fit)
    tables = ranef(fit, cond_sd=True)
    group, effects = _grouping_of_two(tables, group)
    x, y = two_of(effects, effects, "x and y", x, y)

    table = tables[group]
    ax = new_axes(ax)
    ax.axhline(0, **QUIET)
    ax.axvline(0, **QUIET)
    ax.errorbar(
        table[x],
        table[y],
        xerr=table[f"{x}_sd"],
        yerr=table[f"{y}_sd"],
        fmt="o",
        ms=4,
        lw=0.6,
        color="C0",
        ecolor="0.7",
    )
    ax.set_xlabel(as_text(x))
    ax.set_ylabel(as_text(y))
    ax.set_title(f"conditional modes by {as_text(group)}, -+1 sd")
    return ax


def _grouping_of_two(tables, group):
    """A grouping with two effects or more, and these: the one called `group`, or the first."""
    effects = {}
    for name, table in tables.items():
        if name:                                # a block without a factor has no grouping
            effects[name] = [column for column in table.columns if f"{column}_sd" in table]
    if group and group not in effects:
        raise LMMError(f"there is no group {group!r}; group is one of {shorten(effects)}")
    for name, found in effects.items():
        if not group and len(found) > 1:
            group = name
    if not group or len(effects[group]) < 2:
        raise LMMError(
            f"no grouping has two random effects to draw; there are {shorten(effects)}"
        )
    return group, effects[group]
