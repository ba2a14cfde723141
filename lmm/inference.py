"""Tests and summaries of a fit: Satterthwaite's degrees of freedom, explained variance, names of parameters.

Sources: Satterthwaite (1946), in the form of Fai and Cornelius (1996) and lmerTest;
R^2: Nakagawa and Schielzeth (2013), with random slopes as in Johnson (2014).
"""

import numpy as np
import pandas as pd
from scipy.special import stdtr

from .errors import LMMError
from .likelihood import back_substitute


def satterthwaite(fit):
    """Degrees of freedom for the t of each fixed effect, (k,): 2 c^2 / (g' A g).

    c is the variance of the estimate as a function of theta, g its gradient, A the covariance of theta's estimate.
    With C = (X'WX)^-1, dC/dv_j = C X'W Z_j Z_j'W X C for the variance v_j of block j; and as C is of degree one in all
    variances together, the derivatives in log variances, sigma's included, sum to C. Standard deviations that are
    estimated as zero are taken as known. nan if the optimum is not certified.
    """
    setup, k = fit.setup, len(fit.beta)
    root = back_substitute(fit.factor[:k, :k], back_substitute(setup.R_X, np.eye(k), trans=1), trans=1)
    c = np.sum(root**2, axis=0)                                     # (X'WX)^-1 = (G_XX R_X)^-1 (G_XX R_X)^-T
    N_X = setup.engine.products(fit.theta)[1][:, :k]                # Z'W Q_X
    pull = N_X @ back_substitute(fit.factor[:k, :k], root)          # Z'W X C
    g = np.empty((1 + len(setup.design.blocks), k))
    g[1:] = 2 * np.exp(2 * fit.theta[1:, None]) * (setup.engine.members.T @ pull**2)
    g[0] = 2 * c - g[1:].sum(axis=0)
    free = np.isfinite(fit.theta)
    A = fit.cov_theta().to_numpy()[np.ix_(free, free)]
    return 2 * c**2 / np.sum(g[free] * (A @ g[free]), axis=0)


def p_of_t(t, df):
    """Two-sided p-values."""
    return 2 * stdtr(df, -np.abs(t))


def explained(fit):
    """Nakagawa and Schielzeth's R^2: a Series with marginal, fixed effects alone, and conditional, with random ones.

    The variance of X beta over the rows (divisor n - 1), the mean over the rows of each block's variance, sd^2 z^2,
    and sigma^2 add up to the whole.
    """
    fixed = np.var(fit.setup.design.X @ fit.beta, ddof=1)
    random = mean_variances(fit).sum()
    whole = fixed + random + fit.sigma**2
    return pd.Series({"marginal": fixed / whole, "conditional": (fixed + random) / whole}, name="r2")


def intraclass_correlations(fit):
    """Each block's share of the variance that the fixed effects leave: a Series by block.

    For a random intercept sd^2 / (sum of all sd^2 + sigma^2); a block with numeric variables counts with its mean over
    the rows.
    """
    random = mean_variances(fit)
    return (random / (random.sum() + fit.sigma**2)).rename("icc")


def mean_variances(fit):
    """The mean over the rows of each block's variance: the diagonal of Z_j Z_j' times sd_j^2."""
    return pd.Series([sd**2 * np.sum(block.matrix.data**2) / fit.nobs
                      for sd, block in zip(fit.sd, fit.setup.design.blocks)], fit.sd.index, dtype=float)


def variance_components(fit, se=False):
    """The random effects' variances and standard deviations, and sigma's: a DataFrame by row group, name."""
    blocks = fit.setup.design.blocks
    frame = pd.DataFrame({"group": [*(block.group for block in blocks), "Residual"],
                          "name": [*(block.effect for block in blocks), ""],
                          "variance": np.exp(2 * np.roll(fit.theta, -1)), "sd": np.exp(np.roll(fit.theta, -1))})
    return frame.assign(sd_se=np.roll(fit.sd_se, -1)) if se else frame


def parameter_names(fit):
    """The names of the parameters: ("beta", column of X), then ("sd", "sigma" or block)."""
    return pd.MultiIndex.from_tuples([*(("beta", name) for name in fit.params.index),
                                      *(("sd", label) for label in fit.setup.labels)], names=["kind", "name"])


def check_level(level):
    """Raise an LMMError if `level` is no confidence level."""
    if isinstance(level, bool) or not isinstance(level, (int, float, np.number)) or not 0 < level < 1:
        raise LMMError(f"level is {level!r}; it is a probability between 0 and 1, such as 0.95")
