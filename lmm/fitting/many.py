"""The optima of many responses at once: Newton's iteration as in newton.py, in stacks.

The parameters are those of `Covariance`, theta with log sigma = 0: sigma is profiled out, and so
psi is relative to sigma^2 (engines/many/). Each response has its own steps; who is done leaves.
What is decided at the boundary, and how, is as in newton.py: a direction that makes use of few
degrees of freedom becomes zero, if nll does not fall as it leaves zero again.

Other optima are looked for on a grid of thetas, the same for all responses, so that V is taken
apart once for each point: nll of all responses is a few matrix products then. The search begins at
the lowest point, and again at each other local minimum of the grid; the better end counts.
"""

from dataclasses import dataclass
from functools import cache
from itertools import product

import numpy as np

from ..engines import Unsuitable, family_of, look, look_around, slopes, taken
from ..model import Unstructured
from .elsewhere import FEW_ROWS, GRIDS, RISE
from .newton import (
    BETTER,
    FEW,
    FLAT_SLOPE,
    FRACTIONS,
    MOST_STEPS,
    NEAR,
    SADDLE,
    SAME_NLL,
    STEP_LIMIT,
    SUFFICIENT,
    TIE,
)

WAY = (0.97, 0.7, 0.3, 0.1, 0.03, 0.01, 3e-3, 1e-3)         # shares of the way to an optimum
DONE = 2e-4             # of theta, log units: the last step, after which the error is of the order
                        # of its square
DECREMENT = 1e-10       # of nll, relative to max(1, |nll|): how far it may still fall at the end
ALONG_LINE = 0.5        # between the points of one log sd ...
LINE_OF_ONE = (-np.inf, *np.arange(-4.0, 7.0, ALONG_LINE), 9.0)      # ... alone
SHORT_LINE = (-np.inf, -2.5, -1.0, 0.5, 2.0, 3.5, 8.0)
FINE_LINE = (-np.inf, *np.arange(-3.0, 7.0), 8.5)       # of two, where a point costs nearly nothing
LARGE = 8.0             # a log sd, where a term reproduces a mean that X has not
DONE_AT_ZERO = 1e-7     # the same where a variance is zero: its slope there is to be sure
CORRELATIONS = (-0.8, 0.0, 0.8)         # of two effects, on the grid
FINE_CORRELATIONS = (-0.98, -0.8, -0.4, 0.0, 0.4, 0.8, 0.98)
COARSE = (-3.0, -1.0, 0.5, 2.5)     # log sds over that of newton.py, of more effects: alone, others
LOST = 1e-5             # quadratic over e'e, below which squares have lost digits


@dataclass(frozen=True, eq=False)
class Found:
    """Where the search ended, for each of B responses.

    Attributes
    ----------
    theta : ndarray, shape (B, size)
        With log sigma = 0: relative to sigma.
    at : Look
        The criterion there.
    slopes : Slopes
        Its derivatives in rho there.
    hessian : ndarray, shape (B, size - 1, size - 1)
        In the coordinates for steps, sigma profiled out; rows of what is zero are those of I.
    error : ndarray, shape (B,)
        How far nll may be above the minimum, to second order.
    reasons : list of str
        Why it is no certified optimum, "" where it is.
    """

    theta: np.ndarray
    at: object
    slopes: object
    hessian: np.ndarray
    error: np.ndarray
    reasons: np.ndarray


