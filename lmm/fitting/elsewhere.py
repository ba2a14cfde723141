"""Other optima: a look where another one might be, at a cost in proportion to the fit's own.

A certificate says that a fit is a local optimum. Where few degrees of freedom are left there may be
others: then the search is made again from many starts. Otherwise plain evaluations look first, and
only what they say is another basin is searched:

    a grid      of log sds over sigma, sigma being profiled out, for few uncorrelated effects and
                few columns: its local minima, but the one that is the known optimum
    lines       of each log sd alone, from the known optimum on, for more columns
    a path      from a start to the known optimum, linear in psi: where the criterion rises on it,
                the start is not on the slope of that optimum
"""

import itertools
from functools import cache

import numpy as np

from ..model import Unstructured
from .newton import BETTER, minimum, rescaled, size_of

FEW_ROWS = 40               # up to which correlated effects, or one term, often have several optima
# rows less columns of X and Z, up to which sigma may have several: too many for a grid of three
FEW_LEFT = 40
MANY_LEVELS = 100           # of a term, whose variance they tell beyond doubt of another optimum
COLLINEAR = 0.95            # correlation of a start where two effects are nearly of one line
# log sds over that which makes an average level's whole as large as sigma, by the number of blocks
GRIDS = {
    1: (-np.inf, *np.arange(-4.0, 7.0)),
    2: (-np.inf, -3.0, -1.5, 0.0, 1.5, 3.0, 5.0),
    3: (-np.inf, -1.5, 0.5, 3.5),
}
LINE = (-np.inf, -3.0, -1.5, 0.0, 1.5, 3.0)     # of one log sd, likewise
MOST_ON_GRID = 5e6          # points times cubed columns of Z, X and y: some tenths of a millisecond
# shares of the way from the known optimum to a start: from zero on the first step decides, from a
# large term the last ones, on the scale of the optimum
FROM_ZERO = (0.97,)
FROM_LARGE = (0.3, 0.03)
NEARBY = (0.03,)
ALL_THE_WAY = (0.97, 0.7, 0.3, 0.03)
RISE = 1e-7                 # of nll, relative to max(1, |nll|), that is no rounding error


def best_optimum(criterion, theta, value, certified=True):
    """The best of the minimum at theta and those from other starts, and its value.

    All starts are searched where theta is not `certified`.
    """
    for _ in range(2 * len(theta)):
        for start in promising(criterion, theta, value, certified):
            other, other_value = minimum(criterion, start, rival=(theta, value))
            if other_value < value - BETTER * size_of(value):
                theta, value = minimum(criterion, other, done=criterion.done)
                break
        else:
            return theta, value
    return theta, value


def promising(criterion, theta, value, certified):
    """The thetas from which another optimum may be reached."""
    setup = criterion.setup
    n = setup.design.n
    left = n - len(setup.beta_0) - setup.engine.p
    if setup.engine.exact and (n <= FEW_ROWS or not certified):
        return elsewhere(theta, setup)
    if has_grid(setup) and (left > FEW_LEFT or len(theta) <= 3):
        starts = minima_of_grid(criterion, theta)
        apart = (one for one in starts if is_apart(criterion, one, theta, value, ALL_THE_WAY))
        return itertools.chain(apart, exchanged(theta, setup))
    if setup.engine.exact and left <= FEW_LEFT:
        return elsewhere(theta, setup)
    if setup.engine.exact and not setup.engine.averages and setup.covariance.elementwise:
        starts = minima_of_lines(criterion, theta, value)
        return itertools.chain(starts, exchanged(theta, setup))
    if setup.engine.exact and not setup.engine.averages:
        starts = elsewhere(theta, setup)
        return (start for start in starts if is_apart(criterion, start, theta, value))
    starts = alone_in_being_large(theta, setup, MANY_LEVELS)    # two evaluations for each
    return (start for start in starts if is_apart(criterion, start, theta, value, NEARBY))


