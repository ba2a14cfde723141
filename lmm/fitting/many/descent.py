"""Newton's iteration of many responses at once, as in newton.py: the boundary is decided as there.

Each response has its own steps; who is done leaves.
"""

import numpy as np

from ..newton import (
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

DONE = 2e-4             # of theta, log units: the last step, after which the error is of the order
                        # of its square
DONE_AT_ZERO = 1e-7     # the same where a variance is zero: its slope there is to be sure


def descended(batch, theta):
    """Where Newton's iteration from theta, (B, size), ends: (theta, whether it came to an end)."""
    B = len(theta)
    ended = theta.copy()
    is_done = np.zeros(B, bool)
    rows = np.arange(B)
    state = State(batch, theta.copy())
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


class State:
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
        chosen = State.__new__(State)
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
