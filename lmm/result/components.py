"""Variances, correlations and their names, read off a fit; explained variance.

Sources: R^2: Nakagawa and Schielzeth (2013), with random slopes as in Johnson (2014).
"""

import numpy as np
import pandas as pd

from ..errors import LMMError
from ..model import EDGE


def explained(fit):
    """Nakagawa and Schielzeth's R^2: a Series with marginal, fixed effects alone, and conditional, with random ones.

    The variance of X beta over the rows (divisor n - 1), the mean over the rows of each term's variance, z' psi z,
    and sigma^2 add up to the whole.
    """
    fixed = np.var(fit.setup.design.X @ fit.beta, ddof=1)
    random = mean_variances(fit).sum()
    whole = fixed + random + fit.sigma**2
    return pd.Series({"marginal": fixed / whole, "conditional": (fixed + random) / whole}, name="r2")


def intraclass_correlations(fit):
    """Each term's share of the variance that the fixed effects leave: a Series by term.

    For a random intercept sd^2 / (sum of all sd^2 + sigma^2); a term with slopes counts with its mean over the rows.
    """
    random = mean_variances(fit)
    return (random / (random.sum() + fit.sigma**2)).rename("icc")


def mean_variances(fit):
    """The mean over the rows of each term's variance, the diagonal of Z_j psi_j Z_j': a Series by term."""
    design, covariance = fit.setup.design, fit.setup.covariance
    psi = covariance.psi(fit.theta)
    means = [sum(psi[i, j] * (design.blocks[i].matrix.multiply(design.blocks[j].matrix)).sum()
                 for i in range(b.start, b.stop) for j in range(b.start, b.stop)) / fit.nobs for b in covariance.spans]
    return pd.Series(means, list(design.term_names), dtype=float)


def variance_components(fit, se=False):
    """The random effects' variances, standard deviations and correlations, and sigma's: a DataFrame by row group, name.

    Where a term has several effects, corr1 is the correlation with its first one, and so on.
    """
    blocks, covariance = fit.setup.design.blocks, fit.setup.covariance
    sd = np.append(fit.sd, fit.sigma)
    frame = pd.DataFrame({"group": [*(block.group for block in blocks), "Residual"],
                          "name": [*(block.effect for block in blocks), ""], "variance": sd**2, "sd": sd})
    if se:
        frame["sd_se"] = np.roll(fit.sd_se, -1)
    C = covariance.correlations(fit.theta)
    for place in range(max(covariance.sizes, default=1) - 1):
        frame[f"corr{place + 1}"] = np.nan
        for b in covariance.spans:
            later = range(b.start + place + 1, b.stop)
            frame.loc[list(later), f"corr{place + 1}"] = C[later, b.start + place]
    return frame


def correlation_pairs(design):
    """The pairs of blocks, (i, j), that are correlated, and a name for each: ``"Subject (Intercept, Days)"``."""
    covariance, blocks = design.covariance, design.blocks
    pairs = [(i, j) for i, j in covariance.entries.pairs if i != j]
    return pairs, [f"{blocks[i].group} ({blocks[j].effect}, {blocks[i].effect})" for i, j in pairs]


def natural(fit):
    """sigma, the standard deviations and the correlations: a Series by ("sd", "sigma"), ("sd", block) and ("corr", pair)."""
    return pd.Series([fit.sigma, *fit.sd, *fit.corr], parameter_names(fit)[len(fit.beta):], name="estimate")


def on_straight_scale(fit):
    """log sigma, the log standard deviations and Fisher's z of the correlations, and their standard errors by the delta method.

    The errors are nan for a standard deviation of zero and for a correlation of +-1, and if the optimum is not certified.
    """
    covariance = fit.setup.covariance
    pairs, _ = correlation_pairs(fit.setup.design)
    A, free = fit.cov_theta().to_numpy(), covariance.free(fit.theta)
    if covariance.elementwise:
        return fit.theta, np.sqrt(np.diag(A))
    values, psi = natural(fit).to_numpy(), covariance.psi(fit.theta)
    J, variance = covariance.dphi_dtheta(fit.theta), covariance.entries.variances
    rho = values[1 + len(psi):]
    with np.errstate(divide="ignore", invalid="ignore"):
        log_sd = 0.5 * J[variance] / psi.diagonal()[:, None]
        entry, sd = {pair: a for a, pair in enumerate(covariance.entries.pairs)}, values[1:]
        z = [(J[entry[i, j]] / (sd[i] * sd[j]) - r * (log_sd[i] + log_sd[j])) / (1 - r**2) for (i, j), r in zip(pairs, rho)]
        gradient = np.zeros((len(values), len(fit.theta)))
        gradient[0, 0] = 1.0
        gradient[1:, 1:] = np.vstack([log_sd, *z])
        errors = np.sqrt(np.einsum("ai,ij,aj->a", gradient[:, free], A[np.ix_(free, free)], gradient[:, free]))
        certain = np.concatenate([[True], psi.diagonal() > 0, np.abs(rho) < 1 - EDGE])
        straight = np.concatenate([np.log(values[: 1 + len(psi)]), np.arctanh(rho)])
    return np.where(certain, straight, np.nan), np.where(certain, errors, np.nan)


def parameter_names(fit):
    """The names of the parameters: ("beta", column of X), then ("sd", "sigma" or block), then ("corr", pair of effects)."""
    design = fit.setup.design
    return pd.MultiIndex.from_tuples([*(("beta", name) for name in design.x_names), ("sd", "sigma"),
                                      *(("sd", block.name) for block in design.blocks),
                                      *(("corr", name) for name in correlation_pairs(design)[1])], names=["kind", "name"])


def check_level(level):
    """Raise an LMMError if `level` is no confidence level."""
    if isinstance(level, bool) or not isinstance(level, (int, float, np.number)) or not 0 < level < 1:
        raise LMMError(f"level is {level!r}; it is a probability between 0 and 1, such as 0.95")
