"""Polynomials and splines of a covariate, as R has them, which keep what they found in the data.

Each is one of patsy's stateful transforms: `memorize_chunk` sees the data of the fit,
`memorize_finish` decides on the basis, and `transform` evaluates it there and at new values.

Sources: R's ``stats::poly``, ``splines::bs`` and ``splines::ns``, whose values these are; Forsythe
(1957), "Generation and use of orthogonal polynomials for data-fitting with a digital computer",
J. SIAM 5, for the recurrence.
"""

import inspect

import numpy as np
import pandas as pd
from patsy import stateful_transform
from patsy.mgcv_cubic_splines import CR

from ..errors import LMMError, shorten

CUBIC = 3
STRAIGHT = "a straight line goes on"


class Basis:
    """What the bases share: the values of the fit are gathered, and rows keep their index."""

    beyond = None               # the value that lies farthest beyond the boundary, at the last call

    def memorize_chunk(self, x, *arguments, **named):
        """Take note of the covariate's values and of how the basis was asked for."""
        self._found = [*getattr(self, "_found", []), _vector(x)]
        self._asked = (arguments, named)

    def memorize_finish(self):
        """Decide on the basis."""
        arguments, named = self._asked
        self.choose(np.concatenate(self._found), *arguments, **named)
        del self._found

    def transform(self, x, *arguments, **named):
        """The values of the basis, (n, columns): by the index of `x` if it has one."""
        values = self.evaluate(_vector(x))
        if isinstance(x, (pd.Series, pd.DataFrame)):
            return pd.DataFrame(values, index=x.index)
        return values


def _vector(x):
    """A covariate as an array, (n,)."""
    x = np.asarray(x, float)
    if x.ndim == 2 and x.shape[1] == 1:
        x = x[:, 0]
    if x.ndim != 1:
        raise LMMError("form holds a polynomial or a spline of several columns; it takes one")
    return x


# -- polynomials


class OrthogonalPolynomials(Basis):
    """``poly(x, degree=1, raw=False)``: powers of x, by default orthogonal to each other and to 1.

    The orthogonal ones have the length 1 over the data of the fit, and positive leading
    coefficients.
    """

    def choose(self, x, degree=1, raw=False):
        """The recurrence p_{j+1} = (u - a_j) p_j - b_j p_{j-1}, in u, the x that is standardised.

        So the p_j stay near 1, where powers of x would lose the digits of a large one.
        """
        degree = _whole(degree, "degree", 1)
        distinct = len(np.unique(x))
        if degree >= distinct:
            raise LMMError(
                f"form holds a polynomial of degree {degree} of a column with {distinct} distinct "
                "values, which has fewer degrees"
            )
        self.raw = raw
        self.degree = degree
        if raw:
            return
        self.center = x.mean()
        self.scale = np.abs(x - self.center).max()
        self.steps = []                                     # (a_j, b_j, |p_{j+1}|)
        u = (x - self.center) / self.scale
        before = np.zeros_like(u)
        p = np.ones_like(u)
        squared = p @ p
        b = 0.0
        for _ in range(degree):
            a = u @ p**2 / squared
            before, p = p, (u - a) * p - b * before
            length = np.linalg.norm(p)
            self.steps.append((a, b, length))
            b = length**2 / squared
            squared = length**2

    def evaluate(self, x):
        """The polynomials of degree 1, 2, ... at x, (n, degree)."""
        if self.raw:
            return x[:, None] ** np.arange(1, self.degree + 1)
        u = (x - self.center) / self.scale
        before = np.zeros_like(u)
        p = np.ones_like(u)
        columns = []
        for a, b, length in self.steps:
            before, p = p, (u - a) * p - b * before
            columns.append(p / length)
        return np.column_stack(columns)


# -- splines


class Spline(Basis):
    """What B-splines and natural splines share: knots, and a basis of piecewise polynomials."""

    def set_knots(self, x, knots, n_inner, boundary, degree):
        """The boundary knots, and `n_inner` ones at quantiles of x unless they are given."""
        lower, upper = boundary
        self.lower = x.min() if lower is None else lower
        self.upper = x.max() if upper is None else upper
        if not self.lower < self.upper:
            raise LMMError(
                f"form holds a spline with the boundary knots {self.lower:g} and {self.upper:g}; "
                "the first is to be below the second"
            )
        if knots is None:
            shares = np.linspace(0, 1, n_inner + 2)[1:-1]
            within = x[(x >= self.lower) & (x <= self.upper)]
            knots = np.quantile(within, shares)
        knots = np.sort(np.atleast_1d(np.asarray(knots, float)))
        if knots.size and (knots[0] < self.lower or knots[-1] > self.upper):
            raise LMMError(
                f"form holds a spline with the knots {shorten(knots)}, which are not all within "
                f"its boundary knots, {self.lower:g} and {self.upper:g}"
            )
        ends = np.repeat([self.lower, self.upper], degree + 1)
        self.degree = degree
        self.knots = np.sort(np.concatenate([ends, knots]))

    def b_splines(self, x, derivative=0):
        """All B-splines over the knots at x, (n, columns); beyond them the outermost pieces."""
        # here, for it takes a while to load
        from scipy.interpolate import BSpline

        n = len(self.knots) - self.degree - 1
        spline = BSpline(self.knots, np.eye(n), self.degree, extrapolate=True)
        return spline(x, nu=derivative)

    def note_beyond(self, x):
        """Keep the value that lies farthest beyond the boundary knots."""
        self.beyond = _farthest_beyond(x, self.lower, self.upper)


