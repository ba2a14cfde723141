"""The curvature of nll at the optimum, exact wherever a fit was driven by average information."""

import numpy as np
import pandas as pd

from ..errors import ConvergenceWarning, warn
from ..fitting import Criterion
from ..practical import LMMprof

DIFFERENCE = 1e-4       # of an element of theta, log units: the error is of the order of its square


def hessian(fit):
    """The Hessian of nll in theta at the optimum; rows and columns of what is zero are 0.

    Where `fit.optimum.averaged`, average information (8) drove the fit. It differs from the Hessian
    by what has the expectation zero, some percent at times. Here it is replaced by central
    differences of the exact gradient (6), two for each element of theta that is not zero.

    Returns
    -------
    ndarray, shape (size, size)

    Notes
    -----
    Computed when first asked for, and kept. Exact to about 1e-7 where differences are needed.
    """
    if not fit.optimum.averaged:
        return fit.optimum.hessian
    known = fit.__dict__.get("_hessian")
    if known is None:
        known = fit.__dict__["_hessian"] = by_differences(fit)
        known.flags.writeable = False
    return known


def by_differences(fit):
    """(g_i(theta + h e_j) - g_i(theta - h e_j)) / 2h, made symmetric."""
    criterion = Criterion(LMMprof, fit.setup)
    covariance = fit.setup.covariance
    steps = DIFFERENCE * covariance.simplex_units(fit.theta)
    H = np.zeros((covariance.size, covariance.size))
    for j in np.flatnonzero(covariance.free(fit.theta)):
        above = fit.theta.copy()
        below = fit.theta.copy()
        above[j] += steps[j]
        below[j] -= steps[j]
        rise = criterion.derivatives(above).gradient - criterion.derivatives(below).gradient
        H[:, j] = rise / (2 * steps[j])
    return 0.5 * (H + H.T)


def is_minimum(H):
    """Whether nll curves upwards in every direction."""
    return len(H) == 0 or np.linalg.eigvalsh(H)[0] > 0


def cov_theta(fit):
    """The covariance of theta's estimate, the inverse of the Hessian of nll.

    Returns
    -------
    DataFrame
        By the elements of theta, ``"log sigma"`` first; nan for blocks at zero, and everywhere if
        the optimum is not certified, or where average information certified what is no minimum.

    Warns
    -----
    ConvergenceWarning
        Where average information certified what is no minimum by the Hessian.
    """
    labels = list(fit.setup.log_labels)
    matrix = np.full((len(labels), len(labels)), np.nan)
    if fit.optimum.certified:
        free = np.flatnonzero(fit.setup.covariance.free(fit.theta))
        places = np.ix_(free, free)
        H = hessian(fit)[places]
        if is_minimum(H) or not fit.optimum.averaged:
            matrix[places] = np.linalg.inv(H)
        else:
            warn(
                "the Hessian of nll is not positive definite at this optimum, which average "
                "information certified, so its estimates have no errors; try another start=",
                ConvergenceWarning,
            )
    return pd.DataFrame(matrix, labels, labels)
