"""The profile likelihood of one parameter, and the confidence intervals that follow from it.

With all other parameters at their best for each value x of one, zeta(x) = sign(x - estimate) sqrt(2 (nll(x) - nll)) is
nearly normal, and the interval of level 1 - alpha holds the x with |zeta| below the normal quantile. Source: Bates and
Watts (1988), "Nonlinear Regression Analysis and Its Applications", chapter 6; lme4's ``profile``.

The likelihood is meant, not REML's criterion, which models with different beta do not share.
"""

from dataclasses import replace
from typing import ClassVar

import numpy as np
import pandas as pd
from scipy.optimize import root_scalar

from ..engines import covariance_of_beta
from ..errors import LMMError
from ..fit import by_likelihood
from ..fitting import NLL_ERROR, Criterion, minimum, opened
from ..machine import few_threads
from ..model import LARGEST_Z, ByCorrelation, Covariance
from ..practical import LMMprof
from ..result import correlation_pairs, on_straight_scale, parameter_names

GAP = 0.4               # of zeta between the points of a curve
REACH = 3.0             # of zeta, to which curves are drawn
LONG = 2.0              # of a step down in log sd after which the next one is to zero
MOST_POINTS = 50        # on each side of a curve
ROOT = 1e-7             # of a bound's last Newton step, relative to its distance: the error is of the order of its square
DONE = 1e-3             # of Newton's inner iteration, log units: the criterion's error is of the order of its fourth power
OPEN_Z = 3.0            # Fisher's z where a profile starts whose estimate is a correlation of +-1
FAR = 100               # of a bound from the estimate, in widths of Wald's interval


def curves_of(fit):
    """The curves of a fit by maximum likelihood: ("beta", column of X), ("sd", "sigma" or block) and ("corr", pair) to curve.

    None for a correlation with an effect whose standard deviation is zero.
    """
    if not fit.converged:
        raise LMMError(f"the optimum is not certified ({'; '.join(fit.optimum.reasons)}), so it has no profile")
    errors, (pairs, _) = iter(on_straight_scale(fit)[1]), correlation_pairs(fit.setup.design)
    return dict(zip(parameter_names(fit), [*(BetaCurve(fit, i) for i in range(len(fit.beta))), SigmaCurve(fit, next(errors)),
                                           *(SdCurve(fit, j, next(errors)) for j in range(len(fit.sd))),
                                           *(correlation_curve(fit, i, j, next(errors)) for i, j in pairs)]))


def profile(fit):
    """The profile likelihood of each parameter, for a plot: a DataFrame with kind, name, value and zeta.

    zeta is the signed root of twice the drop of the log-likelihood (of the likelihood also for a REML fit) when the
    parameter has this value and the others are at their best; drawn to -+3, or to a standard deviation of 0, or a
    correlation of -+1. A correlation with an effect whose estimated standard deviation is 0 has none.
    """
    rows = []
    with few_threads(fit.setup.engine.widest):
        for (kind, name), curve in curves_of(by_likelihood(fit)).items():
            if curve is None:
                continue
            at_estimate = curve.theta
            points = [(curve.estimate, 0.0)]
            for sign in (-1, 1):
                curve.theta = at_estimate
                points += walk(curve, sign)
            rows += [(kind, name, curve.natural(u), height) for u, height in sorted(points)]
    return pd.DataFrame(rows, columns=["kind", "name", "value", "zeta"])


def walk(curve, sign):
    """Points (u, zeta) from the estimate outwards, GAP apart in zeta, to REACH or a standard deviation of zero."""
    edge = curve.edges.get(sign)
    if curve.estimate == edge:
        return []
    u, points = curve.start(), []
    step = sign * GAP * curve.se
    for _ in range(MOST_POINTS):
        u = u + step
        if edge is not None and sign * u >= sign * edge:
            u = edge
        height, slope = zeta(curve, u)
        points.append((u, float(height)))
        if abs(height) >= REACH or u == edge:
            break
        step = sign * min(GAP / slope, 3 * abs(step))
        if edge is not None and GAP / slope > LONG:
            points.append((edge, float(zeta(curve, edge)[0])))
            break
    return points


class SigmaCurve:
    """The criterion as a function of u, an element of theta, by default log sigma, the other parameters at their best."""

    edges: ClassVar = {}                                        # the u where a parameter ends, by the sign of the way there

    def __init__(self, fit, se, setup=None, theta=None, i=0):
        self.setup, self.theta, self.i, self.nll = setup or fit.setup, fit.theta if theta is None else theta, i, fit.nll
        self.estimate, self.at_estimate = self.theta[i], self.theta
        self.se = np.fmin(se, 0.5)                              # where a step is tried: small sds lie on a plateau

    natural = staticmethod(np.exp)

    def __call__(self, u):
        """The criterion, and its derivative in u."""
        theta = self.theta.copy()
        theta[self.i] = u
        self.theta, value, D = least(theta, *self.at(u))
        return float(value), D.gradient[self.i]

    def at(self, u):
        """The setup whose criterion is to be minimised, and what is held of theta."""
        return self.setup, [self.i]

    def start(self):
        """A finite u near the estimate."""
        return opened(self.theta, self.setup)[self.i]


