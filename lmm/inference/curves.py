"""A profile as a function of one parameter u: the minimum p(u) of nll over all the others.

    u = a fixed effect, log sigma, a log standard deviation, or Fisher's z of a correlation.

The others may have several minima, so p is the lower envelope of branches, each followed from its
own start. p is continuous, with kinks where branches cross. By the envelope theorem p'(u) is the
partial derivative of nll in u, the others being at their best.

What a search finds at u is at least p(u): no start is wrong, it only may not be the best one.
"""

from dataclasses import replace
from functools import cached_property
from typing import ClassVar, NamedTuple

import numpy as np

from ..engines import covariance_of_beta
from ..fitting import NLL_ERROR, Criterion, minimum, opened, size_of
from ..model import LARGEST_LOGIT, LARGEST_Z
from ..practical import LMMprof
from .starts import Branches, samples

OTHERS_DONE = 1e-3          # of Newton's iteration over the others, log units
LARGEST_SE = 0.5            # log units or z, of the first step: a small sd lies on a plateau
OPEN_Z = 3.0                # Fisher's z where a profile starts from an estimate of +-1
SAMPLES = 16                # thetas that are looked at for other branches, for each element ...
CHOSEN = 5                  # ... and how many of them are followed to their minimum
SAMPLES_SEED = 20


class Point(NamedTuple):
    """The others' best where the parameter is u, of one start or several."""

    u: float
    theta: np.ndarray
    nll: float
    slope: float            # d nll / du


class Curve:
    """The profile of one parameter that is an element of theta; a subclass says which.

    Parameters
    ----------
    fit : LMMResult
        By maximum likelihood.
    setup : Setup
        The fit's, or one of the same model with other elements of theta.
    theta : ndarray, shape (size,)
        The estimate there.
    place : int
        Which element is the parameter; None for a fixed effect.
    se : float
        The standard error of its estimate: how far the first step goes.
    order : sequence of int, optional
        Which of the fit's blocks stands where in `setup`, if they are not in its order.

    Attributes
    ----------
    estimate : float
        The u of the estimate, where p(u) is `nll`.
    origin : float
        The same, but finite: where outward steps start.
    edges : dict
        Where the parameter ends, by the sign of the way there.
    branches : Branches
        What was found to be lower somewhere, which the curves of a fit share.
    """

    edges: ClassVar = {}

    def __init__(self, fit, setup, theta, place, se, order=None):
        self.fit = fit
        self.nll = fit.nll
        self.setup = setup
        self.theta = theta
        self.place = place
        self.order = order
        self.branches = Branches(fit.setup.covariance)
        self.held = [place]
        self.se = se if 0 < se < LARGEST_SE else LARGEST_SE
        self.estimate = theta[place]
        self.origin = opened(theta, setup)[place]

    def __call__(self, u):
        """p(u), looked for from many starts, and its derivative."""
        point = self.thorough(u)
        return point.nll, point.slope

    def natural(self, u):
        """The parameter in the units of its table."""
        return np.exp(u)

    def criterion(self, u):
        """The criterion of which p(u) is the minimum, `held` being held."""
        return Criterion(LMMprof, self.setup)

    def placed(self, theta, u):
        """theta with u for the parameter."""
        theta = theta.copy()
        theta[self.place] = u
        return theta

    def slope(self, u, theta, value, criterion):
        """d nll / du."""
        return criterion.derivatives(theta, value).gradient[self.place]

    def in_fit(self, theta):
        """The fit's own theta with the same sigma and psi."""
        psi = self.setup.covariance.psi(theta)
        if self.order is not None:
            back = np.argsort(self.order)
            psi = psi[np.ix_(back, back)]
        return self.fit.setup.covariance.theta(theta[0], psi)

    def from_fit(self, theta):
        """The theta here with sigma and psi of one of the fit's own."""
        psi = self.fit.setup.covariance.psi(theta)
        if self.order is not None:
            psi = psi[np.ix_(self.order, self.order)]
        return self.setup.covariance.theta(theta[0], psi)

    # -- p(u), from few starts or many -----------------------------------------------------------

    def least(self, u, *starts):
        """The `Point` of the lowest minimum that these thetas lead to.

        Raises an ArithmeticError if nll cannot be evaluated at any.
        """
        criterion = self.criterion(u)
        found = None
        for start in starts:
            theta, value = self._minimum(criterion, self.placed(start, u))
            if found is None or value < found[1]:
                found = theta, value
        return self._point(u, *found, criterion)

    def _minimum(self, criterion, theta, rival=None):
        return minimum(criterion, theta, rival, self.held, OTHERS_DONE)

    def _point(self, u, theta, value, criterion):
        slope = self.slope(u, theta, value, criterion)
        return Point(u, theta, float(value), float(slope))

    def thorough(self, u):
        """The `Point` at u by all that is known: from the estimate, and from elsewhere."""
        point = self.least(u, self.theta, opened(self.theta, self.setup))
        return self.below(point, thorough=True) or point

    def below(self, point, thorough):
        """A `Point` at the same u with a lower nll, if one is found; None if not.

        From each direction at zero put into the open, and each other one at zero; and if `thorough`
        from the best of many samples of the others.
        """
        starts = list(self.across(point.theta))
        if thorough:
            starts += self.known(point.u) + self.promising(point.u)
        return self.lower(point, starts)

    def lower(self, point, starts):
        """The same from these starts; what is found is kept for the other curves of the fit."""
        criterion = self.criterion(point.u)
        best = point.theta, point.nll
        for start in starts:
            theta, value = self._minimum(criterion, start, best)
            if value < best[1] - NLL_ERROR * size_of(best[1]):
                best = self._minimum(criterion, theta)
        if best[0] is point.theta:
            return None
        self.branches.add(opened(self.in_fit(best[0]), self.fit.setup))
        return self._point(point.u, *best, criterion)

    def known(self, u):
        """The branches of the fit that are known, u being put into them."""
        return [self.placed(self.from_fit(theta), u) for theta in self.branches.thetas]

    def across(self, theta):
        """theta with each direction at zero in turn; if some are, also with these in the open."""
        bases = [theta]
        if not np.isfinite(theta).all():
            in_the_open = opened(theta, self.setup)
            in_the_open[self.held] = theta[self.held]
            bases.append(in_the_open)
        covariance = self.setup.covariance
        for base in bases:
            for d, place in enumerate(covariance.directions):
                if base[place] > -np.inf and place not in self.held:
                    yield covariance.without(base, d)
        yield from bases[1:]

    def promising(self, u):
        """Those of the samples, u being put into them, where the criterion is lowest."""
        criterion = self.criterion(u)
        starts = [self.placed(start, u) for start in self.samples]
        values = np.array([criterion(start) for start in starts])
        number = CHOSEN * self.setup.covariance.size
        lowest = np.argsort(values)[:number]
        return [starts[i] for i in lowest if np.isfinite(values[i])]

    @cached_property
    def samples(self):
        """Thetas all over: small and large sds and sigma, correlations of any size."""
        number = SAMPLES * self.setup.covariance.size
        return samples(self.setup, self.fit.theta[0], number, SAMPLES_SEED)


