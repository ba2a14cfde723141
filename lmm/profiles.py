"""The profile likelihood of one parameter, and the confidence intervals that follow from it.

With all other parameters at their best for each value x of one, zeta(x) = sign(x - estimate) sqrt(2 (nll(x) - nll)) is
nearly normal, and the interval of level 1 - alpha holds the x with |zeta| below the normal quantile. Source: Bates and
Watts (1988), "Nonlinear Regression Analysis and Its Applications", chapter 6; lme4's ``profile``.

The likelihood is meant, not REML's criterion, which models with different beta do not share.
"""

from dataclasses import replace

import numpy as np
import pandas as pd
from scipy.optimize import root_scalar

from .errors import LMMError
from .finish import newton, opened, without
from .fit import by_likelihood
from .inference import parameter_names
from .likelihood import LMMprof, covariance_of_beta
from .optimum import NLL_ERROR, derivatives

GAP = 0.4               # of zeta between the points of a curve
REACH = 3.0             # of zeta, to which curves are drawn
LONG = 2.0              # of a step down in log sd after which the next one is to zero
MOST_POINTS = 50        # on each side of a curve
ROOT = 1e-7             # of a bound's last Newton step, relative to its distance: the error is of the order of its square
DONE = 1e-3             # of Newton's inner iteration, log units: the criterion's error is of the order of its fourth power
FAR = 100               # of a bound from the estimate, in widths of Wald's interval


def curves_of(fit):
    """The curves of a fit by maximum likelihood: ("beta", column of X) and ("sd", label) to curve."""
    if not fit.converged:
        raise LMMError(f"the optimum is not certified ({'; '.join(fit.optimum.reasons)}), so it has no profile")
    return dict(zip(parameter_names(fit), [*(BetaCurve(fit, i) for i in range(len(fit.beta))),
                                           *(SdCurve(fit, i) for i in range(len(fit.theta)))]))


def profile_frame(fit):
    """Points of each parameter's profile curve: a DataFrame with kind, name, value and zeta; see `LMMResult.profile`."""
    rows = []
    for (kind, name), curve in curves_of(by_likelihood(fit)).items():
        at_estimate = curve.theta
        points = [(curve.estimate, 0.0)]
        for sign in (-1, 1):
            curve.theta = at_estimate
            points += walk(curve, sign)
        rows += [(kind, name, curve.natural(u), height) for u, height in sorted(points)]
    return pd.DataFrame(rows, columns=["kind", "name", "value", "zeta"])


def walk(curve, sign):
    """Points (u, zeta) from the estimate outwards, GAP apart in zeta, to REACH or a standard deviation of zero."""
    if curve.estimate == -np.inf and sign < 0:
        return []
    u, points = curve.start(), []
    step = sign * GAP * curve.se
    for _ in range(MOST_POINTS):
        u = u + step
        height, slope = zeta(curve, u)
        points.append((u, float(height)))
        if abs(height) >= REACH:
            break
        step = sign * min(GAP / slope, 3 * abs(step))
        if curve.may_be_zero and sign < 0 and GAP / slope > LONG:
            points.append((-np.inf, float(zeta(curve, -np.inf)[0])))
            break
    return points


class SdCurve:
    """The criterion as a function of u = log sd, of sigma or a block, the other parameters at their best."""

    def __init__(self, fit, i):
        self.setup, self.i, self.theta, self.nll = fit.setup, i, fit.theta, fit.nll
        self.estimate = fit.theta[i]                            # may be -inf
        self.se = np.fmin(np.sqrt(fit.cov_theta().iloc[i, i]), 0.5)      # where a step is tried: small ones lie on a plateau
        self.may_be_zero = i > 0

    natural = staticmethod(np.exp)

    def __call__(self, u):
        """The criterion, and its derivative in u."""
        theta = self.theta.copy()
        theta[self.i] = u
        self.theta, value, D = minimum(theta, *self.at(u))
        return float(value), D.gradient[self.i]

    def at(self, u):
        """The setup whose criterion is to be minimised, and what is held of theta."""
        return self.setup, [self.i]

    def start(self):
        """A finite u near the estimate."""
        return opened(self.theta, self.setup)[self.i]


