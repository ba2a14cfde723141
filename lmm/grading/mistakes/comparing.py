"""Whether numbers are those of a criterion, and whether a theta is its minimum."""

import numpy as np

SAME_NUMBER = 1e-7          # relative: two ways to compute the same number, whatever the algebra
NO_CHANGE = 1e-9            # of a criterion, in log-likelihood, ...
HARDLY_ANY_CHANGE = 1e-4    # ... and next to none
PARABOLA_STEP = 0.02        # in theta
LEAST_CURVATURE = 0.05      # of a criterion at its minimum, per unit of theta squared
SCALES_OF_NLL = (1.0, 2.0, -1.0, -2.0)      # what a right criterion may be multiplied with


def matches(values, criterion, thetas):
    """(scale, constant) if values are scale * criterion + constant at all thetas, or None.

    The scale is 1, 2, -1 or -2. A criterion that hardly moves would match anything: None. Where
    the criterion has no value, neither must there be one.
    """
    values = np.asarray(values)
    try:
        own = np.array([criterion(theta) for theta in thetas])
    except (np.linalg.LinAlgError, ValueError):
        return None
    there = np.isfinite(own)
    if (np.isfinite(values) != there).any() or there.sum() < 2:
        return None
    own, values = own[there], values[there]
    size = max(1.0, np.abs(own).max(), np.abs(values).max())
    if np.ptp(own) < 1e3 * SAME_NUMBER * size:
        return None
    for scale in SCALES_OF_NLL:
        constants = values - scale * own
        if np.ptp(constants) <= SAME_NUMBER * size:
            return scale, float(np.mean(constants))
    return None


def is_minimum(criterion, theta, within):
    """Whether theta is a minimum of a criterion within so much, by a parabola in each direction.

    A strict one, but for elements that the criterion does not depend on there, such as the log of
    a tiny standard deviation. A parabola of slope s and curvature c is s^2 / (2 c) above its
    minimum.
    """
    if not np.isfinite(theta).all():
        return False
    h = PARABOLA_STEP
    strict = 0
    try:
        centre = criterion(theta)
        for step in h * np.eye(len(theta)):
            up = criterion(theta + step)
            down = criterion(theta - step)
            if max(abs(up - centre), abs(down - centre)) < NO_CHANGE:
                continue
            slope = (up - down) / (2 * h)
            curvature = (up + down - 2 * centre) / h**2
            if not curvature > LEAST_CURVATURE:             # nor if it is nan
                return False
            if not abs(slope) <= np.sqrt(2 * curvature * within):
                return False
            strict += 1
    except (np.linalg.LinAlgError, ValueError):
        return False
    return strict >= min(2, len(theta))


def is_flat(criterion, theta):
    """Whether an element of theta hardly matters there: a standard deviation next to 0."""
    centre = criterion(theta)

    def hardly_moves(step):
        return abs(criterion(theta + step) - centre) < HARDLY_ANY_CHANGE

    steps = PARABOLA_STEP * np.eye(len(theta))
    return any(hardly_moves(step) and hardly_moves(10 * step) for step in steps)
