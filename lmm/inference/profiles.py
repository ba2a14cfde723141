"""The profile likelihood of each parameter: intervals, and what is drawn.

With all other parameters at their best for each value x of one,

    zeta(x) = sign(x - estimate) sqrt(2 (nll(x) - nll))

is nearly normal, and the interval of level 1 - alpha holds the x with |zeta| below the normal
quantile. Source: Bates and Watts (1988), "Nonlinear Regression Analysis and Its Applications",
chapter 6; lme4's ``profile``.

The likelihood is meant, not REML's criterion, which models with different beta do not share.
"""

import numpy as np
import pandas as pd

from ..errors import LMMError, warn
from ..fit import by_likelihood
from ..fitting import NLL_ERROR, size_of
from ..machine import few_threads
from ..practical import fit_of
from .following import (
    BelowFit,
    NoBound,
    Search,
    better_start,
    height,
    is_delicate,
    refuse_vanishing,
)
from .parameters import curves_of

GAP = 0.4               # of zeta between the points of a curve
REACH = 3.0             # of zeta, to which curves are drawn
LONG = 2.0              # of a step down in log sd after which the next one is to zero
MOST_POINTS = 50        # on each side of a curve
MOST_NAMED = 5          # bounds without a value, for each reason, in a warning
MOST_ROUNDS = 2         # in which branches are tried at the bounds of all curves
SIDES = ("lower", "upper")
MOST_REFITS = 3         # of a REML fit's likelihood, each at a better optimum than the last


class BetterOptimum(Exception):
    """A profile led to a better optimum than the fit's, at `theta`."""

    def __init__(self, theta):
        super().__init__(theta)
        self.theta = theta


def at_best_optimum(fit, function):
    """A function of a fit by maximum likelihood, which may find a better optimum of it.

    Then an LMMError gives the start that leads there: the numbers of a fit and its intervals should
    belong to one optimum, the one that the user sees, so it is not replaced silently. But where the
    fit is by REML nobody saw its likelihood's optimum, and the better one is taken.
    """
    by_ml = by_likelihood(fit)
    with few_threads(fit.setup.engine.widest):
        for _ in range(MOST_REFITS):
            try:
                return function(by_ml)
            except BetterOptimum as better:
                theta = better.theta
            if by_ml is fit:
                break
            by_ml = fit_of(by_ml.setup, by_ml.plan, theta)
    raise LMMError(
        "the fit is not at its best optimum: its profile falls below it; "
        f"fit again with start={theta.round(4).tolist()}"
    )


# -- intervals ------------------------------------------------------------------------------------


def intervals(fit, z):
    """(number of parameters, 2): the bounds with |zeta| = z, as `conf_int` has them.

    nan where there is none, with one warning about all.
    """

    def table(by_ml):
        return table_of_bounds(curves_of(by_ml), z)

    return at_best_optimum(fit, table)


def table_of_bounds(curves, z):
    """The same of the curves, by kind and name; some of them have several names."""
    distinct = [curve for curve in dict.fromkeys(curves.values()) if curve is not None]
    found = bounds_of(distinct, z)
    bounds = []
    missing = {}                                                # names by reason
    for (kind, name), curve in curves.items():
        both = [-1.0, 1.0]
        if curve is not None:
            both = list(found[curve])
        for side, value in enumerate(both):
            if isinstance(value, NoBound):
                named = f"{kind} {name!r} ({SIDES[side]})"
                missing.setdefault(str(value), []).append(named)
                both[side] = np.nan
        bounds.append(both)
    if missing:
        warn(
            f"{without_bounds(missing)}; use method='wald' or 'boot', "
            "or fewer or coarser blocks in ref"
        )
    return np.array(bounds)


def bounds_of(curves, z):
    """Lower and upper bound of each curve, in the table's units, or the `NoBound` in its place.

    What one curve finds to be a lower branch is tried again at the bounds of all others.
    """
    searches = {}
    found = {}
    for curve in curves:
        searches[curve] = [Search(curve, sign, z) for sign in (-1, 1)]
        found[curve] = [tried(one.bound, curve) for one in searches[curve]]
    for _ in range(MOST_ROUNDS):
        for curve, both in searches.items():
            for side, one in enumerate(both):
                if one.found is not None and one.known < len(curve.branches):
                    found[curve][side] = tried(one.again, curve)
    return found


