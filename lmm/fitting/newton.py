"""From the basin to the optimum: a safeguarded Newton iteration, and the boundary.

On the log scale a standard deviation of zero lies at minus infinity and the criterion is flat
before it. So a direction of psi that makes use of few degrees of freedom is judged on the scale of
the variance, where the derivative at zero decides (the Karush-Kuhn-Tucker condition): it becomes
exactly zero, -inf in theta, if that is not negative, and otherwise moves to where the parabola
there has its minimum.

For a term with correlated effects psi + w v v' grows from a singular psi with the slope v'G v in w,
G having the derivatives (6) of its entries, those of covariances halved and twice. At an optimum no
v has a negative one.
"""

from math import log

import numpy as np
from scipy.linalg.lapack import dpotrf, dpotrs

from .criterion import NEWTON_DONE

FEW = 1e-2  # degrees of freedom in use, below which a direction may be at the boundary
TIE = 1e-11                 # of the terms of nll's slope as a variance leaves zero: rounding errors
FLAT_SLOPE = 1e-6  # of the slopes of nll as a singular covariance grows, relative to the largest
MOST_STEPS = 60             # of Newton's iteration
STEP_LIMIT = 2.0            # of one Newton step, log units
FRACTIONS = 0.5 ** np.arange(30)    # of a step that are tried along Newton's direction
SUFFICIENT = 1e-4  # of the fall that the gradient promises, to accept a step (Armijo's rule)
FAR = 0.01                  # Newton decrement above which average information will do
POLISH = 1e-8  # Newton decrement, relative to max(1, |nll|), below which steps need no line search
ACCEPTED = 9e-7             # of theta, log units: the step that the certificate allows for, nearly
MOST_POLISHED = 8           # steps of that kind
CLOSE = 1e-2  # of a loose `done`: the last step is not made where it is smaller than that
BETTER = 1e-10  # of nll, relative to max(1, |nll|), by which another optimum must be better
SAME_NLL = 1e-12  # of nll, relative, by which it may rise where a small direction becomes zero
# log units: how far a small sd may be from its parabola's minimum for Newton's iteration
NEAR = 0.1
# log units: where a step ends closer than this to a known optimum, it is that one
SAME_OPTIMUM = 0.2
SADDLE = 1e-8  # of the largest eigenvalue of a Hessian, the least that a step divides by


def size_of(value):
    """What errors of the criterion are relative to."""
    return max(1.0, abs(value))


def rescaled(theta, value, setup):
    """theta where all sds are scaled alike so that nll is least, and its value."""
    shift = 0.5 * log(value.triangle[-1, -1] ** 2 / setup.df)
    return setup.covariance.rescaled(theta, shift), value.rescaled(shift, setup.df)


def minimum(criterion, theta, rival=None, held=(), done=NEWTON_DONE):
    """A local minimum of the criterion from theta: it and its value.

    Parameters
    ----------
    criterion : Criterion
    theta : ndarray, shape (size,)
        Where to start. A direction may end at zero; one that is there leaves it if that lowers the
        criterion, unless there is a rival.
    rival : (theta, value), optional
        A minimum that is known: the iteration ends early when it leads there, or to nothing better.
    held : sequence of int, optional
        Elements of theta that stay as they are.
    done : float, optional
        The largest change of theta, log units, after which the iteration ends: the error is of the
        order of its square. If more than by default, a hundredth of it is not made any more.
    """
    held = list(held)
    theta, value = iterated(criterion, theta, rival, held, done)
    if rival is None:
        for _ in theta:
            start = leaving_zero(criterion, theta, value, held)
            if start is None:
                break
            theta, value = iterated(criterion, start, None, held, done)
    return theta, value


def iterated(criterion, theta, rival, held, done):
    """Newton's iteration from theta, see `minimum`; a direction at zero stays there."""
    setup = criterion.setup
    covariance = setup.covariance
    value = criterion(theta)
    if value.triangle is not None and not held:
        theta, value = rescaled(theta, value, setup)
    averaged = setup.engine.averages        # as long as the optimum is far
    polished = 0
    step_size = np.inf
    for _ in range(MOST_STEPS):
        # -- the boundary first: what is small becomes zero, or moves into the open
        try:
            theta, value, D = settled(criterion, theta, value, held, averaged)
        except ArithmeticError:
            break
        free = covariance.free(theta)
        free[held] = False
        if not free.any():
            break

        # -- Newton's step in the coordinates for steps, and how far nll should fall: g'H^-1 g / 2
        units = covariance.step_units(theta, np.exp(setup.units + theta[0]))
        step, slope, convex = newton_step(D, free, units)
        if step is None:
            break
        decrement = -0.5 * slope
        averaged = averaged and decrement > FAR
        x = covariance.steps(theta)
        end = x + step
        if rival and convex and pointless(criterion, theta, value, decrement, end, rival):
            break

        # -- so close by, a step is worth more than differences of the criterion, which are rounding
        # errors
        if convex and decrement < POLISH * size_of(value):
            last_size = step_size
            step_size = np.abs(step / units).max()
            close_enough = done > NEWTON_DONE and step_size < CLOSE * done
            if not setup.engine.exact and step_size < ACCEPTED:
                break                                           # an evaluation is expensive
            stalled = polished > 1 and step_size > 0.5 * last_size
            if close_enough or stalled or polished > MOST_POLISHED:
                break
            theta = covariance.from_steps(x + step)
            value = criterion(theta)
            polished += 1
            if step_size < done:
                break
            continue

        # -- further away: the first fraction of the step at which nll falls as promised
        longest = min(1.0, STEP_LIMIT / np.abs(step / units).max())
        found = None
        for fraction in longest * FRACTIONS:
            trial = covariance.from_steps(x + fraction * step)
            trial_value = criterion(trial)
            if trial_value <= value + SUFFICIENT * fraction * slope:
                found = trial, trial_value
                break
        if found is None:
            break
        theta, value = found
    return theta, value


