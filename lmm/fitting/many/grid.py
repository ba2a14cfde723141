"""Where the searches of many responses begin: the lowest points of a grid, the same for all.

V is taken apart once for each point: nll of all responses is a few matrix products then. Each other
local minimum of the grid is a start too.
"""

from functools import cache
from itertools import product

import numpy as np

from ...engines import look_around
from ...model import Unstructured
from ..elsewhere import FEW_ROWS, GRIDS

# log sds over that which makes an average level's whole as large as sigma: lines of points
ALONG_LINE = 0.5        # between the points of one log sd ...
LINE_OF_ONE = (-np.inf, *np.arange(-4.0, 7.0, ALONG_LINE), 9.0)      # ... alone
SHORT_LINE = (-np.inf, -2.5, -1.0, 0.5, 2.0, 3.5, 8.0)
FINE_LINE = (-np.inf, *np.arange(-3.0, 7.0), 8.5)       # of two, where a point costs nearly nothing
LARGE = 8.0             # where a term reproduces a mean that X has not
CORRELATIONS = (-0.8, 0.0, 0.8)         # of two effects
FINE_CORRELATIONS = (-0.98, -0.8, -0.4, 0.0, 0.4, 0.8, 0.98)
COARSE = (-3.0, -1.0, 0.5, 2.5)     # of more effects: alone, others


def from_grid(batch, B, start):
    """The lowest point for each response, (B, size), and the other local minima.

    Those as numbers of responses and thetas, (several, size).
    """
    covariance = batch.covariance
    few = batch.design.df.min() <= FEW_ROWS             # several optima: each at its own rows
    if batch.nearly is not None and not few:
        batch = batch.nearly
    design = batch.design
    own_rows = len(design.df) > 1 and not few           # then each point costs as much as a step
    fine = not own_rows and (hasattr(design, "around") or few)
    thetas, neighbours, between = grid_of(covariance, batch.units, own_rows, fine, few)
    if start is not None:
        thetas = np.vstack([thetas, start])
    values = look_around(batch.design, batch.rho(thetas), batch.responses, B)
    best = values.argmin(axis=0)
    lowest_thetas = thetas[best]
    if between:
        lowest_thetas[:, 1] += to_parabola(values, best, between)
    if neighbours is None and len(thetas) > 2:          # the next best one too
        others = values.copy()
        others[best, range(B)] = np.inf
        second = others.argmin(axis=0)
        rows = np.flatnonzero(np.isfinite(others[second, range(B)]))
        return lowest_thetas, (rows, thetas[second[rows]])
    if neighbours is None:
        return lowest_thetas, (np.zeros(0, int), np.zeros((0, covariance.size)))
    on_grid = values[: len(neighbours)]
    infinite = np.full((1, B), np.inf)
    around = np.concatenate([on_grid, infinite])[neighbours]    # (points, neighbours, B)
    lowest = np.isfinite(on_grid) & (on_grid[:, None] <= around).all(axis=1)
    if few and fine and is_correlated(covariance):              # and the best of each correlation
        slices = on_grid.reshape(-1, len(FINE_CORRELATIONS), B)
        best_of_each = slices.argmin(axis=0)
        of_grid = best_of_each * slices.shape[1] + np.arange(slices.shape[1])[:, None]
        lowest[of_grid, range(B)] = True
    lowest[on_grid.argmin(axis=0), range(B)] = False
    point, rows = np.nonzero(lowest)
    return lowest_thetas, (rows, thetas[point])


def to_parabola(values, best, between):
    """How far the minimum of the parabola through three points of a line is from the lowest one.

    `values`, (points, B), are at -inf, at so many points at equal distances `between`, and maybe
    at one more; `best`, (B,), is the lowest.
    """
    inside = (best > 1) & (best < len(LINE_OF_ONE if between == ALONG_LINE else SHORT_LINE) - 1)
    place = np.where(inside, best, 2)
    responses = np.arange(len(best))
    before, here, after = (values[place + step, responses] for step in (-1, 0, 1))
    with np.errstate(all="ignore"):
        away = 0.5 * between * (before - after) / (before - 2 * here + after)
    good = inside & (np.abs(away) <= between)
    return np.where(good, away, 0.0)