def tried(search, curve):
    """What a search for a bound finds, in the table's units, or the `NoBound` that it raises.

    A better optimum on the way raises `BetterOptimum`.
    """
    try:
        try:
            return float(curve.natural(search()))
        except BelowFit as below:
            raise BetterOptimum(better_start(curve, below.point)) from None
    except NoBound as reason:
        return reason


def without_bounds(missing):
    """Which bounds are nan and why, from their names by reason."""
    parts = []
    for reason, names in missing.items():
        listed = ", ".join(names[:MOST_NAMED])
        if len(names) > MOST_NAMED:
            listed += f", ... ({len(names)} in all)"
        parts.append(f"{listed}, for {reason}")
    return f"profiles have no bound, hence nan, of {'; and of '.join(parts)}"


# -- what is drawn --------------------------------------------------------------------------------


def profile(fit):
    """The profile likelihood of each parameter, for a plot: kind, name, value, zeta in a DataFrame.

    zeta is the signed root of twice the drop of the log-likelihood (of the likelihood also for a
    REML fit) when the parameter has this value and the others are at their best; drawn to -+3, or
    to a standard deviation of 0, or a correlation of -+1. A correlation with an effect whose
    estimated standard deviation is 0 has none.
    """
    return at_best_optimum(fit, drawn)


def drawn(fit):
    """`profile` of a fit by maximum likelihood."""
    known = {None: []}                                          # by curve
    rows = []
    for (kind, name), curve in curves_of(fit).items():
        if curve not in known:
            sides = [*side_of(curve, -1), *side_of(curve, 1)]
            known[curve] = sorted([(curve.estimate, 0.0), *sides])
        rows += [(kind, name, curve.natural(u), zeta) for u, zeta in known[curve]]
    return pd.DataFrame(rows, columns=["kind", "name", "value", "zeta"])


def side_of(curve, sign):
    """(u, zeta) of the points on one side."""
    try:
        points = points_of_side(curve, sign)
        return [(point.u, sign * float(height(curve, point))) for point in points]
    except BelowFit as below:
        raise BetterOptimum(better_start(curve, below.point)) from None


def points_of_side(curve, sign):
    """Points outwards from the estimate; and back, if there is a lower branch at the end."""
    points = walk(curve, sign, curve.origin, curve.theta)
    if not points or np.isinf(points[-1].u) or not is_delicate(curve.fit):
        return points
    lower = curve.below(points[-1], thorough=True)
    if lower is None:
        return points
    points = back(curve, [*points[:-1], lower])
    if height(curve, lower) < REACH:
        points += walk(curve, sign, lower.u, lower.theta)
    return points


def walk(curve, sign, u, theta):
    """Points from u outwards, GAP apart in zeta, to REACH, or to the edge, or to the last value."""
    edge = curve.edges.get(sign)
    if curve.estimate == edge:
        return []
    points = []
    step = GAP * curve.se
    for _ in range(MOST_POINTS):
        u = u + sign * step
        if edge is not None and sign * u >= sign * edge:
            u = edge
        try:
            point = curve.least(u, theta)
            refuse_vanishing(curve, point)
        except (ArithmeticError, NoBound):
            break
        zeta = height(curve, point)
        points.append(point)
        if zeta >= REACH or u == edge:
            break

        # -- the next one; a flat standard deviation goes to zero at once
        slope = sign * point.slope / zeta if zeta > 0 else np.inf
        wanted = GAP / slope if slope > 0 else np.inf
        if edge is not None and wanted > LONG:
            points.append(curve.least(edge, point.theta))
            break
        step = min(wanted, 3 * step)
        theta = point.theta
    return points


def back(curve, points):
    """The points on the last one's branch, from far to near, while that is lower."""
    points = list(points)
    for i in reversed(range(len(points) - 1)):
        other = curve.least(points[i].u, points[i + 1].theta)
        if other.nll >= points[i].nll - NLL_ERROR * size_of(other.nll):
            break
        points[i] = other
    return points
