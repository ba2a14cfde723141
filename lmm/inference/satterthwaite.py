"""Satterthwaite's degrees of freedom of the tests of fixed effects.

Source: Satterthwaite (1946), in the form of Fai and Cornelius (1996) and lmerTest.
"""

import numpy as np
import pandas as pd
from scipy.special import stdtr

from ..engines import back_substitute
from ..result import offsets


def satterthwaite(fit):
    """Degrees of freedom for the t of each fixed effect, (k,): 2 c^2 / (g' A g).

    c is the variance of the estimate as a function of theta, g its gradient, A the covariance of theta's estimate.
    With C = (X'WX)^-1, dC/dv_j = C X'W Z_j Z_j'W X C for the variance v_j of block j, likewise for a covariance; and as C is
    of degree one in all of these together, its derivatives, each times its parameter, sigma^2 included, sum to C. Standard
    deviations that are estimated as zero are taken as known. nan if the optimum is not certified.
    """
    setup, k = fit.setup, len(fit.beta)
    root = back_substitute(fit.triangle[:k, :k], back_substitute(setup.R_X, np.eye(k), trans=1), trans=1)
    c = np.sum(root**2, axis=0)                                     # (X'WX)^-1 = (G_XX R_X)^-1 (G_XX R_X)^-T
    phi = np.array(setup.covariance.phi(fit.theta))
    N_X = setup.engine.products_with_U(phi)[:, :k]                  # Z'W Q_X
    pull = N_X @ back_substitute(fit.triangle[:k, :k], root)          # Z'W X C
    by_block = np.split(pull, offsets(setup.design.blocks)[1:-1])
    in_phi = np.array([(1 if i == j else 2) * np.sum(by_block[i] * by_block[j], axis=0)       # dC/dphi
                       for i, j in setup.covariance.entries.pairs]).reshape(len(phi) - 1, k)
    g = np.vstack([2 * (c - phi[1:] @ in_phi), setup.covariance.dphi_dtheta(fit.theta).T @ in_phi])
    free = setup.covariance.free(fit.theta)
    A = fit.cov_theta().to_numpy()[np.ix_(free, free)]
    return 2 * c**2 / np.sum(g[free] * (A @ g[free]), axis=0)


def p_of_t(t, df):
    """Two-sided p-values."""
    return 2 * stdtr(df, -np.abs(t))


def df(fit):
    """Satterthwaite's degrees of freedom of `tvalues`; nan if the optimum is not certified."""
    return pd.Series(satterthwaite(fit), list(fit.setup.design.x_names), name="df")


def pvalues(fit):
    """Two-sided p-values of `tvalues` by Student's t with `df` degrees of freedom."""
    return pd.Series(p_of_t(fit.tvalues, df(fit)), list(fit.setup.design.x_names), name="pvalue")
