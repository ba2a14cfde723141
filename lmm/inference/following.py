"""Where a profile crosses the level of an interval: the first crossing outwards from the estimate.

With zeta(u) = sqrt(2 (p(u) - nll)) for the profile p of curves.py, the bound on one side is the end
of the stretch from the estimate on which zeta <= z. What is followed is at least p, so a crossing
that was found is never too far out, and it is one of p if no other start does better there. If one
does, this u lies within, and the search goes on outwards from it, on the lower branch. Hence

    1.  Newton's iteration on zeta, from Wald's bound, in the bracket that it finds by itself;
    2.  where that leaves its bracket, or zeta falls on the way: steps outwards, a bracketed root;
    3.  a look for lower branches at the crossing, and 2. again from there, until there are none.

Each has a limit of steps. What has no bound raises `NoBound` with the reason.
"""

import numpy as np

from ..fitting import NLL_ERROR, Criterion, minimum, opened, size_of
from ..practical import LMMprof
from .curves import CorrelationCurve, Point, SigmaCurve

ROOT = 1e-7             # of a bound's last step, relative to its distance; the error is its square
MOST_NEWTON = 12        # steps of Newton's iteration on zeta ...
MOST_OUTWARDS = 60      # ... outwards ...
MOST_BRACKETED = 60     # ... and within a bracket
MOST_FAILURES = 8       # evaluations on the way outwards that may fail
MOST_BRANCHES = 12      # lower branches at a crossing
FIRST_OUTWARDS = 0.25   # of Wald's distance, the first step outwards
FURTHER = 3.0           # by which a step outwards may be longer than the last
PAST = 0.2              # of zeta, how far past the level a step outwards aims
PARTS_OF_WAY = np.array([0.25, 0.5, 0.75])  # where a hill of zeta is looked for between two u ...
LOOKS_DOWN = np.array([0.5, 1.5, 3.0])      # ... and, log units, on the way to an sd of zero
SLOW = 3                # steps in which a bracket halves at least
PLATEAU = 2.0           # log units of a step down in log sd, after which zeta at zero decides
FAR_LOG = 30.0          # log units of a bound from the estimate, where V has no digits left ...
FAR_BETA = 1e6          # ... and in widths of Wald's interval
NO_SIGMA = 14.0         # log units of sigma below its estimate, where it is as good as zero
VANISHED = 23.0         # log units below the estimate, where sigma is zero but for rounding, if ...
STILL_FALLING = 0.25    # ... nll falls by more than this as log sigma does by 1
SMALL_NOBS = 50         # rows, up to which other branches are looked for at length

VANISHING = "the residual sd goes to 0 on the way"
NO_CROSSING = "the likelihood does not drop enough however far away"
NO_VALUE = "the likelihood cannot be evaluated on the way"
NO_END = "its profile could not be followed"


class NoBound(Exception):
    """A profile has no bound on one side, for the reason given."""


class BelowFit(Exception):
    """A profile falls below the nll of its fit: `point` is where."""

    def __init__(self, point):
        super().__init__(point.nll)
        self.point = point


def is_delicate(fit):
    """Whether other branches are looked for at length: few rows, or a singular covariance."""
    is_small = fit.nobs <= SMALL_NOBS
    return fit.setup.engine.cheap and (is_small or bool(fit.singular))


def interval(curve, z):
    """The u below and above the estimate with |zeta| = z, or the edges before it."""
    return [bound(curve, sign, z) for sign in (-1, 1)]


def bound(curve, sign, z):
    """The first u with zeta = z on one side of the estimate, or the edge.

    Raises `NoBound`, or `BelowFit`.
    """
    return Search(curve, sign, z).bound()


