"""Satterthwaite's degrees of freedom of the tests of fixed effects.

Source: Satterthwaite (1946), in the form of Fai and Cornelius (1996) and lmerTest.
"""

import numpy as np
import pandas as pd
from scipy.special import stdtr

from ..engines import back_substitute
from ..fitting import LOST
from ..model import Unstructured
from ..result import column_starts
from .batches import Batches


def df(fit):
    """Satterthwaite's degrees of freedom of `tvalues`: a Series by column of X.

    nan if the optimum is not certified.
    """
    names = list(fit.setup.design.x_names)
    return pd.Series(satterthwaite(fit), names, name="df")


def pvalues(fit):
    """Two-sided p-values of `tvalues` by Student's t with `df` degrees of freedom: a Series."""
    return p_of_t(fit.tvalues, df(fit)).rename("pvalue")


def p_of_t(t, df):
    """Two-sided p-values, P(|T| > |t|)."""
    return 2 * stdtr(df, -np.abs(t))


def satterthwaite(fit, L=None):
    """Degrees of freedom for the t of each row of L beta, (r,): 2 c^2 / (g' A g).

    L, (r, k), is the unit matrix if not given: of each fixed effect. c is the variance of the
    estimate as a function of theta, g its gradient, A the covariance of theta's estimate. Standard
    deviations that are estimated as zero are taken as known. nan if the optimum is not certified.
    """
    covariance = fit.setup.covariance
    phi = np.array(covariance.phi(fit.theta))
    L = np.eye(len(fit.beta)) if L is None else L
    if any(isinstance(one, Unstructured) for one in covariance.structures):
        errors = errors_in_stacks(fit)
        if errors is not None:
            return errors.of(L)[1][0]
    c, dc = variances_of_rows(fit, phi, L)              # dc_a = dc / dphi_a, phi_0 left out

    # -- c is of degree one in all of phi: the derivatives, each times its parameter, sum to c.
    #    So dc / d log sigma = 2 sigma^2 dc/dsigma^2 = 2 (c - sum_a phi_a dc_a)
    in_log_sigma = 2 * (c - phi[1:] @ dc)

    # -- dc / dtheta_i = sum_a dphi_a/dtheta_i dc_a
    in_others = covariance.dphi_dtheta(fit.theta).T @ dc

    # -- 2 c^2 / (g' A g)
    free = covariance.free(fit.theta)
    A = fit.cov_theta().to_numpy()[np.ix_(free, free)]
    g = np.vstack([in_log_sigma, in_others])[free]
    return 2 * c**2 / np.sum(g * (A @ g), axis=0)


def errors_in_stacks(fit):
    """The `Errors` of a fit with correlated effects, or None where its design is none for stacks.

    There correlated effects are mixed until they are orthogonal. A slope in a variable far from
    zero is nearly its intercept, and the Hessian in theta so ill-conditioned that degrees of
    freedom may lose all but their first digit.
    """
    if "_errors_in_stacks" not in fit.__dict__:
        fit.__dict__["_errors_in_stacks"] = _errors_in_stacks(fit)
    return fit.__dict__["_errors_in_stacks"]


def _errors_in_stacks(fit):
    """The same, made anew."""
    if not fit.converged:
        return None
    batches = Batches(fit.setup, fit.plan)
    if batches.family is None:
        return None
    y = fit.setup.design.y[:, None]
    for _, errors in batches.errors(y, fit.theta[None]):
        _, df = errors.of(np.eye(len(fit.beta)))
        residual = errors.sigma2[0] * errors.df_0[0]
        if np.isfinite(df).all() and residual > LOST * fit.setup.engine.residual_ss:
            return errors
    return None


def variances_of_rows(fit, phi, L):
    """The diagonal of L C L', C = (X'WX)^-1, (r,), and its derivatives in psi's entries, (q, r).

    dC / dv_j = C X'W Z_j Z_j' W X C for the variance v_j of block j; for the covariance of blocks
    i and j the same with Z_i Z_j' + Z_j Z_i'.
    """
    setup = fit.setup
    covariance = setup.covariance
    k = len(fit.beta)
    G_XX = fit.triangle[:k, :k]

    # -- X'WX = (G_XX R_X)' G_XX R_X, so L C L' = root' root with root = (G_XX R_X)'^-1 L'
    root = back_substitute(setup.R_X, L.T, trans=1)
    root = back_substitute(G_XX, root, trans=1)
    c = np.sum(root**2, axis=0)

    # -- Z'W X C L' = Z'W Q_X G_XX^-1 root, by blocks of Z
    N = setup.engine.products_with_U(phi)               # Z'W [Q_X e]
    ZWXC = N[:, :k] @ back_substitute(G_XX, root)
    starts = column_starts(setup.design.blocks)
    by_block = np.split(ZWXC, starts[1:-1])

    # -- the diagonal of L C X'W V_a W X C L': products of columns, twice for a covariance
    entries = covariance.entries.pairs
    derivatives = np.zeros((len(entries), len(L)))
    for a, (i, j) in enumerate(entries):
        products = np.sum(by_block[i] * by_block[j], axis=0)
        derivatives[a] = products if i == j else 2 * products
    return c, derivatives