class Batch:
    """The criterion of some responses of a design, as functions of theta, (B, size).

    Parameters
    ----------
    design : ByLevel or Stacks
    covariance : Covariance
    units : ndarray, shape (J,)
        As `Rows.units` of the family.
    responses : tuple
        What `Family.respond` returned.
    """

    def __init__(self, design, covariance, units, responses):
        self.design = design
        self.covariance = covariance
        self.units = units
        self.responses = responses
        self.nearly = None          # a batch of one design for all, to look at on a grid instead

    def chosen(self, rows):
        """The same for some of the responses."""
        design = self.design.chosen(rows)
        responses = taken(self.design, self.responses, rows)
        chosen = Batch(design, self.covariance, self.units, responses)
        if self.nearly is not None:
            chosen.nearly = self.nearly.chosen(rows)
        return chosen

    def look(self, theta):
        """The criterion at theta, (B, size)."""
        return look(self.design, self.rho(theta), self.responses)

    def slopes(self, at, with_X=False):
        """Its derivatives in rho there."""
        return slopes(self.design, at, self.responses, with_X)

    def at(self, theta):
        """The `Found` where the optima are known."""
        return judged(self, (theta, np.ones(len(theta), bool)), np.zeros(len(theta)))

    def rho(self, theta):
        """The entries of psi over sigma^2, (B, q)."""
        if self.covariance.elementwise:
            return np.exp(2 * theta[:, 1:])
        return self.covariance.entries.of(self.covariance.psi(theta))

    def in_steps(self, theta, of_rho):
        """Gradient, (B, s), and Hessian, (B, s, s), in the coordinates for steps."""
        covariance = self.covariance
        g = of_rho.gradient
        if covariance.elementwise:
            J = 2 * np.exp(2 * theta[:, 1:])
            gradient = J * g
            hessian = J[:, :, None] * of_rho.hessian * J[:, None]
            s = len(J[0])
            hessian[:, range(s), range(s)] += 2 * gradient
            return gradient, hessian
        J = covariance.jacobian(theta)
        gradient = np.einsum("bqs,bq->bs", J, g)
        hessian = J.swapaxes(1, 2) @ of_rho.hessian @ J + covariance.bend(theta, g)
        return gradient, hessian

    def df_used(self, theta, of_rho):
        """How many degrees of freedom each direction makes use of, (B, D)."""
        if self.covariance.elementwise:
            return np.exp(2 * theta[:, 1:]) * of_rho.traces
        return self.covariance.df_used(theta, of_rho.traces)


def search(batch, whole, start=None):
    """The optima of responses, a `Found`.

    Parameters
    ----------
    batch : Batch
    whole : ndarray, shape (B,)
        e'e of each.
    start : ndarray, shape (size,), optional
        One more theta to begin at, relative to sigma.
    """
    starts, others = from_grid(batch, len(whole), start)
    found = descended(batch, starts)
    rows, thetas = others
    few = batch.design.df[0] <= FEW_ROWS
    if len(rows) and not (few and is_correlated(batch.covariance)):
        apart = are_apart(batch.chosen(rows), thetas, found[0][rows])
        rows = rows[apart]
        thetas = thetas[apart]
    if len(rows):
        again = descended(batch.chosen(rows), thetas)
        found = better_of(batch, found, rows, again)
    return judged(batch, found, whole)


def is_correlated(covariance):
    """Whether effects of a term are correlated in any way."""
    return any(isinstance(one, Unstructured) for one in covariance.structures)


def are_apart(batch, starts, ends):
    """Where the criterion rises on the way from a start to a known optimum, linear in rho."""
    rho = batch.rho(ends)
    away = batch.rho(starts) - rho
    apart = np.zeros(len(starts), bool)
    before = look(batch.design, rho + away, batch.responses).nll
    for share in WAY:
        between = look(batch.design, rho + share * away, batch.responses).nll
        apart |= between > before + RISE * np.maximum(1.0, np.abs(before))
        before = between
    end = look(batch.design, rho, batch.responses).nll
    return apart | (end > before)


def optimum_of_one(setup):
    """The theta of the response of a set-up by this search, or None where it is none for stacks."""
    try:
        family = family_of(setup)
    except Unsuitable:
        return None
    responses, _, whole, lost = family.respond(setup.design.y[:, None])
    if lost[0] or not whole[0] > 0:
        return None
    covariance = setup.covariance
    found = search(Batch(family.design, covariance, family.rows.units, responses), whole)
    if not np.isfinite(found.at.nll[0]):
        return None
    log_sigma = 0.5 * np.log(found.at.quadratic[0] / setup.df)
    theta = covariance.rescaled(found.theta[0], log_sigma)
    return covariance.turned(theta, family.rows.turn)