class Search:
    """The search for one bound: on the side `sign` of a curve's estimate, at zeta = z."""

    def __init__(self, curve, sign, z):
        self.curve = curve
        self.sign = sign
        self.z = z
        self.edge = curve.edges.get(sign)
        self.width = z * curve.se
        self.cheap = curve.setup.engine.cheap
        self.thorough = is_delicate(curve.fit)
        self.found = None                                       # the `Point` at the crossing
        self.known = 0                                          # branches that were tried there

    def bound(self):
        """The first crossing, as a u, or the edge."""
        try:
            return float(self._bound())
        except ArithmeticError:
            raise NoBound(NO_VALUE) from None

    def again(self):
        """The same, with branches tried that other curves of the fit have found meanwhile."""
        found = self.found
        self.known = len(self.curve.branches)
        try:
            lower = self.curve.lower(found, self.curve.known(found.u))
            if lower is None:
                return float(found.u)
            return float(self.lowest(self.outwards(lower)))
        except ArithmeticError:
            raise NoBound(NO_VALUE) from None

    def _bound(self):
        curve = self.curve
        if curve.estimate == self.edge or self.is_anything():
            return self.edge
        if self.edge is not None:
            at_edge = self.at_edge(curve.theta)
            if self.height(at_edge) <= self.z:
                return self.before(at_edge)

        # -- 1., or where that is not plain 2.
        crossing = self.by_newton()
        if crossing is None:
            self.thorough = self.cheap
            crossing = self.outwards(self.first())
        return self.lowest(crossing)

    def lowest(self, crossing):
        """3.: the u of a crossing, or of one farther outwards while there are lower branches."""
        for _ in range(MOST_BRANCHES):
            self.found = None
            if crossing.u == self.edge:
                return crossing.u
            lower = self.curve.below(crossing, self.thorough)
            self.found = crossing
            self.known = len(self.curve.branches)
            if lower is None:
                return crossing.u
            self.thorough = self.cheap
            crossing = self.outwards(lower)
        raise NoBound(NO_END)

    def is_anything(self):
        """Whether a correlation may be anything at this level, for one of its sds may be zero."""
        if not isinstance(self.curve, CorrelationCurve):
            return False
        return any(self.height(one.without) <= self.z for one in self.curve.sd_curves)

    # -- p(u) and zeta ---------------------------------------------------------------------------

    def height(self, point):
        """zeta >= 0, on either side."""
        return height(self.curve, point)

    def outward_slope(self, point, zeta):
        """d zeta / du outwards."""
        return self.sign * point.slope / zeta if zeta > 0 else np.inf

    def at(self, u, *starts):
        """The `Point` at u."""
        point = self.curve.least(u, *starts)
        refuse_vanishing(self.curve, point)
        return point

    def at_edge(self, theta):
        """The `Point` at the edge; that of a standard deviation of zero is known to its curve."""
        if self.edge == -np.inf and theta is self.curve.theta:
            return self.curve.without
        return self.at(self.edge, theta)

    def crossing(self, u, near):
        """The `Point` at the root u, from one so near that theta is the same but for rounding."""
        level = self.curve.nll + self.z**2 / 2
        return Point(u, near.theta, level, near.slope)

    # -- 1. Newton's iteration -------------------------------------------------------------------

    def by_newton(self):
        """The crossing by Newton's iteration on zeta, or None where it is not plain."""
        curve = self.curve
        inside = 0.0                                            # distances outwards from the origin
        outside = np.inf
        if self.edge is not None and np.isfinite(self.edge):
            outside = abs(self.edge - curve.origin)
        distance = self.width
        last_u = curve.origin
        last_theta = start = curve.theta
        for _ in range(MOST_NEWTON):
            u = curve.origin + self.sign * distance
            if not inside < distance < outside or self.is_far(u):
                return None
            try:
                point = self.at(u, start)
            except (ArithmeticError, NoBound):
                return None
            zeta = self.height(point)
            slope = self.outward_slope(point, zeta)
            if not 0 < slope < np.inf:
                return None

            # -- the bracket, and Newton's step
            if zeta > self.z:
                outside = distance
            else:
                inside = distance
            step = (self.z - zeta) / slope
            distance += step
            if abs(step) < ROOT * self.width:
                crossing = self.crossing(curve.origin + self.sign * distance, point)
                return crossing if self.is_plain(crossing) else None

            # -- the others go on along a line
            ratio = self.sign * step / (u - last_u)
            start = predicted(last_theta, point.theta, ratio)
            last_u = u
            last_theta = point.theta
        return None

    def is_plain(self, crossing):
        """Whether half-way zeta is below the level and rises outwards."""
        curve = self.curve
        if self.sign * (crossing.u - curve.estimate) <= 0:
            return False
        start = crossing.theta
        if np.isfinite(start).all() and np.isfinite(curve.theta).all():
            start = 0.5 * (start + curve.theta)
        middle = self.at(0.5 * (curve.origin + crossing.u), start)
        return self.height(middle) < self.z and self.sign * middle.slope > 0

    # -- 2. steps outwards, and a bracketed root -------------------------------------------------

    def first(self):
        """A `Point` within: near the estimate, or where that is at an edge, near enough to it."""
        u = self.curve.origin
        for _ in range(MOST_OUTWARDS):
            point = self.at(u, self.curve.theta)
            if self.height(point) < self.z:
                return point
            u -= self.sign * FIRST_OUTWARDS * self.width
        raise NoBound(NO_END)

    def outwards(self, inside):
        """The crossing beyond a `Point` with zeta <= z, or the edge."""
        self.height(inside)                                     # it may be below the fit
        step = FIRST_OUTWARDS * self.width
        failures = 0
        for _ in range(MOST_OUTWARDS):
            # -- the next u, not beyond the edge, nor too far away
            u = inside.u + self.sign * step
            if self.edge is not None and self.sign * u >= self.sign * self.edge:
                u = self.edge
            elif self.is_far(u):
                return self.at_the_end(inside)
            try:
                trial = self.at(u, inside.theta)
            except ArithmeticError:
                step /= 4
                failures += 1
                if failures > MOST_FAILURES:
                    raise
                continue

            # -- outside: the root lies between; inside: it may have been outside in between
            zeta = self.height(trial)
            if zeta > self.z:
                return self.bracketed(inside, trial)
            if u == self.edge:
                return trial
            if self.sign * trial.slope < 0:
                between = inside.u + PARTS_OF_WAY * (trial.u - inside.u)
                hill = self.hill(between, inside, trial)
                if hill is not None:
                    return self.bracketed(inside, hill)

            # -- how far on: a little past the level, if zeta is a line
            slope = self.outward_slope(trial, zeta)
            wanted = (self.z + PAST - zeta) / slope if slope > 0 else np.inf
            step = min(wanted, FURTHER * step)
            inside = trial
            if self.edge == -np.inf and wanted > PLATEAU:
                at_edge = self.at_edge(trial.theta)
                if self.height(at_edge) <= self.z:
                    return at_edge
        raise NoBound(NO_END)

    def is_far(self, u):
        """Whether u is farther from the estimate than any bound that means something."""
        distance = abs(u - self.curve.origin)
        if self.curve.place is None:
            return distance > FAR_BETA * self.width
        if isinstance(self.curve, SigmaCurve) and self.sign < 0:
            return distance > NO_SIGMA
        return distance > FAR_LOG

    def at_the_end(self, inside):
        """What there is in place of a crossing far away: for sigma downwards zero."""
        if isinstance(self.curve, SigmaCurve) and self.sign < 0:
            self.edge = -np.inf
            return inside._replace(u=-np.inf)
        raise NoBound(NO_CROSSING)

    def before(self, at_edge):
        """The edge, where zeta <= z; or, if delicate, the crossing at a hill before it."""
        if not self.thorough:
            return self.edge
        curve = self.curve
        near = self.at(curve.origin, curve.theta)
        if self.height(near) > self.z:
            return self.edge
        ways = LOOKS_DOWN
        if np.isfinite(self.edge):
            ways = PARTS_OF_WAY * abs(self.edge - curve.origin)
        hill = self.hill(curve.origin + self.sign * ways, near, at_edge)
        if hill is None:
            return self.edge
        return self.bracketed(near, hill).u

    def hill(self, values, inside, beyond):
        """The first `Point` with zeta > z at one of these u between two points within, or None."""
        for u in values:
            point = self.at(u, inside.theta, beyond.theta)
            if self.height(point) > self.z:
                point = self.curve.below(point, self.thorough) or point
            if self.height(point) > self.z:
                return point
        return None

    def bracketed(self, inside, outside):
        """The crossing between two points, zeta <= z < zeta: Newton's steps, or halving.

        Each value is the lower one of those from both ends, so that what is solved is the envelope
        of their branches, which is continuous.
        """
        last_gap = abs(outside.u - inside.u)
        slow = 0
        near = outside
        for _ in range(MOST_BRACKETED):
            gap = abs(outside.u - inside.u)
            if gap < ROOT * self.width:
                break
            slow += 1
            if gap <= last_gap / 2:
                last_gap = gap
                slow = 0

            # -- Newton's next point, or the middle
            zeta = self.height(near)
            slope = self.outward_slope(near, zeta)
            step = (self.z - zeta) / slope if 0 < slope < np.inf else np.inf
            u = near.u + self.sign * step
            within = self.sign * inside.u < self.sign * u < self.sign * outside.u
            if within and abs(step) < ROOT * self.width:
                return self.crossing(u, near)
            if not within or slow > SLOW:
                u = 0.5 * (inside.u + outside.u)
                slow = 0

            near = self.at(u, inside.theta, outside.theta)
            if self.height(near) > self.z:
                outside = near
            else:
                inside = near
        return self.crossing(0.5 * (inside.u + outside.u), outside)