class BetaCurve:
    """The criterion as a function of u = one fixed effect, the other parameters at their best."""

    may_be_zero = False

    def __init__(self, fit, i):
        self.setup, self.i, self.theta, self.nll = fit.setup, i, fit.theta, fit.nll
        self.estimate, self.se = fit.beta[i], fit.bse.iloc[i]
        others = np.arange(len(fit.beta)) != i
        self.Q, self.R = np.linalg.qr(self.setup.R_X[:, others])
        self.w = self.setup.R_X[:, i] - self.Q @ (self.Q.T @ self.setup.R_X[:, i])

    natural = staticmethod(float)

    def __call__(self, u):
        """The criterion, and its derivative in u."""
        self.theta, value, _ = minimum(self.theta, *self.at(u))
        full = LMMprof(self.theta, self.setup)                  # nll(theta, u) = nll(theta) + (u - beta_i)^2 / (2 var beta_i)
        variance = covariance_of_beta(full.factor, self.setup)[self.i, self.i]
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


def minimum(theta, setup, held):
    """A minimum of the criterion over what is not held: theta, value, derivatives."""
    theta, value = newton(theta, lambda theta: LMMprof(theta, setup), setup, held=held, done=DONE)
    return theta, value, derivatives(theta, setup, value)


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
            if not abs(u - origin) <= FAR * width and u != -np.inf:
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
        if sign < 0 and curve.may_be_zero and (curve.estimate == -np.inf or miss(-np.inf)[0] >= 0):
            bounds.append(-np.inf)
            continue
        curve.theta = at_estimate
        u = root_by_newton(miss, origin + sign * width, width)
        if u is None or sign * (u - curve.estimate) <= 0 or branch(curve, u) is not None:
            curve.theta = at_estimate
            u = root_by_bisection(careful_miss, origin, sign * width)
        bounds.append(u)
    return bounds


def root_by_newton(miss, start, width):
    """Where miss(u) = (value, derivative) has the value 0, or None if a flat stretch sends the iteration away."""
    try:
        found = root_scalar(miss, method="newton", x0=start, fprime=True, maxiter=12, xtol=ROOT * width)
    except ArithmeticError:
        return None
    return found.root if found.converged else None


def root_by_bisection(miss, start, step):
    """The same where the criterion has several branches, searched from the estimate outwards in steps."""
    try:
        inside, outside = start, start + step
        while step * miss(inside)[0] > 0:               # the estimate is a standard deviation of zero, u = -inf
            inside, outside = inside - step, inside
        while step * miss(outside)[0] < 0:              # `miss` raises an OverflowError far away
            inside, outside = outside, outside + step
        return root_scalar(lambda u: miss(u)[0], method="brentq", bracket=(inside, outside), xtol=ROOT * abs(step)).root
    except ArithmeticError:
        raise LMMError("a profile cannot be followed, for the residual sd goes to 0 on its way; use fewer or coarser blocks "
                       "in ref, or method='wald'") from None


def branch(curve, u):
    """A theta with a lower criterion at u than the one that was followed there, a block being zero or not; None if none is."""
    nll, _ = curve(u)
    followed = curve.theta
    setup, held = curve.at(u)
    at_zero = not np.isfinite(followed).all()
    starts = [without(start, j) for start in (followed, *[opened(followed, setup)] * at_zero)
              for j in range(len(followed) - 1) if start[1 + j] > -np.inf] + [opened(followed, setup)] * at_zero
    for start in starts:
        if np.array_equal(start[held], followed[held]):
            theta, value = newton(start, lambda theta: LMMprof(theta, setup), setup, (followed, nll), held, DONE)
            if value < nll - NLL_ERROR * max(1.0, abs(nll)):
                return theta
    return None