# -- the grid --------------------------------------------------------------------------------------


def from_grid(batch, B, start):
    """The lowest point for each response, (B, size), and the other local minima.

    Those as numbers of responses and thetas, (several, size).
    """
    covariance = batch.covariance
    if batch.nearly is not None:
        batch = batch.nearly
    design = batch.design
    own_rows = len(design.df) > 1                       # then each point costs as much as a step
    few = design.df[0] <= FEW_ROWS
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


# -- Newton's iteration ----------------------------------------------------------------------------


def descended(batch, theta):
    """Where Newton's iteration from theta, (B, size), ends: (theta, whether it came to an end)."""
    B = len(theta)
    ended = theta.copy()
    is_done = np.zeros(B, bool)
    rows = np.arange(B)
    state = _State(batch, theta)
    for _ in range(MOST_STEPS):
        state.settle()
        step, slope, convex = state.newton_step()
        size = np.abs(step / state.units).max(axis=1, initial=0.0)
        at_zero = batch.covariance.is_zero(state.theta).any(axis=1)
        done = convex & (size < np.where(at_zero, DONE_AT_ZERO, DONE))
        done &= ~state.leave_zero(done)
        stuck = ~state.advance(step, slope, size, ~done)
        leaving = done | stuck
        if leaving.any():
            ended[rows[leaving]] = state.theta[leaving]
            ended[rows[done]] = state.stepped(done, step)
            is_done[rows[done]] = True
            rows = rows[~leaving]
            if not len(rows):
                break
            state = state.chosen(np.flatnonzero(~leaving))
    else:
        ended[rows] = state.theta
    return ended, is_done