def newton_step(D, free, units):
    """-H^-1 g in the free coordinates, (size,), g'step, and whether H is positive definite.

    Scaled by their units. Where H is not positive definite its eigenvalues are made positive, so
    that the step goes down; None if H is zero.
    """
    by = units[free]
    g = D.step_gradient[free] * by
    H = D.step_hessian[free][:, free] * by * by[:, None]
    L, failed = dpotrf(H)
    if not failed:
        scaled = -dpotrs(L, g)[0]
    else:
        eigenvalues, vectors = np.linalg.eigh(H)
        sizes = np.abs(eigenvalues)
        if sizes.max() == 0:
            return None, 0.0, False
        scaled = -vectors @ ((vectors.T @ g) / np.maximum(sizes, SADDLE * sizes.max()))
    step = np.zeros(len(units))
    step[free] = scaled * by
    return step, g @ scaled, not failed


def pointless(criterion, theta, value, decrement, x, rival):
    """Whether a step to the coordinates x leads to nothing better.

    Or to the rival, a known minimum.
    """
    best, best_value = rival
    if value - 5 * decrement > best_value + BETTER * size_of(value):
        return True
    setup = criterion.setup
    covariance = setup.covariance
    free = covariance.free(theta)
    if not np.array_equal(free, covariance.free(best)):
        return False
    units = covariance.step_units(best, np.exp(setup.units + best[0]))
    away = (x[free] - covariance.steps(best)[free]) / units[free]
    return bool(np.abs(away).max() < SAME_OPTIMUM)


# -- the boundary ----------------------------------------------------------------------------------


def settled(criterion, theta, value, held=(), averaged=False):
    """theta, value and derivatives, small directions set to zero or into the open.

    Each direction that makes use of few degrees of freedom is set to zero, and the slope there, as
    psi grows again, decides where it belongs; unless that raises the criterion.
    """
    covariance = criterion.setup.covariance
    D = criterion.derivatives(theta, value, averaged)
    for d in np.flatnonzero(D.df_used[1:] < FEW):
        place = covariance.directions[d]
        if place in held or theta[place] == -np.inf:
            continue
        moved = covariance.without(theta, d)
        D_at_zero = criterion.derivatives(moved)
        units = np.exp(criterion.setup.units)
        growth = covariance.regrowth(d, D_at_zero.phi_gradient, units)
        if falls(D_at_zero, covariance.entries.of(growth)):
            moved = grown(criterion, moved, D_at_zero, d, growth)
            if abs(theta[place] - moved[place]) < NEAR:
                continue                                        # Newton's iteration does that
        moved_value = criterion(moved)
        if moved_value <= value + SAME_NLL * abs(value):
            theta = moved
            value = moved_value
            D = criterion.derivatives(theta, value, averaged)
    return theta, value, D


def leaving_zero(criterion, theta, value, held=()):
    """theta with each singular covariance grown that wants to grow, or None.

    To where the criterion's parabola has its minimum.
    """
    if np.isfinite(theta).all():
        return None
    try:
        D = criterion.derivatives(theta, value)
    except ArithmeticError:
        return None
    start = theta
    entries = criterion.setup.covariance.entries
    for d, growth, slope in growths(criterion.setup, theta, D, held):
        if slope < 0 and falls(D, entries.of(growth)):
            start = grown(criterion, start, D, d, growth)
    return None if start is theta else start


def falls(D, along):
    """Whether nll falls as psi grows along a matrix with these entries, (q,).

    Its slope is the difference of two numbers that an exact tie makes equal, as whole-number data
    do at times: within their rounding errors the curvature decides, and zero wins where it is
    positive.
    """
    slope = D.phi_gradient @ along
    tie = TIE * (D.phi_scale @ np.abs(along))
    if abs(slope) <= tie:
        return bool(along @ D.phi_hessian @ along < 0)
    return bool(slope < 0)


def growths(setup, theta, D, held=()):
    """How each singular covariance would grow: (d, matrix, slope of nll along it over sigma^2).

    The matrices are on the scale of sigma^2, so that slopes say how much nll falls or rises as the
    covariance reaches the size of sigma^2; see `Covariance.growths`.
    """
    sigma2 = np.exp(2 * theta[0])
    gradient = D.phi_gradient * sigma2
    units = np.exp(setup.units)
    for d, growth, slope in setup.covariance.growths(theta, gradient, units, held, FLAT_SLOPE):
        yield d, sigma2 * growth, slope


def grown(criterion, theta, D, d, growth):
    """theta with w times the matrix `growth` added to psi of direction d's term.

    w comes from nll's parabola at theta.

    nll(w) = nll + slope w + curvature w^2 / 2. Where that has no minimum, w is a part of sigma^2.
    """
    setup = criterion.setup
    covariance = setup.covariance
    along = covariance.entries.of(growth)
    slope = D.phi_gradient @ along
    curvature = along @ D.phi_hessian @ along
    if curvature > 0:
        w = -slope / curvature
    else:
        relative = growth.diagonal() / np.exp(2 * setup.units)
        w = np.exp(2 * theta[0] - 2) / relative.max()
    psi = covariance.psi(theta) + w * growth
    return covariance.with_psi_of_term(theta, covariance.term_of_direction(d), psi)


def opened(theta, setup):
    """theta with the directions at zero put back on the scale of sigma."""
    if np.isfinite(theta).all():
        return theta
    usual = setup.covariance.theta(theta[0], np.diag(np.exp(2 * (theta[0] + setup.units - 1.0))))
    return np.where(np.isfinite(theta), theta, usual)
