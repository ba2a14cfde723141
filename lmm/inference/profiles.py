"""The profile likelihood of each parameter: which curves a fit has, and what is drawn of them.

With all other parameters at their best for each value x of one, zeta(x) = sign(x - estimate) sqrt(2
(nll(x) - nll)) is nearly normal, and the interval of level 1 - alpha holds the x with |zeta| below
the normal quantile. Source: Bates and Watts (1988), "Nonlinear Regression Analysis and Its
Applications", chapter 6; lme4's ``profile``.

The likelihood is meant, not REML's criterion, which models with different beta do not share.
"""

from dataclasses import replace

import numpy as np
import pandas as pd

from ..errors import LMMError, warn
from ..fit import by_likelihood
from ..fitting import size_of
from ..machine import few_threads
from ..model import ByCommonCorrelation, ByCorrelation, CompoundSymmetry, Covariance, Independent
from ..practical import fit_of
from ..result import correlation_pairs, on_straight_scale, parameter_names
from .curves import BetaCurve, CommonCorrelationCurve, CorrelationCurve, SdCurve, SigmaCurve
from .following import BelowFit, NoBound, better_start, bound, height, is_delicate, refuse_vanishing

GAP = 0.4               # of zeta between the points of a curve
REACH = 3.0             # of zeta, to which curves are drawn
LONG = 2.0              # of a step down in log sd after which the next one is to zero
MOST_POINTS = 50        # on each side of a curve
MOST_NAMED = 5          # bounds without a value, for each reason, in a warning
MOST_REFITS = 3         # of a REML fit's likelihood, each at a better optimum than the last


# -- the curves of a fit ---------------------------------------------------------------------------


def curves_of(fit):
    """The curves of a fit by maximum likelihood: a dict from ("beta", column of X), ("sd", "sigma"
    or block) and ("corr", pair).

    What compound symmetry makes equal has one curve under several names. None for a correlation
    with an effect whose standard deviation is zero.
    """
    if not fit.converged:
        reasons = "; ".join(fit.optimum.reasons)
        raise LMMError(f"the optimum is not certified ({reasons}), so it has no profile")
    errors = iter(on_straight_scale(fit)[1])
    curves = [BetaCurve(fit, i, se) for i, se in enumerate(fit.bse)]
    curves.append(SigmaCurve(fit, next(errors)))
    sd_curves = []
    for j, _ in enumerate(fit.sd):
        se = next(errors)
        span = span_of(fit, j)
        is_common = isinstance(structure_of(fit, j), CompoundSymmetry)
        known = is_common and j > span.start
        sd_curves.append(sd_curves[span.start] if known else sd_curve(fit, j, se))
    common = {}
    correlations = []
    for i, j in correlation_pairs(fit.setup.design)[0]:
        se = next(errors)
        start = span_of(fit, i).start
        curve = None
        if start in common:
            curve = common[start]
        elif fit.sd.iloc[[i, j]].all():
            curve = correlation_curve(fit, i, j, se, [sd_curves[i], sd_curves[j]])
        if isinstance(structure_of(fit, i), CompoundSymmetry):
            common[start] = curve
        correlations.append(curve)
    return dict(zip(parameter_names(fit), [*curves, *sd_curves, *correlations]))


def term_of(fit, j):
    """The number of the term of block j."""
    return next(term for term, span in enumerate(fit.setup.covariance.spans) if j < span.stop)


def span_of(fit, j):
    """The blocks of the term of block j, a slice."""
    return fit.setup.covariance.spans[term_of(fit, j)]


def structure_of(fit, j):
    """The structure of the term of block j."""
    return fit.setup.covariance.structures[term_of(fit, j)]