class _State:
    """theta, nll and the derivatives of a batch, as the iteration goes on."""

    def __init__(self, batch, theta, at=None, of_rho=None):
        self.batch = batch
        self.theta = theta
        self.at = batch.look(theta) if at is None else at
        self.of_rho = batch.slopes(self.at) if of_rho is None else of_rho

    @property
    def nll(self):
        return self.at.nll

    def chosen(self, rows):
        """The state of some responses."""
        chosen = _State.__new__(_State)
        chosen.batch = self.batch.chosen(rows)
        chosen.theta = self.theta[rows]
        chosen.at = _rows_of(self.at._replace(sums=None), rows)
        chosen.of_rho = _rows_of(self.of_rho, rows)
        return chosen

    def put(self, rows, theta, at, of_rho):
        """These responses are there now."""
        self.theta[rows] = theta
        self.at = _replaced(self.at._replace(sums=None), rows, at._replace(sums=None))
        self.of_rho = _replaced(self.of_rho, rows, of_rho)

    @property
    def units(self):
        """What counts as a step of 1, (B, size - 1)."""
        covariance = self.batch.covariance
        return covariance.step_units(self.theta, np.exp(self.batch.units))[:, 1:]

    def newton_step(self):
        """-H^-1 g, (B, s), g'step, (B,), and where H is positive definite; as newton_step."""
        batch = self.batch
        free = batch.covariance.free(self.theta)[:, 1:]
        gradient, hessian = batch.in_steps(self.theta, self.of_rho)
        units = self.units
        g = np.where(free, gradient * units, 0.0)
        H = hessian * units[:, :, None] * units[:, None]
        both = free[:, :, None] & free[:, None]
        H = np.where(both, H, np.eye(H.shape[1]))
        scaled, convex = _solved(H, g)
        step = np.where(free, scaled * units, 0.0)
        return step, np.sum(g * scaled, axis=1), convex

    def stepped(self, chosen, step):
        """Where the chosen ones are after this step, (several, size)."""
        covariance = self.batch.covariance
        x = covariance.steps(self.theta[chosen])
        x[:, 1:] += step[chosen]
        return covariance.from_steps(x)

    def advance(self, step, slope, size, moving):
        """The first fraction of the step at which nll falls as promised; where there was one."""
        covariance = self.batch.covariance
        rows = np.flatnonzero(moving)
        moved = ~moving
        if not len(rows):
            return moved
        x = covariance.steps(self.theta[rows])
        step = np.concatenate([np.zeros((len(rows), 1)), step[rows]], axis=1)
        length = np.minimum(1.0, STEP_LIMIT / np.maximum(size[rows], STEP_LIMIT))
        nll = self.nll[rows]
        slope = slope[rows]
        tiny = SAME_NLL * np.maximum(1.0, np.abs(nll))
        batch = self.batch if len(rows) == len(self.theta) else self.batch.chosen(rows)
        left = np.arange(len(rows))
        for fraction in FRACTIONS:
            theta = covariance.from_steps(x[left] + (fraction * length[left])[:, None] * step[left])
            at = batch.look(theta)
            promised = SUFFICIENT * fraction * length[left] * slope[left]
            good = at.nll <= nll[left] + promised + tiny[left]
            if good.any():
                chosen = np.flatnonzero(good)
                if good.all():
                    self.put(rows[left], theta, at, batch.slopes(at))
                else:
                    part = batch.chosen(chosen)
                    at_part = part.look(theta[chosen])
                    self.put(rows[left[chosen]], theta[chosen], at_part, part.slopes(at_part))
                moved[rows[left[chosen]]] = True
            left = left[~good]
            if not len(left):
                break
            batch = batch.chosen(np.flatnonzero(~good))
        return moved

    # -- the boundary

    def settle(self):
        """What makes use of few degrees of freedom is zero, or in the open: as `settled`."""
        covariance = self.batch.covariance
        used = self.batch.df_used(self.theta, self.of_rho)
        zero = covariance.is_zero(self.theta)
        small = (used < FEW) & ~zero
        for d in np.flatnonzero(small.any(axis=0)):
            rows = np.flatnonzero(small[:, d])
            batch = self.batch.chosen(rows)
            moved = covariance.without(self.theta[rows], d)
            at = batch.look(moved)
            of_rho = batch.slopes(at)
            growth = covariance.regrowth(d, of_rho.gradient, np.exp(self.batch.units))
            along = covariance.entries.of(growth)
            falling = falls(of_rho, along)
            stays = np.zeros(len(rows), bool)
            if falling.any():
                back = np.flatnonzero(falling)
                part = _rows_of(of_rho, back)
                moved[back] = grown(batch, moved[back], part, d, growth[back])
                place = covariance.directions[d]
                near = np.abs(self.theta[rows[back], place] - moved[back, place]) < NEAR
                stays[back] = near
                again = batch.chosen(back)
                at_back = again.look(moved[back])
                at = _replaced(at._replace(sums=None), back, at_back._replace(sums=None))
                of_rho = _replaced(of_rho, back, again.slopes(at_back))
            nll = self.nll[rows]
            better = ~stays & (at.nll <= nll + SAME_NLL * np.abs(nll))
            good = np.flatnonzero(better)
            if len(good):
                at = _rows_of(at._replace(sums=None), good)
                self.put(rows[good], moved[good], at, _rows_of(of_rho, good))

    def leave_zero(self, done):
        """Which of those that are done have a variance that leaves zero; they are moved there."""
        covariance = self.batch.covariance
        left = np.zeros(len(done), bool)
        singular = done & covariance.is_zero(self.theta).any(axis=1)
        rows = np.flatnonzero(singular)
        if not len(rows):
            return left
        new = self.theta[rows].copy()
        part = _rows_of(self.of_rho, rows)
        leaving = np.zeros(len(rows), bool)
        for d, chosen, growth in growths_of(self.batch, self.theta[rows], part):
            falling = falls(_rows_of(part, chosen), covariance.entries.of(growth))
            if falling.any():
                out = chosen[falling]
                new[out] = grown(self.batch, new[out], _rows_of(part, out), d, growth[falling])
                leaving[out] = True
        if not leaving.any():
            return left
        out = np.flatnonzero(leaving)
        batch = self.batch.chosen(rows[out])
        at = batch.look(new[out])
        nll = self.nll[rows[out]]
        better = at.nll <= nll + SAME_NLL * np.abs(nll)
        good = np.flatnonzero(better)
        if len(good):
            part = batch.chosen(good)
            at = part.look(new[out[good]])
            self.put(rows[out[good]], new[out[good]], at, part.slopes(at))
            left[rows[out[good]]] = True
        return left