class SdCurve(SigmaCurve):
    """The same of the log standard deviation of block j: put first in its term, it is an element of theta."""

    edges: ClassVar = {-1: -np.inf}

    def __init__(self, fit, j, se):
        setup, theta, j = in_front(fit, [j])
        self.direction = first_direction(setup.covariance, j)
        super().__init__(fit, se, setup, theta, setup.covariance.directions[self.direction])

    def __call__(self, u):
        if u == -np.inf:                                        # the effect's covariances are 0 then
            self.theta = self.setup.covariance.without(self.theta, self.direction)
        return super().__call__(u)


class CorrelationCurve(SigmaCurve):
    """The same of Fisher's z of the correlation of blocks i and j, where u = -+LARGEST_Z is a correlation of -+1."""

    edges: ClassVar = {-1: -LARGEST_Z, 1: LARGEST_Z}
    natural = staticmethod(np.tanh)

    def __init__(self, fit, i, j, se):
        setup, theta, first = in_front(fit, [j, i])
        psi = setup.covariance.psi(theta)
        structures = list(setup.covariance.structures)
        term = next(t for t, span in enumerate(setup.covariance.spans) if span.start == first)
        structures[term] = ByCorrelation(structures[term].c)
        by_correlation = Covariance(structures)
        setup = replace(setup, design=replace(setup.design, covariance=by_correlation))
        place = by_correlation.shares[term].start + structures[term].z
        super().__init__(fit, se, setup, by_correlation.theta(theta[0], psi), place)

    def start(self):
        return np.clip(self.theta[self.i], -OPEN_Z, OPEN_Z)


def correlation_curve(fit, i, j, se):
    """The curve of the correlation of blocks i and j, or None where it is not defined."""
    return CorrelationCurve(fit, i, j, se) if fit.sd.iloc[[i, j]].all() else None


def in_front(fit, chosen):
    """The setup of a fit with the chosen blocks of one term put first in it, its theta, and the new number of the first one."""
    setup, covariance = fit.setup, fit.setup.covariance
    b = next(span for span in covariance.spans if span.start <= chosen[0] < span.stop)
    others = [j for j in range(b.start, b.stop) if j not in chosen]
    order = [*range(b.start), *chosen, *others, *range(b.stop, len(fit.sd))]
    if order == sorted(order):
        return setup, fit.theta, b.start
    design = replace(setup.design, blocks=tuple(setup.design.blocks[j] for j in order))
    engine = setup.engine.reordered(order, covariance.entries)
    setup = replace(setup, design=design, engine=engine)
    return setup, covariance.theta(fit.theta[0], covariance.psi(fit.theta)[np.ix_(order, order)]), b.start


class BetaCurve:
    """The criterion as a function of u = one fixed effect, the other parameters at their best."""

    edges: ClassVar = {}

    def __init__(self, fit, i):
        self.setup, self.i, self.theta, self.nll = fit.setup, i, fit.theta, fit.nll
        self.estimate, self.se = fit.beta[i], fit.bse.iloc[i]
        others = np.arange(len(fit.beta)) != i
        self.Q, self.R = np.linalg.qr(self.setup.R_X[:, others])
        self.w = self.setup.R_X[:, i] - self.Q @ (self.Q.T @ self.setup.R_X[:, i])

    natural = staticmethod(float)

    def __call__(self, u):
        """The criterion, and its derivative in u."""
        self.theta, value, _ = least(self.theta, *self.at(u))
        full = LMMprof(self.theta, self.setup)                  # nll(theta, u) = nll(theta) + (u - beta_i)^2 / (2 var beta_i)
        variance = covariance_of_beta(full.triangle, self.setup)[self.i, self.i]
        return float(value), (u - full.beta[self.i]) / variance

    def start(self):
        return self.estimate

    def at(self, u):
        """The setup of y - u X_i, column i of X left out, whose criterion is to be minimised; nothing of theta is held.

        With X_others = Q_X Q R, [Q_X Q, e'] is the new [Q_X, e]: e' = e + (beta_0i - u) Q_X w for the part Q_X w of
        X_i orthogonal to the others.
        """
        k = len(self.w)
        A = np.zeros((k + 1, k))
        A[:k, :-1] = self.Q
        A[:, -1] = [*((self.setup.beta_0[self.i] - u) * self.w), 1.0]
        return replace(self.setup, engine=self.setup.engine.combined(A), beta_0=np.zeros(k - 1), Q_X=None,
                       R_X=np.asfortranarray(self.R)), []


