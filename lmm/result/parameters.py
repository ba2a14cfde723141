"""The parameters of a fit: their names, their values in natural units, the errors of theta.

Natural units are those of y, for beta, sigma and the standard deviations; correlations have none.
The straight scale, where the likelihood is nearer to a parabola, has log standard deviations and
Fisher's z = artanh(r) of correlations.
"""

import numpy as np
import pandas as pd

from ..errors import LMMError
from ..model import EDGE


def correlation_pairs(design):
    """The pairs of blocks, (i, j), that are correlated, and a name for each.

    Such as ``"Subject (Intercept, Days)"``.
    """
    covariance = design.covariance
    blocks = design.blocks
    pairs = [(i, j) for i, j in covariance.entries.pairs if i != j]
    names = [f"{blocks[i].group} ({blocks[j].effect}, {blocks[i].effect})" for i, j in pairs]
    return pairs, names


def parameter_names(fit):
    """The names of the parameters, pairs of kind and name.

    ("beta", column of X), then ("sd", "sigma" or block), then ("corr", pair of effects).
    """
    design = fit.setup.design
    _, correlations = correlation_pairs(design)
    names = [
        *(("beta", name) for name in design.x_names),
        ("sd", "sigma"),
        *(("sd", block.name) for block in design.blocks),
        *(("corr", name) for name in correlations),
    ]
    return pd.MultiIndex.from_tuples(names, names=["kind", "name"])


def natural(fit):
    """sigma, the standard deviations and the correlations: a Series by `parameter_names`."""
    values = [fit.sigma, *fit.sd, *fit.corr]
    names = parameter_names(fit)[len(fit.beta):]
    return pd.Series(values, names, name="estimate")


def on_straight_scale(fit):
    """log sigma, log standard deviations and Fisher's z of correlations, and their errors.

    Two arrays like `natural`. Errors are by the delta method, sqrt(g' A g), g being the gradient in
    theta and A the covariance of theta's estimate. nan for a standard deviation of zero and for a
    correlation of +-1, and errors also if the optimum is not certified.
    """
    covariance = fit.setup.covariance
    A = fit.cov_theta().to_numpy()
    if covariance.elementwise:                             # theta is on this scale itself
        return fit.theta, np.sqrt(np.diag(A))

    variances = covariance.psi(fit.theta).diagonal()
    sds = fit.sd.to_numpy()
    correlations = fit.corr.to_numpy()
    free = covariance.free(fit.theta)
    with np.errstate(divide="ignore", invalid="ignore"):
        log_sds = np.log([fit.sigma, *sds])
        straight = np.concatenate([log_sds, np.arctanh(correlations)])
        g = _straight_gradients(fit, variances, sds, correlations)[:, free]
        squares = np.einsum("ai,ij,aj->a", g, A[np.ix_(free, free)], g)
        errors = np.sqrt(squares)

    inside = np.abs(correlations) < 1 - EDGE
    at_edge = ~np.concatenate([[True], variances > 0, inside])
    straight[at_edge] = np.nan
    errors[at_edge] = np.nan
    return straight, errors


def _straight_gradients(fit, variances, sds, correlations):
    """The gradients in theta of what `on_straight_scale` returns, one a row."""
    covariance = fit.setup.covariance
    pairs, _ = correlation_pairs(fit.setup.design)
    place = {entry: a for a, entry in enumerate(covariance.entries.pairs)}
    dpsi = covariance.dphi_dtheta(fit.theta)            # of each entry of psi, without log sigma

    # -- d log s_i = d psi_ii / (2 psi_ii)
    dlog_sd = 0.5 * dpsi[covariance.entries.variances] / variances[:, None]

    # -- r = psi_ij / (s_i s_j), so d r = d psi_ij / (s_i s_j) - r (d log s_i + d log s_j),
    #    and d artanh(r) = d r / (1 - r^2)
    dz = []
    for (i, j), r in zip(pairs, correlations):
        scaled = dpsi[place[i, j]] / (sds[i] * sds[j])
        dr = scaled - r * (dlog_sd[i] + dlog_sd[j])
        dz.append(dr / (1 - r**2))

    of_others = np.vstack([dlog_sd, *dz])
    gradients = np.zeros((1 + len(of_others), len(fit.theta)))
    gradients[0, 0] = 1.0                               # log sigma is an element of theta
    gradients[1:, 1:] = of_others
    return gradients


def natural_se(fit):
    """The standard errors of `natural`, by the delta method: a Series by `parameter_names`.

    nan for a standard deviation of zero and for a correlation of +-1.
    """
    estimates = natural(fit)
    of_sds = 1 + len(fit.sd)
    _, errors = on_straight_scale(fit)

    # -- d s = s d log s,   d r = (1 - r^2) d artanh(r)
    slopes = np.concatenate([estimates[:of_sds], 1 - estimates[of_sds:] ** 2])
    return pd.Series(slopes * errors, estimates.index, name="std_error")


def sd_se(fit):
    """The standard errors of sigma and of `sd`, by the delta method: a Series.

    nan for blocks at zero.
    """
    return natural_se(fit).loc["sd"].rename_axis(None)


def trace(fit):
    """Every evaluation of the likelihood, in order: a DataFrame.

    With phase, nll, theta (``"log sigma"``, ...) and standard deviations.
    """
    log_sds_of = fit.setup.covariance.log_sds
    thetas = np.array([theta for _, _, theta in fit.evaluated])
    log_sds = np.array([[theta[0], *log_sds_of(theta)] for theta in thetas])
    columns = [
        [phase for phase, _, _ in fit.evaluated],
        [nll for _, nll, _ in fit.evaluated],
        *thetas.T,
        *np.exp(log_sds).T,
    ]
    names = ["phase", "nll", *fit.setup.log_labels, "sigma", *fit.sd.index]
    return pd.DataFrame(dict(enumerate(columns))).set_axis(names, axis=1)


def check_level(level):
    """Raise an LMMError if `level` is no confidence level."""
    is_number = isinstance(level, (int, float, np.number))
    if not is_number or isinstance(level, bool) or not 0 < level < 1:
        raise LMMError(f"level is {level!r}; it is a probability between 0 and 1, such as 0.95")