class SigmaCurve(Curve):
    """u = log sigma."""

    def __init__(self, fit, se):
        super().__init__(fit, fit.setup, fit.theta, 0, se)


class SdCurve(Curve):
    """u = the log sd of one block; -inf where its variance, and its covariances, are zero."""

    edges: ClassVar = {-1: -np.inf}

    def placed(self, theta, u):
        covariance = self.setup.covariance
        directions = np.flatnonzero(covariance.directions == self.place)
        if u == -np.inf and len(directions):
            return covariance.without(theta, directions[0])
        return super().placed(theta, u)

    @cached_property
    def without(self):
        """The `Point` where the standard deviation is zero."""
        return self.least(-np.inf, self.theta)


class CorrelationCurve(Curve):
    """u = Fisher's z of the correlation of two effects, +-LARGEST_Z where it is +-1.

    Where the standard deviation of one of them is zero the correlation is anything: p(u) is at most
    the least nll without the one or the other, which `sd_curves` know.
    """

    edges: ClassVar = {-1: -LARGEST_Z, 1: LARGEST_Z}

    def __init__(self, fit, setup, theta, place, se, sd_curves, order=None):
        super().__init__(fit, setup, theta, place, se, order)
        self.sd_curves = sd_curves
        self.origin = np.clip(self.estimate, -OPEN_Z, OPEN_Z)

    def natural(self, u):
        return np.tanh(u)


class CommonCorrelationCurve(CorrelationCurve):
    """u = z of the one correlation of a compound symmetric term, see `ByCommonCorrelation`."""

    edges: ClassVar = {-1: -LARGEST_LOGIT / 2, 1: LARGEST_LOGIT / 2}

    def __init__(self, fit, setup, theta, term, se, sd_curves):
        self.structure = setup.covariance.structures[term]
        place = setup.covariance.shares[term].start + self.structure.z
        se_of_z = se * self.structure.per_fisher(theta[place])
        super().__init__(fit, setup, theta, place, se_of_z, sd_curves)

    def natural(self, u):
        return self.structure.correlation(u)


class BetaCurve(Curve):
    """u = one fixed effect, which is no element of theta: y - u X_i is regressed on the others.

    With X_others = Q_X Q R, [Q_X Q, e'] is the new [Q_X, e]: e' = e + (beta_0i - u) Q_X w for the
    part Q_X w of X_i that is orthogonal to the others. nll(theta, u) is the criterion there.
    """

    def __init__(self, fit, i, se):
        self.fit = fit
        self.nll = fit.nll
        self.setup = fit.setup
        self.theta = fit.theta
        self.place = None
        self.order = None
        self.branches = Branches(fit.setup.covariance)
        self.held = []
        self.i = i
        self.se = se
        self.estimate = self.origin = fit.beta[i]
        others = np.arange(len(fit.beta)) != i
        column = fit.setup.R_X[:, i]
        self.Q, R = np.linalg.qr(fit.setup.R_X[:, others])
        self.R = np.asfortranarray(R)
        self.w = column - self.Q @ (self.Q.T @ column)

    def natural(self, u):
        return u

    def placed(self, theta, u):
        return theta

    def criterion(self, u):
        k = len(self.w)
        A = np.zeros((k + 1, k))                                # [Q_X Q, e'] = [Q_X, e] A
        A[:k, :-1] = self.Q
        A[:k, -1] = (self.setup.beta_0[self.i] - u) * self.w
        A[k, -1] = 1.0
        without_i = replace(
            self.setup,
            engine=self.setup.engine.combined(A),
            beta_0=np.zeros(k - 1),
            Q_X=None,
            R_X=self.R,
        )
        return Criterion(LMMprof, without_i)

    def slope(self, u, theta, value, criterion):
        """nll(theta, u) = nll(theta) + (u - beta_i)^2 / (2 var beta_i), both at this theta."""
        i = self.i
        full = LMMprof(theta, self.setup)
        if full.triangle is None:
            raise OverflowError
        variance = covariance_of_beta(full.triangle, self.setup)[i, i]
        return (u - full.beta[i]) / variance
