"""The optima of many responses at once, and why an end of a search is no certified optimum."""

from dataclasses import dataclass

import numpy as np

from ...engines import Unsuitable, family_of, look
from ..elsewhere import FEW_ROWS, RISE
from ..newton import BETTER, FEW
from .batch import Batch
from .descent import State, descended, leaves_zero
from .grid import from_grid, is_correlated

WAY = (0.97, 0.7, 0.3, 0.1, 0.03, 0.01, 3e-3, 1e-3)         # shares of the way to an optimum
DECREMENT = 1e-10       # of nll, relative to max(1, |nll|): how far it may still fall at the end
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
    reasons : ndarray of str, shape (B,)
        Why it is no certified optimum, "" where it is.
    """

    theta: np.ndarray
    at: object
    slopes: object
    hessian: np.ndarray
    error: np.ndarray
    reasons: np.ndarray


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
    few = batch.design.df.min() <= FEW_ROWS
    if len(rows) and not (few and is_correlated(batch.covariance)):
        apart = are_apart(batch.chosen(rows), thetas, found[0][rows])
        rows = rows[apart]
        thetas = thetas[apart]
    if len(rows):
        again = descended(batch.chosen(rows), thetas)
        found = better_of(batch, found, rows, again)
    return judged(batch, found, whole)


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


def found_at(batch, theta):
    """The `Found` where the optima are known, (B, size), relative to sigma."""
    return judged(batch, (theta, np.ones(len(theta), bool)), np.zeros(len(theta)))


def judged(batch, found, whole):
    """The `Found`: derivatives at the end, and why an end is no certified optimum."""
    theta, is_done = found
    at = batch.look(theta)
    of_rho = batch.slopes(at, with_X=True)
    state = State(batch, theta, at, of_rho)
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