def grid_of(covariance, units, short, fine, few):
    """Thetas, (points, size), the numbers of the neighbours of each, or None, and their distance.

    The distance of one log sd alone, else 0.0; with fewer points if `short`, with more if `fine`,
    and of correlated effects if there are `few` rows, where several optima are common.
    """
    J = covariance.entries.J
    pairs = [(i, j) for i, j in covariance.entries.pairs if i != j]
    variances_alone = len(covariance.directions) == covariance.size - 1
    count = covariance.size - 1 if variances_alone else J
    if count == 0:
        return np.zeros((1, covariance.size)), None, 0.0
    if count > 3 or (len(pairs) > 1 and not variances_alone):
        return coarse_grid(covariance, units), None, 0.0

    # -- the line of each log sd
    line = (*GRIDS[count], LARGE)
    between = 0.0
    if count == 1:
        line, between = (SHORT_LINE, 1.5) if short else (LINE_OF_ONE, ALONG_LINE)
    elif short:
        line = (*GRIDS[3], LARGE)
    elif count == 2 and fine and (few or variances_alone):
        line = FINE_LINE
    if variances_alone:
        steps, neighbours = _points((tuple(line),) * count)
        thetas = np.zeros((len(steps), covariance.size))
        thetas[:, 1:] = steps + units_of_variances(covariance, units)
        return thetas, neighbours, between

    # -- two correlated effects, alone or beside another one
    line = tuple(step for step in line if np.isfinite(step))
    correlations = FINE_CORRELATIONS if few and fine else CORRELATIONS
    steps, neighbours = _points((*((line,) * J), correlations))
    sds = np.exp(steps[:, :J] + units)
    psi = np.zeros((len(steps), J, J))
    psi[:, range(J), range(J)] = sds**2
    ((i, j),) = pairs
    psi[:, i, j] = psi[:, j, i] = steps[:, J] * sds[:, i] * sds[:, j]
    return np.array([covariance.theta(0.0, one) for one in psi]), neighbours, 0.0


def units_of_variances(covariance, units):
    """(s,): as `units`, of each variance that psi is linear in."""
    found = []
    squares = np.exp(-2 * units)
    for one, span in zip(covariance.structures, covariance.spans):
        found += [-0.5 * np.log(B.diagonal() @ squares[span]) for B in one.basis]
    return np.array(found)


@cache
def _points(axes):
    """The points of a grid with these axes, and the numbers of each one's neighbours."""
    steps = np.array(list(product(*axes)))
    shape = tuple(len(axis) for axis in axes)
    places = np.array(list(product(*(range(n) for n in shape))))
    neighbours = []
    for offset in product((-1, 0, 1), repeat=len(axes)):
        beside = places + offset
        inside = ((beside >= 0) & (beside < shape)).all(axis=1)
        clipped = np.clip(beside, 0, np.array(shape) - 1)
        number = np.ravel_multi_index(clipped.T, shape)
        neighbours.append(np.where(inside, number, len(steps)))
    return steps, np.array(neighbours).T


def coarse_grid(covariance, units):
    """Thetas of many effects: all alike, each one alone at another size, and any two correlated."""
    thetas = []
    J = len(units)
    pairs = [(i, j) for i, j in covariance.entries.pairs if i != j]
    correlated = []
    for log_sd, (i, j), r in product(COARSE, pairs, (CORRELATIONS[0], CORRELATIONS[-1])):
        sds = np.exp(log_sd + units)
        psi = np.diag(sds**2)
        psi[i, j] = psi[j, i] = r * sds[i] * sds[j]
        correlated.append(covariance.theta(0.0, psi))
    for others in COARSE:
        thetas.append(np.full(J, others))
        for j, alone in product(range(J), COARSE):
            log_sds = np.full(J, others)
            log_sds[j] = alone
            if alone != others:
                thetas.append(log_sds)
    alone = [covariance.theta(0.0, np.diag(np.exp(2 * (log_sds + units)))) for log_sds in thetas]
    return np.array([*alone, *correlated])


def is_correlated(covariance):
    """Whether effects of a term are correlated in any way."""
    return any(isinstance(one, Unstructured) for one in covariance.structures)