def falls(of_rho, along):
    """Whether nll falls as psi grows along matrices with these entries, (B, q): as in newton.py."""
    slope = np.sum(of_rho.gradient * along, axis=1)
    tie = TIE * np.sum(of_rho.scale * np.abs(along), axis=1)
    curvature = np.einsum("bq,bqp,bp->b", along, of_rho.hessian, along)
    return np.where(np.abs(slope) <= tie, curvature < 0, slope < 0)


def grown(batch, theta, of_rho, d, growth):
    """theta with w times the matrices `growth`, (B, J, J), added: as in newton.py."""
    covariance = batch.covariance
    along = covariance.entries.of(growth)
    slope = np.sum(of_rho.gradient * along, axis=1)
    curvature = np.einsum("bq,bqp,bp->b", along, of_rho.hessian, along)
    relative = np.einsum("bjj->bj", growth) / np.exp(2 * batch.units)
    usual = np.exp(-2.0) / relative.max(axis=1)
    w = np.where(curvature > 0, -slope / np.where(curvature > 0, curvature, 1.0), usual)
    if covariance.elementwise:
        place = covariance.directions[d]
        variance = np.exp(2 * theta[:, place]) + w * growth[:, place - 1, place - 1]
        new = theta.copy()
        new[:, place] = 0.5 * np.log(variance)
        return new
    psi = covariance.psi(theta) + w[:, None, None] * growth
    term = covariance.term_of_direction(d)
    new = [covariance.with_psi_of_term(t, term, p) for t, p in zip(theta, psi)]
    return np.array(new).reshape(theta.shape)


def growths_of(batch, theta, of_rho):
    """How singular covariances would grow: (direction, responses, matrices), as `growths`."""
    covariance = batch.covariance
    J = covariance.entries.J
    if len(covariance.directions) == covariance.size - 1:       # variances alone
        zero = covariance.is_zero(theta)
        for d in np.flatnonzero(zero.any(axis=0)):
            chosen = np.flatnonzero(zero[:, d])
            growth = covariance.regrowth(d, of_rho.gradient[chosen], np.exp(batch.units))
            yield d, chosen, growth
        return
    units = np.exp(batch.units)
    found = {}
    for b, (t, g) in enumerate(zip(theta, of_rho.gradient)):
        for d, growth, slope in covariance.growths(t, g, units, (), FLAT_SLOPE):
            if slope < 0:
                found.setdefault(d, []).append((b, growth))
    for d, pairs in found.items():
        chosen = np.array([b for b, _ in pairs])
        yield d, chosen, np.array([growth for _, growth in pairs]).reshape(-1, J, J)


def _solved(H, g):
    """-H^-1 g, and whether H is positive definite; where it is not, of its eigenvalues' sizes."""
    s = H.shape[1]
    if s == 0:
        return -g, np.ones(len(g), bool)
    if s == 1:
        h = H[:, 0]
        convex = h[:, 0] > 0
        size = np.abs(h)
        return -g / np.where(size > 0, size, 1.0), convex
    # -- by pivots, elementwise over the responses
    left = H.transpose(1, 2, 0).copy()
    x = g.T.copy()
    convex = np.ones(len(g), bool)
    with np.errstate(all="ignore"):
        for j in range(s):
            convex &= left[j, j] > 0
            for i in range(j + 1, s):
                share = left[i, j] / left[j, j]
                left[i, j:] -= share * left[j, j:]
                x[i] -= share * x[j]
        for j in reversed(range(s)):
            for i in range(j + 1, s):
                x[j] -= left[j, i] * x[i]
            x[j] /= left[j, j]
    step = -x.T
    convex &= np.isfinite(step).all(axis=1)
    bad = np.flatnonzero(~convex)
    if len(bad):
        finite = np.isfinite(H[bad]).all(axis=(1, 2))
        safe = np.where(finite[:, None, None], H[bad], np.eye(s))
        values, vectors = np.linalg.eigh(safe)
        sizes = np.abs(values)
        sizes = np.maximum(sizes, SADDLE * sizes.max(axis=1, keepdims=True))
        sizes = np.where(sizes > 0, sizes, 1.0)
        along = np.einsum("bij,bi->bj", vectors, np.where(finite[:, None], g[bad], 0.0))
        step[bad] = -np.einsum("bij,bj->bi", vectors, along / sizes)
    return step, convex