def has_grid(setup):
    """Whether the criterion is looked at on a grid: where that is cheap."""
    J = len(setup.design.blocks)
    if not (setup.engine.cheap and setup.covariance.elementwise and J in GRIDS):
        return False
    columns = setup.engine.p + len(setup.beta_0) + 1
    return len(GRIDS[J]) ** J * columns**3 <= MOST_ON_GRID


# -- a grid ----------------------------------------------------------------------------------------


def minima_of_grid(criterion, theta):
    """The local minima of the grid, but the one that theta is next to; the lowest one first."""
    setup = criterion.setup
    J = len(theta) - 1
    if not J:
        return []
    steps, neighbours = grid_of(J)
    thetas = np.zeros((len(steps), J + 1))
    thetas[:, 1:] = steps + setup.units
    values, thetas = criterion.many(thetas)
    finite = np.isfinite(values)

    # -- no neighbour is lower; of those that tie, the one with smaller sds
    around = np.append(values, np.inf)[neighbours]
    lowest = finite & (values[:, None] <= around).all(axis=1)

    # -- where theta itself is: within a step of the grid
    position = np.array([nearest(step, J) for step in theta[1:] - theta[0] - setup.units])
    places = np.array([np.searchsorted(GRIDS[J], step) for step in steps.T]).T
    away = np.abs(places - position).max(axis=1) > 1
    chosen = np.flatnonzero(lowest & away)
    return [thetas[i] for i in chosen[np.argsort(values[chosen])]]


def nearest(step, J):
    """The place in the grid that is nearest to a log sd over sigma and its unit."""
    finite = np.array(GRIDS[J][1:])
    if step < 1.5 * finite[0] - 0.5 * finite[1]:
        return 0                                    # as good as zero
    return 1 + int(np.argmin(np.abs(finite - step)))


@cache
def grid_of(J):
    """The points of the grid, (B, J), and the numbers of each one's neighbours, (B, 3^J); B: none.

    A neighbour differs by one place at most in each coordinate; each point is among its own.
    """
    grid = GRIDS[J]
    steps = np.array(list(itertools.product(grid, repeat=J)))
    places = np.array(list(itertools.product(range(len(grid)), repeat=J)))
    neighbours = []
    for offset in itertools.product((-1, 0, 1), repeat=J):
        beside = places + offset
        inside = ((beside >= 0) & (beside < len(grid))).all(axis=1)
        number = np.ravel_multi_index(np.clip(beside, 0, len(grid) - 1).T, (len(grid),) * J)
        neighbours.append(np.where(inside, number, len(steps)))
    return steps, np.array(neighbours).T


# -- lines -----------------------------------------------------------------------------------------


def minima_of_lines(criterion, theta, value):
    """The local minima along each log sd from theta on, sigma being profiled out.

    The lowest one first; and each term alone in being large, if the criterion rises from it.
    """
    setup = criterion.setup
    found = []
    for j in range(1, len(theta)):
        points = [(float(value), theta)]
        for step in GRIDS[1] if len(theta) == 2 else LINE:
            other = theta.copy()
            other[j] = theta[0] + setup.units[j - 1] + step
            at_other = criterion(other)
            if at_other.triangle is not None:
                other, at_other = rescaled(other, at_other, setup)
                points.append((float(at_other), other))
        points.sort(key=lambda point: point[1][j] - point[1][0])
        values = np.array([np.inf, *(one for one, _ in points), np.inf])
        lowest = (values[1:-1] < values[:-2]) & (values[1:-1] < values[2:])
        found += [points[i] for i in np.flatnonzero(lowest) if points[i][1] is not theta]
    found.sort(key=lambda point: point[0])
    yield from (start for _, start in found)
    if len(theta) > 2:
        for start in alone_in_being_large(theta, setup):
            if is_apart(criterion, start, theta, value, NEARBY):
                yield start


# -- starts, and paths from them -------------------------------------------------------------------