def first_direction(covariance, j):
    """The number of the direction of block j, which is the first of its term or has one of its own."""
    before = 0
    for one, span in zip(covariance.structures, covariance.spans):
        if j < span.stop:
            return before + j - span.start
        before += len(one.directions)
    raise IndexError(j)


def least(theta, setup, held):
    """A minimum of the criterion over what is not held: theta, value, derivatives."""
    criterion = Criterion(LMMprof, setup)
    theta, value = minimum(criterion, theta, held=held, done=DONE)
    return theta, value, criterion.derivatives(theta, value)


def zeta(curve, u):
    """The signed root of twice the rise of the criterion at u, and its derivative in u."""
    nll, slope = curve(u)
    if nll < curve.nll - NLL_ERROR * max(1.0, abs(nll)):
        raise LMMError("the fit is not at its best optimum: its profile falls below it; "
                       f"fit again with start={opened(curve.theta, curve.setup).round(4).tolist()}")
    root = (1.0 if u > curve.estimate else -1.0) * np.sqrt(2 * max(nll - curve.nll, 0.0))
    return root, slope / root if root else np.inf


def interval(curve, z):
    """The u below and above the estimate with |zeta| = z; -inf, a standard deviation of zero, if zeta is nearer there."""
    at_estimate, bounds = curve.theta, []
    origin, width = curve.start(), z * curve.se
    for sign in (-1, 1):
        def miss(u, sign=sign):
            if u not in curve.edges.values() and not (
                    abs(u - origin) <= FAR * width and all(s * u < s * edge for s, edge in curve.edges.items())):
                raise OverflowError
            height, slope = zeta(curve, u)
            return height - sign * z, slope

        def careful_miss(u, miss=miss):
            for _ in curve.theta:
                found = miss(u)
                if (other := branch(curve, u)) is None:
                    break
                curve.theta = other
            return found

        curve.theta = at_estimate
        edge = curve.edges.get(sign)
        if edge is not None and (curve.estimate == edge or sign * miss(edge)[0] <= 0):
            bounds.append(edge)
            continue
        curve.theta = at_estimate
        u = root_by_newton(miss, origin + sign * width, width)
        if u is None or sign * (u - curve.estimate) <= 0 or branch(curve, u) is not None:
            curve.theta = at_estimate
            u = root_by_bisection(careful_miss, origin, sign * width, edge)
        bounds.append(u)
    return bounds


def root_by_newton(miss, start, width):
    """Where miss(u) = (value, derivative) has the value 0, or None if a flat stretch sends the iteration away."""
    try:
        found = root_scalar(miss, method="newton", x0=start, fprime=True, maxiter=12, xtol=ROOT * width)
    except ArithmeticError:
        return None
    return found.root if found.converged else None


def root_by_bisection(miss, start, step, edge):
    """The same where the criterion has several branches, searched from the estimate in steps, to the edge if there is one."""
    last = edge if edge is not None and np.isfinite(edge) else step * np.inf
    try:
        inside, outside = start, start + step
        while step * miss(inside)[0] > 0:               # the estimate is a standard deviation of zero, u = -inf
            inside, outside = inside - step, inside
        while step * miss(outside)[0] < 0:              # `miss` raises an OverflowError far away
            inside, outside = outside, min(outside + step, last) if step > 0 else max(outside + step, last)
        return root_scalar(lambda u: miss(u)[0], method="brentq", bracket=(inside, outside), xtol=ROOT * abs(step)).root
    except (ArithmeticError, ValueError) as error:
        raise LMMError("a profile cannot be followed, for the residual sd goes to 0 on its way; use fewer or coarser blocks "
                       "in ref, or method='wald'") from error


def branch(curve, u):
    """A theta with a lower criterion at u than the one that was followed there, a block being zero or not; None if none is."""
    nll, _ = curve(u)
    followed = curve.theta
    setup, held = curve.at(u)
    at_zero = not np.isfinite(followed).all()
    covariance = setup.covariance
    starts = []
    for start in (followed, *[opened(followed, setup)] * at_zero):
        for d, place in enumerate(covariance.directions):
            if start[place] > -np.inf:
                starts.append(covariance.without(start, d))
    starts += [opened(followed, setup)] * at_zero
    if any(not covariance.logs[i] for i in held):               # a correlation: small sds are not set to zero
        starts.append(np.where(np.isin(np.arange(len(followed)), held), followed, curve.at_estimate))
    criterion = Criterion(LMMprof, setup)
    for start in starts:
        if np.array_equal(start[held], followed[held]):
            theta, value = minimum(criterion, start, (followed, nll), held, DONE)
            if value < nll - NLL_ERROR * max(1.0, abs(nll)):
                return theta
    return None