def _rows_of(arrays, rows):
    """A NamedTuple of arrays, each with some of its rows."""
    return type(arrays)(*(None if one is None else one[rows] for one in arrays))


def _replaced(arrays, rows, others):
    """The same with these rows from others."""
    if len(rows) == len(arrays[0]):
        return others
    new = []
    for one, other in zip(arrays, others):
        if one is None or other is None:
            new.append(None)
            continue
        one = one.copy()
        one[rows] = other
        new.append(one)
    return type(arrays)(*new)


def leaves_zero(batch, theta, of_rho):
    """Where nll falls as a singular covariance grows, (B,), bool."""
    found = np.zeros(len(theta), bool)
    rows = np.flatnonzero(batch.covariance.is_zero(theta).any(axis=1))
    if not len(rows):
        return found
    part = _rows_of(of_rho, rows)
    for _, chosen, growth in growths_of(batch, theta[rows], part):
        falling = falls(_rows_of(part, chosen), batch.covariance.entries.of(growth))
        found[rows[chosen[falling]]] = True
    return found


# -- the result ------------------------------------------------------------------------------------


def better_of(batch, found, rows, again):
    """The better of two ends of the responses `rows`; several may belong to one."""
    theta, is_done = found
    other, other_done = again
    theta = theta.copy()
    is_done = is_done.copy()
    nll = batch.look(theta).nll
    at_other = batch.chosen(rows).look(other).nll
    for place in np.argsort(-at_other, kind="stable"):          # the best one last
        b = rows[place]
        clearly = at_other[place] < nll[b] - BETTER * max(1.0, abs(nll[b]))
        if clearly and other_done[place]:
            theta[b] = other[place]
            is_done[b] = True
    return theta, is_done


def judged(batch, found, whole):
    """The `Found`: derivatives at the end, and why an end is no certified optimum."""
    theta, is_done = found
    at = batch.look(theta)
    of_rho = batch.slopes(at, with_X=True)
    state = _State(batch, theta, at, of_rho)
    _, slope, convex = state.newton_step()
    _, hessian = batch.in_steps(theta, of_rho)
    free = batch.covariance.free(theta)[:, 1:]
    both = free[:, :, None] & free[:, None] & convex[:, None, None]
    hessian = np.where(both, hessian, np.eye(hessian.shape[1]))
    reasons = np.full(len(theta), "", object)
    used = batch.df_used(theta, of_rho).sum(axis=1)
    df = np.broadcast_to(batch.design.df, used.shape)
    far = -0.5 * slope > DECREMENT * np.maximum(1.0, np.abs(at.nll))
    reasons[far | ~is_done] = "Newton's iteration did not come to an end"
    reasons[leaves_zero(batch, theta, of_rho)] = "the likelihood grows when a variance leaves zero"
    reasons[~convex] = "the criterion is flat, or falls, in some direction"
    reasons[at.quadratic < LOST * whole] = "the random effects reproduce nearly all of the response"
    reasons[df - used < FEW] = "the residual sd goes to 0"
    reasons[~np.isfinite(at.nll)] = "the criterion could not be evaluated"
    rounding = np.finfo(float).eps * (0.5 * df * whole / at.quadratic + np.abs(at.nll))
    error = np.maximum(-0.5 * slope, 0.0) + rounding
    return Found(theta, at._replace(sums=None), of_rho, hessian, error, reasons)