def sd_curve(fit, j, se):
    """The curve of the standard deviation of block j, in a set-up whose theta has it for an
    element.

    Independent effects have it as it is; of an unstructured term it is T_11 if block j is put
    first; of a compound symmetric one it is an element of `ByCommonCorrelation`.
    """
    one = structure_of(fit, j)
    term = term_of(fit, j)
    share = fit.setup.covariance.shares[term]
    if isinstance(one, Independent):
        place = share.start + j - span_of(fit, j).start
        return SdCurve(fit, fit.setup, fit.theta, place, se)
    if isinstance(one, CompoundSymmetry):
        setup, theta = with_structure(fit.setup, fit.theta, term, ByCommonCorrelation(one.c))
        return SdCurve(fit, setup, theta, share.start + ByCommonCorrelation.s, se)
    setup, theta, order = in_front(fit, [j])
    return SdCurve(fit, setup, theta, share.start, se, order)


def correlation_curve(fit, i, j, se, sd_curves):
    """The curve of the correlation of blocks i and j, in a set-up whose theta has its Fisher's z,
    or what stands for it."""
    one = structure_of(fit, i)
    term = term_of(fit, i)
    share = fit.setup.covariance.shares[term]
    if isinstance(one, CompoundSymmetry):
        by_common = ByCommonCorrelation(one.c)
        setup, theta = with_structure(fit.setup, fit.theta, term, by_common)
        place = share.start + by_common.z
        se = se * by_common.per_fisher(theta[place])
        return CommonCorrelationCurve(fit, setup, theta, place, se, sd_curves)
    setup, theta, order = in_front(fit, [j, i])
    by_correlation = ByCorrelation(one.c)
    setup, theta = with_structure(setup, theta, term, by_correlation)
    return CorrelationCurve(fit, setup, theta, share.start + by_correlation.z, se, sd_curves, order)


def in_front(fit, chosen):
    """The setup of a fit with the chosen blocks of one term put first in it, its theta, and the
    order of the blocks."""
    setup = fit.setup
    covariance = setup.covariance
    term = span_of(fit, chosen[0])
    others = [j for j in range(term.start, term.stop) if j not in chosen]
    order = [*range(term.start), *chosen, *others, *range(term.stop, len(fit.sd))]
    if order == sorted(order):
        return setup, fit.theta, order
    blocks = tuple(setup.design.blocks[j] for j in order)
    engine = setup.engine.reordered(order, covariance.entries)
    setup = replace(setup, design=replace(setup.design, blocks=blocks), engine=engine)
    psi = covariance.psi(fit.theta)[np.ix_(order, order)]
    return setup, covariance.theta(fit.theta[0], psi), order


def with_structure(setup, theta, term, structure):
    """The same model, and the same psi, with another structure for the parameters of one term."""
    structures = list(setup.covariance.structures)
    structures[term] = structure
    covariance = Covariance(structures)
    psi = setup.covariance.psi(theta)
    design = replace(setup.design, covariance=covariance)
    return replace(setup, design=design), covariance.theta(theta[0], psi)


# -- intervals -------------------------------------------------------------------------------------


def intervals(fit, z):
    """Lower and upper bounds, (number of parameters, 2), in the units of the table; nan, with one
    warning, where there is none."""
    return at_best_optimum(fit, lambda by_ml: _intervals(by_ml, z))


def _intervals(fit, z):
    known = {}
    bounds = []
    missing = {}
    for (kind, name), curve in curves_of(fit).items():
        if curve is not None and id(curve) not in known:
            known[id(curve)] = bounds_of(curve, z, f"{kind} {name!r}", missing)
        bounds.append((-1.0, 1.0) if curve is None else known[id(curve)])
    if missing:
        warn(
            f"{without_bounds(missing)}; use method='wald' or 'boot', "
            "or fewer or coarser blocks in ref"
        )
    return np.array(bounds)


def bounds_of(curve, z, name, missing):
    """The two bounds of a curve; nan for one that is not there, which `missing` gets to know by its
    reason."""
    bounds = []
    for sign, side in ((-1, "lower"), (1, "upper")):
        try:
            try:
                bounds.append(float(curve.natural(bound(curve, sign, z))))
            except BelowFit as below:
                raise BetterOptimum(better_start(curve, below.point)) from None
        except NoBound as reason:
            missing.setdefault(str(reason), []).append(f"{name} ({side})")
            bounds.append(np.nan)
    return bounds


