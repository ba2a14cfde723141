"""From the basin to the optimum: a safeguarded Newton iteration, the boundary, and a look for better optima.

On the log scale a standard deviation of zero lies at minus infinity and the criterion is flat before it. So small
blocks are judged on the scale of the variance, where the derivative at zero decides: they become exactly zero
(theta = -inf) if it is not negative, and otherwise move to where the parabola there has its minimum.
"""

from math import log

import numpy as np
from scipy.linalg.lapack import dpotrf, dpotrs

from ..engines import Dense
from .optimum import SMALL, derivatives, growth, units

STEP_LIMIT = 2.0            # of one Newton step, log units
LENGTHS = 0.5 ** np.arange(30)      # of steps that are tried along Newton's direction
POLISH = 1e-8               # Newton decrement, relative to max(1, |nll|), below which steps need no line search
DONE, CLOSE = 1e-7, 1e-2    # see `newton`
BETTER = 1e-10              # of nll, relative to max(1, |nll|), by which another optimum must be better
DWARFS = 1e6                # variance of an average level's whole, relative to sigma^2, that costs digits
NEAR = 0.1                  # log units: how far a small sd may be from its parabola's minimum for Newton's iteration
SAME = 0.2                  # log units: where a Newton step ends closer than this to a known optimum, it is that one


def rescaled(theta, value, setup):
    """theta moved along the line on which all standard deviations keep their ratios, to the minimum there, and its value."""
    shift = 0.5 * log(value.triangle[-1, -1] ** 2 / setup.df)
    return setup.covariance.rescaled(theta, shift), value.rescaled(shift, setup.df)


def newton(theta, nll, setup, rival=None, held=(), done=DONE):
    """A local minimum of the criterion from theta; returns it and its value.

    Parameters
    ----------
    theta : ndarray, shape (1 + q,)
        Where to start. A block may end at zero; one that is there leaves it if that lowers the criterion,
        unless there is a rival.
    nll : callable
        Evaluates the criterion: ``nll(theta)`` is what ``LMMprof(theta, setup)`` is.
    setup : Setup
    rival : (theta, value), optional
        A minimum that is known: the iteration ends early when it leads there, or to nothing better.
    held : sequence of int, optional
        Elements of theta that stay as they are.
    done : float, optional
        The largest change of theta, log units, after which the iteration ends: the error is of the order of its square. If more
        than by default, a hundredth of it is not made any more.
    """
    theta, value = descend(theta, nll, setup, rival, list(held), done)
    for _ in theta if rival is None else ():
        start = leaving_zero(theta, value, setup, held)
        if start is None:
            break
        theta, value = descend(start, nll, setup, None, list(held), done)
    return theta, value


def leaving_zero(theta, value, setup, held=()):
    """theta with each singular covariance that wants to grow where the criterion's parabola has its minimum, or None."""
    if np.isfinite(theta).all() or value.triangle is None:
        return None
    D, start = derivatives(theta, setup, value), theta
    for b, v, slope in growth(theta, setup, D.slopes, held):
        if slope < 0:
            start = grown(start, setup, D, b, v)
    return None if start is theta else start


def grown(theta, setup, D, b, v):
    """theta with w v v' added to the covariance of the blocks `b`, by the derivatives D there; w from nll's parabola."""
    covariance = setup.covariance
    direction = np.zeros(len(setup.design.blocks))
    direction[b] = v
    along = direction[covariance.rows] * direction[covariance.columns]
    slope, curvature = D.slopes @ along, along @ D.curvatures @ along
    w = -slope / curvature if curvature > 0 else np.exp(2 * theta[0] - 2) / np.max((v / np.exp(units(setup)[b])) ** 2)
    found = covariance.theta(theta[0], covariance.psi(theta) + w * np.outer(direction, direction))
    _, elements = covariance.term_of(b.start)
    theta = theta.copy()
    theta[elements] = found[elements]
    return theta


def descend(theta, nll, setup, rival, held, done):
    """Newton's iteration from theta, see `newton`; a block at zero stays there."""
    value, covariance, unit = nll(theta), setup.covariance, np.exp(units(setup))
    if value.triangle is not None and not held:
        theta, value = rescaled(theta, value, setup)
    polished, size = 0, np.inf
    for _ in range(60):
        try:
            theta, value, D = settled(theta, value, nll, setup, held)
        except ArithmeticError:
            break
        free = covariance.free(theta)
        free[held] = False
        if not free.any():
            break
        lengths = covariance.lengths(theta, unit * np.exp(theta[0]))[free]
        g, H = D.descent[free] * lengths, D.bowl[free][:, free] * lengths * lengths[:, None]
        step, convex = descent(g, H)
        if step is None:
            break
        decrement = -0.5 * g @ step
        x, whole = covariance.coordinates(theta), np.zeros(len(theta))
        whole[free] = step * lengths
        if rival is not None and convex and (value - 5 * decrement > rival[1] + BETTER * max(1.0, abs(value))
                                             or leads_to(theta, free, x + whole, rival[0], setup)):
            break
        if convex and decrement < POLISH * max(1.0, abs(value)):
            # so close by, a step is worth more than differences of the criterion, which are rounding errors
            last, size = size, np.abs(step).max()
            if (done > DONE and size < CLOSE * done) or (polished > 1 and size > 0.5 * last) or polished > 8:
                break
            theta = covariance.at(x + whole)
            value = nll(theta)
            polished += 1
            if size < done:
                break
            continue
        for length in LENGTHS * min(1.0, STEP_LIMIT / np.abs(step).max()):
            trial = covariance.at(x + length * whole)
            trial_value = nll(trial)
            if trial_value <= value + 1e-4 * length * (g @ step):
                break
        else:
            break
        theta, value = trial, trial_value
    return theta, value