def is_apart(criterion, start, theta, value, shares=None):
    """Whether the criterion rises somewhere on the way from a start to the optimum theta."""
    covariance = criterion.setup.covariance
    psi = covariance.psi(theta)
    away = covariance.psi(start) - psi
    if shares is None:
        shares = FROM_ZERO if np.trace(away) < 0 else FROM_LARGE
    before = criterion(start)
    for share in shares:
        log_sigma = theta[0] + share * (start[0] - theta[0])
        between = criterion(covariance.theta(log_sigma, psi + share * away))
        if between > before + RISE * size_of(value):
            return True
        before = between
    return before < value


def elsewhere(theta, setup):
    """Thetas from which another optimum might be reached, if there is one.

    Each term on the other side of the boundary: a direction at zero put back on the scale of sigma,
    the last other one set to zero; each term alone in being large; in small data, of correlated
    effects any two nearly of one line, up or down; and where Z has half as many columns as rows, a
    small sigma.
    """
    covariance = setup.covariance
    log_unit = theta[0] + setup.units
    usual = uncorrelated(setup, theta[0], log_unit)
    yield from across_the_boundary(theta, covariance, usual)
    if setup.engine.p + len(setup.beta_0) > setup.design.n / 2:    # few df for sigma
        other = theta.copy()
        other[0] -= 6.0
        yield other
        yield uncorrelated(setup, theta[0] - 5.0, log_unit)
        yield uncorrelated(setup, theta[0], log_unit + 2.0)
    few_rows = setup.design.n <= FEW_ROWS
    if len(covariance.spans) > 1 or few_rows:
        yield from alone_in_being_large(theta, setup)
    if few_rows:
        for blocks, structure in zip(covariance.spans, covariance.structures):
            if isinstance(structure, Unstructured):
                yield from nearly_collinear(theta, covariance, blocks, log_unit)


def uncorrelated(setup, log_sigma, log_sds):
    """The theta of effects without correlations."""
    return setup.covariance.theta(log_sigma, np.diag(np.exp(2 * log_sds)))


def exchanged(theta, setup):
    """Thetas of uncorrelated effects where one that is zero takes the place of one that is not."""
    zero = np.flatnonzero(theta == -np.inf)
    others = np.flatnonzero(np.isfinite(theta[1:])) + 1
    for i, j in itertools.product(zero, others):
        other = theta.copy()
        other[i] = theta[j] - setup.units[j - 1] + setup.units[i - 1]
        other[j] = -np.inf
        yield other


def alone_in_being_large(theta, setup, most_levels=np.inf):
    """Thetas where one term, of so many levels at most, is larger than sigma, others smaller."""
    log_unit = theta[0] + setup.units
    if len(setup.covariance.spans) == 1 and most_levels < np.inf:
        return
    for blocks in setup.covariance.spans:
        if setup.design.blocks[blocks.start].matrix.shape[1] > most_levels:
            continue
        log_sds = log_unit - 1.0
        log_sds[blocks] += 3.0
        yield uncorrelated(setup, theta[0], log_sds)


def across_the_boundary(theta, covariance, usual):
    """Each direction that is zero put back near its value in the theta `usual`.

    Each term's last other one is put at zero.
    """
    zero = covariance.is_zero(theta)
    first = 0
    for one in covariance.structures:
        last = first + len(one.directions)
        for d in first + np.flatnonzero(zero[first:last]):
            place = covariance.directions[d]
            for offset in (-1.0, 2.0):
                other = theta.copy()
                other[place] = usual[place] + offset
                yield other
        not_zero = first + np.flatnonzero(~zero[first:last])
        if len(not_zero):
            yield covariance.without(theta, not_zero[-1])
        first = last


def nearly_collinear(theta, covariance, blocks, log_unit):
    """Thetas where two effects of a term are nearly of one line.

    They are of one or two log units above sigma's.
    """
    for i, j in itertools.combinations(range(blocks.start, blocks.stop), 2):
        for correlation, log_size in itertools.product((-COLLINEAR, COLLINEAR), (1.0, 2.0)):
            sds = np.exp(log_unit + log_size)
            psi = np.diag(sds**2)
            psi[i, j] = psi[j, i] = correlation * sds[i] * sds[j]
            yield covariance.theta(theta[0], psi)