def without_bounds(missing):
    """Which bounds are nan, and why: ``"no bound is found for sd 'a' (upper), for ..."``."""
    parts = []
    for reason, names in missing.items():
        listed = ", ".join(names[:MOST_NAMED])
        more = f", ... ({len(names)} in all)" if len(names) > MOST_NAMED else ""
        parts.append(f"{listed}{more}, for {reason}")
    return f"profiles have no bound, hence nan, of {'; and of '.join(parts)}"


class BetterOptimum(Exception):
    """A profile led to a better optimum than the fit's, at `theta`."""

    def __init__(self, theta):
        super().__init__(theta)
        self.theta = theta


def at_best_optimum(fit, function):
    """A function of a fit by maximum likelihood; if a profile leads to a better optimum, an
    LMMError with the start to give.

    The numbers of a fit and its intervals should belong to one optimum, which the user sees: so it
    is not replaced silently. But where the fit is by REML, only its own likelihood's optimum is,
    which nobody saw.
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
    start = theta.round(4).tolist()
    raise LMMError(
        "the fit is not at its best optimum: its profile falls below it; "
        f"fit again with start={start}"
    )


# -- what is drawn ---------------------------------------------------------------------------------


def profile(fit):
    """The profile likelihood of each parameter, for a plot: a DataFrame with kind, name, value and
    zeta.

    zeta is the signed root of twice the drop of the log-likelihood (of the likelihood also for a
    REML fit) when the parameter has this value and the others are at their best; drawn to -+3, or
    to a standard deviation of 0, or a correlation of -+1. A correlation with an effect whose
    estimated standard deviation is 0 has none.
    """
    return at_best_optimum(fit, drawn)


def drawn(fit):
    """`profile` of a fit by maximum likelihood."""
    known = {}
    rows = []
    for (kind, name), curve in curves_of(fit).items():
        if curve is None:
            continue
        if id(curve) not in known:
            points = [(curve.estimate, 0.0), *side_of(curve, -1), *side_of(curve, 1)]
            known[id(curve)] = sorted(points)
        rows += [(kind, name, curve.natural(u), zeta) for u, zeta in known[id(curve)]]
    return pd.DataFrame(rows, columns=["kind", "name", "value", "zeta"])


def side_of(curve, sign):
    """(u, zeta) of the points on one side: outwards from the estimate, and back if the end has a
    lower branch."""
    try:
        points = walk(curve, sign, curve.origin, curve.theta)
        if points and is_delicate(curve.fit) and np.isfinite(points[-1].u):
            lower = curve.below(points[-1], thorough=True)
            if lower is not None:
                points = back(curve, [*points[:-1], lower])
                if height(curve, lower) < REACH:
                    points += walk(curve, sign, lower.u, lower.theta)
        return [(point.u, sign * float(height(curve, point))) for point in points]
    except BelowFit as below:
        raise BetterOptimum(better_start(curve, below.point)) from None


def walk(curve, sign, u, theta):
    """Points from u outwards, GAP apart in zeta, to REACH or a standard deviation of zero, or as
    far as there are values."""
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
        slope = sign * point.slope / zeta if zeta > 0 else np.inf
        gap = GAP / slope if slope > 0 else np.inf
        if edge is not None and gap > LONG:
            points.append(curve.least(edge, point.theta))
            break
        step = min(gap, 3 * step)
        theta = point.theta
    return points


def back(curve, points):
    """The same points with the values that the last one's branch has there, from far to near, while
    they are lower."""
    points = list(points)
    for i in reversed(range(len(points) - 1)):
        other = curve.least(points[i].u, points[i + 1].theta)
        if not other.nll < points[i].nll - size_of(other.nll) * 1e-9:
            break
        points[i] = other
    return points