def _farthest_beyond(x, lower, upper):
    """The value that lies farthest outside of an interval; None if all are in it."""
    distance = np.maximum(lower - x, x - upper)
    farthest = int(np.argmax(distance))
    return x[farthest] if distance[farthest] > 0 else None


class PiecewisePolynomials(Spline):
    """``bs(x, df=None, knots=None, degree=3, intercept=False, Boundary_knots=None)``: B-splines.

    Also by patsy's words: include_intercept, lower_bound and upper_bound. Beyond the boundary knots
    the outermost polynomials go on, as in R.
    """

    goes_on = "the polynomial of the last piece goes on"

    def choose(
        self,
        x,
        df=None,
        knots=None,
        degree=3,
        include_intercept=False,
        lower_bound=None,
        upper_bound=None,
        intercept=False,
        Boundary_knots=None,
    ):
        """As many knots as leave `df` columns."""
        degree = _whole(degree, "degree", 0)
        self.intercept = bool(include_intercept or intercept)
        boundary = _boundary(Boundary_knots, lower_bound, upper_bound)
        least = degree + self.intercept
        n_inner = _n_inner(df, least, knots)
        self.set_knots(x, knots, n_inner, boundary, degree)

    def evaluate(self, x):
        """The B-splines at x, without the first unless there is an intercept."""
        self.note_beyond(x)
        return self.b_splines(x)[:, 0 if self.intercept else 1 :]


class NaturalSplines(Spline):
    """``ns(x, df=None, knots=None, intercept=False, Boundary_knots=None)``: natural cubic splines.

    Their second derivatives are zero at the boundary knots, and beyond they are straight lines.
    """

    goes_on = STRAIGHT

    def choose(self, x, df=None, knots=None, intercept=False, Boundary_knots=None):
        """The B-splines N with N'' = 0 at both ends: those orthogonal to N''(ends)', by its QR."""
        self.intercept = bool(intercept)
        n_inner = _n_inner(df, 1 + self.intercept, knots)
        self.set_knots(x, knots, n_inner, _boundary(Boundary_knots, None, None), CUBIC)
        ends = np.array([self.lower, self.upper])
        curvature = self.b_splines(ends, derivative=2)[:, self._first() :]
        Q, _ = np.linalg.qr(curvature.T, mode="complete")
        self.straight = Q[:, 2:]
        self.at_ends = self.b_splines(ends)
        self.slopes = self.b_splines(ends, derivative=1)

    def _first(self):
        return 0 if self.intercept else 1

    def evaluate(self, x):
        """The natural splines at x; beyond the boundary knots by value and slope there."""
        self.note_beyond(x)
        inside = np.clip(x, self.lower, self.upper)
        values = self.b_splines(inside)
        nearest = (x > self.upper).astype(int)
        values = values + (x - inside)[:, None] * self.slopes[nearest]
        return values[:, self._first() :] @ self.straight


def _n_inner(df, least, knots):
    """How many inner knots leave `df` columns, of which `least` need none."""
    if df is None:
        return 0 if knots is None else len(np.atleast_1d(knots))
    n_inner = _whole(df, "df", 1) - least
    if n_inner < 0:
        raise LMMError(f"form holds a spline with df={df}; it takes {least} or more")
    if knots is not None and n_inner != len(np.atleast_1d(knots)):
        raise LMMError(
            f"form holds a spline with df={df}, which means {n_inner} knots, and others by knots=; "
            "leave df out"
        )
    return n_inner


def _boundary(both, lower, upper):
    """The boundary knots as they were asked for, each None if it was not."""
    if both is None:
        return lower, upper
    if np.shape(both) != (2,):
        raise LMMError(
            f"form holds a spline with the boundary knots {both}; they are two numbers, "
            "[lower, upper]"
        )
    return tuple(both)


def _whole(value, name, least):
    """A whole number, not below `least`."""
    if not isinstance(value, (int, float)) or value != int(value) or value < least:
        raise LMMError(
            f"form holds a spline or polynomial with {name}={value}; "
            f"that is a whole number, {least} or more"
        )
    return int(value)


class CubicRegression(CR):
    """patsy's ``cr(x, df=None, knots=None, ...)``, mgcv's natural splines, which notes the same."""

    goes_on = STRAIGHT
    beyond = None

    def memorize_chunk(self, x, *arguments, **named):
        """As patsy's; and the boundary knots."""
        super().memorize_chunk(x, *arguments, **named)
        asked = inspect.signature(CR.memorize_chunk).bind(self, x, *arguments, **named).arguments
        lower = asked.get("lower_bound")
        upper = asked.get("upper_bound")
        self.lower = np.min(x) if lower is None else lower
        self.upper = np.max(x) if upper is None else upper

    def transform(self, x, *arguments, **named):
        """As patsy's."""
        self.beyond = _farthest_beyond(_vector(x), self.lower, self.upper)
        return super().transform(x, *arguments, **named)


poly = stateful_transform(OrthogonalPolynomials)
bs = stateful_transform(PiecewisePolynomials)
ns = stateful_transform(NaturalSplines)
cr = stateful_transform(CubicRegression)