def descent(g, H):
    """Newton's step -H^-1 g, and whether H is positive definite; if not, with its eigenvalues made positive."""
    L, info = dpotrf(H)
    if info == 0:
        return -dpotrs(L, g)[0], True
    eigenvalues, vectors = np.linalg.eigh(H)
    scale = np.abs(eigenvalues)
    if scale.max() == 0:
        return None, False
    return -vectors @ ((vectors.T @ g) / np.maximum(scale, 1e-8 * scale.max())), False


def settled(theta, value, nll, setup, held=()):
    """theta, its value and derivatives, after small blocks have been set to zero or put back into the open.

    Of a term with several effects these are the columns of T, each from its diagonal down.
    """
    D = derivatives(theta, setup, value)
    covariance = setup.covariance
    for j in np.flatnonzero(D.extent[1:] < SMALL):
        at, (b, elements) = covariance.diagonal[j], covariance.term_of(j)
        if at in held or theta[at] == -np.inf or covariance.holds_correlation(elements, held):
            continue
        at_zero = without(theta, j, setup)
        D_at_zero = derivatives(at_zero, setup)
        v = np.ones(1)
        if b.stop - j > 1:
            unit = np.exp(units(setup)[j : b.stop])
            G = covariance.symmetric(D_at_zero.slopes)[j : b.stop, j : b.stop]
            v = unit * np.linalg.eigh(G * unit * unit[:, None])[1][:, 0]
        v = np.concatenate([np.zeros(j - b.start), v])
        slope = v @ covariance.symmetric(D_at_zero.slopes)[b, b] @ v
        if slope >= 0:
            moved = at_zero
        else:
            moved = grown(at_zero, setup, D_at_zero, b, v)
            if abs(theta[at] - moved[at]) < NEAR:
                continue
        moved_value = nll(moved)
        if moved_value <= value + 1e-12 * abs(value):
            theta, value, D = moved, moved_value, derivatives(moved, setup, moved_value)
    return theta, value, D


def leads_to(theta, free, x, optimum, setup):
    """Whether a Newton step from theta, to the coordinates x, ends at a known optimum."""
    covariance = setup.covariance
    if not np.array_equal(free, covariance.free(optimum)):
        return False
    away = x[free] - covariance.coordinates(optimum)[free]
    return bool(np.abs(away / covariance.lengths(optimum, np.exp(optimum[0] + units(setup)))[free]).max() < SAME)


def without(theta, j, setup):
    """theta with column j of T zero: for a term with one effect, with the standard deviation of block j zero."""
    covariance = setup.covariance
    theta = theta.copy()
    theta[1:][covariance.columns == j] = 0.0
    theta[covariance.diagonal[j]] = -np.inf
    return theta


def opened(theta, setup):
    """theta with the blocks at zero put back on the scale of sigma."""
    if np.isfinite(theta).all():
        return theta
    usual = np.zeros(len(theta))
    usual[setup.covariance.diagonal] = theta[0] + units(setup) - 1.0
    return np.where(np.isfinite(theta), theta, usual)


def dominant(theta, setup):
    """The block that dwarfs sigma and all other blocks, if it should be factored first so as to keep digits, or None."""
    ratios = 2 * (setup.covariance.log_sds(theta) - theta[0] - units(setup))
    j = int(np.argmax(ratios)) if len(ratios) else 0
    engine = setup.engine
    return j if len(ratios) > 1 and ratios[j] > np.log(DWARFS) and isinstance(engine, Dense) and j != engine.block[0] else None


def elsewhere(theta, setup):
    """Thetas from which another optimum might be reached, if there is one.

    Each term on the other side of the boundary: a column of T at zero put back on the scale of sigma, the last other one set
    to zero; with several terms, each of them alone in being large; and where Z has half as many columns as rows, a small sigma.
    """
    covariance = setup.covariance
    log_unit, diagonal = theta[0] + units(setup), covariance.diagonal
    J = len(diagonal)

    def independent(log_sigma, log_sds):
        other = np.zeros(len(theta))
        other[0], other[diagonal] = log_sigma, log_sds
        return other

    for b, _ in covariance.terms:
        zero = theta[diagonal[b]] == -np.inf
        for j in np.arange(b.start, b.stop)[zero]:
            for offset in (-1.0, 2.0):
                other = theta.copy()
                other[diagonal[j]] = log_unit[j] + offset
                yield other
        if not zero.all():
            yield without(theta, b.start + np.flatnonzero(~zero)[-1], setup)
    if setup.engine.p + len(setup.beta_0) > len(setup.design.y) / 2:       # few degrees of freedom for sigma
        yield theta - np.where(np.arange(len(theta)) == 0, 6.0, 0.0)
        yield independent(theta[0] - 5.0, log_unit)
        yield independent(theta[0], log_unit + 2.0)
    for b, _ in covariance.terms if len(covariance.terms) > 1 else ():
        yield independent(theta[0], log_unit + np.where((np.arange(J) >= b.start) & (np.arange(J) < b.stop), 2.0, -1.0))


def best_optimum(theta, value, nll, setup):
    """The best of the minimum at theta and those reached from `elsewhere`; returns it and its value."""
    for _ in range(2 * len(theta)):
        for start in elsewhere(theta, setup):
            other, other_value = newton(start, nll, setup, rival=(theta, value))
            if other_value < value - BETTER * max(1.0, abs(value)):
                theta, value = newton(other, nll, setup)
                break
        else:
            return theta, value
    return theta, value