def predicted(theta, last, ratio):
    """theta on the line through two of them, `ratio` times their distance beyond the last."""
    if abs(ratio) > 1 or not (np.isfinite(theta).all() and np.isfinite(last).all()):
        return last
    return last + ratio * (last - theta)


def height(curve, point):
    """zeta >= 0 of a `Point`, if it is not below the fit."""
    if point.nll < curve.nll - NLL_ERROR * size_of(point.nll):
        raise BelowFit(point)
    return np.sqrt(2 * max(point.nll - curve.nll, 0.0))


def refuse_vanishing(curve, point):
    """Raise `NoBound` where nll falls on and on as sigma goes to zero."""
    if curve.place == 0 or point.theta[0] > curve.fit.theta[0] - VANISHED:
        return
    above = point.theta.copy()
    above[0] += 1
    if curve.criterion(point.u)(above) > point.nll + STILL_FALLING:
        raise NoBound(VANISHING)


def better_start(curve, point):
    """A theta of the fit's own with a lower nll than the fit, reached from a `Point` below it.

    Raises `NoBound` where nll falls without bound from there.
    """
    fit = curve.fit
    start = opened(curve.in_fit(point.theta), fit.setup)
    theta, value = minimum(Criterion(LMMprof, fit.setup), start)
    is_bounded = theta[0] > fit.theta[0] - VANISHED
    if not (is_bounded and value < fit.nll - NLL_ERROR * size_of(value)):
        raise NoBound(VANISHING)
    return opened(theta, fit.setup)
