"""Variances and correlations of the random effects, read off a fit; what they explain of y.

Within a level the effects of a term have the covariance matrix psi_j, (c, c). Over the rows, a
term's variance is z' psi_j z, z being the row's values of its effects.

Sources: R^2: Nakagawa and Schielzeth (2013), with random slopes as in Johnson (2014).
"""

import numpy as np
import pandas as pd

from .parameters import correlation_pairs, sd_se


def sd(fit):
    """The standard deviation of each block's random effects, units of y: a Series by block."""
    names = [block.name for block in fit.setup.design.blocks]
    log_sds = fit.setup.covariance.log_sds(fit.theta)
    return pd.Series(np.exp(log_sds), names, name="sd")


def corr(fit):
    """The correlations of the effects of one term: a Series by pair of effects.

    nan where a standard deviation is zero.
    """
    pairs, names = correlation_pairs(fit.setup.design)
    R = fit.setup.covariance.correlations(fit.theta)
    values = [R[i, j] for i, j in pairs]
    return pd.Series(values, names, dtype=float, name="corr")


def psi(fit):
    """The covariance matrix of each term's random effects within a level.

    Returns
    -------
    dict of DataFrame
        By term: effects by effects, units of y squared.
    """
    design = fit.setup.design
    covariance = fit.setup.covariance
    whole = covariance.psi(fit.theta)
    matrices = {}
    for name, b in zip(design.term_names, covariance.spans):
        effects = [block.effect for block in design.blocks[b]]
        matrices[name] = pd.DataFrame(whole[b, b], effects, effects)
    return matrices


def rank(fit):
    """The rank of each term's covariance: a Series by term.

    The number of its effects unless it is singular.
    """
    covariance = fit.setup.covariance
    names = list(fit.setup.design.term_names)
    ranks = covariance.ranks(fit.theta)
    return pd.Series(ranks, names, dtype=int, name="rank")


def singular(fit):
    """The names of the terms whose estimated covariance is singular.

    A tuple, empty, hence false, if there are none. Singular is a standard deviation of zero or, of
    several effects, a perfect correlation; `rank` says how many dimensions are left.
    """
    sizes = np.array(fit.setup.covariance.sizes, int)
    ranks = rank(fit)
    return tuple(ranks.index[ranks < sizes])


def varcorr(fit, *, se=False):
    """Variances, standard deviations and correlations of the random effects, and sigma's.

    Parameters
    ----------
    se : bool, optional
        Whether to add ``sd_se``, the standard errors of the standard deviations.

    Returns
    -------
    DataFrame
        A row per block, and one for Residual: group, name (of the effect), variance, sd. Where a
        term has several effects also ``corr1``, the correlation with its first effect, ``corr2``,
        ...; `psi` has the covariance matrices.
    """
    blocks = fit.setup.design.blocks
    covariance = fit.setup.covariance
    sds = np.append(fit.sd, fit.sigma)
    frame = pd.DataFrame({
        "group": [*(block.group for block in blocks), "Residual"],
        "name": [*(block.effect for block in blocks), ""],
        "variance": sds**2,
        "sd": sds,
    })
    if se:
        frame["sd_se"] = np.roll(sd_se(fit), -1)                    # sigma's goes last
    R = covariance.correlations(fit.theta)
    most_effects = max(covariance.sizes, default=1)
    for place in range(most_effects - 1):
        column = f"corr{place + 1}"
        frame[column] = np.nan
        for b in covariance.spans:
            effect = b.start + place
            later = list(range(effect + 1, b.stop))
            frame.loc[later, column] = R[later, effect]
    return frame


def icc(fit):
    """The intraclass correlations: each term's share of what the fixed effects leave.

    Returns
    -------
    Series by term
        For random intercepts sd^2 / (sum of all sd^2 + sigma^2). A term with slopes counts with the
        mean over the rows of its variance, z' psi z.
    """
    random = mean_variances(fit)
    whole = random.sum() + fit.sigma**2
    return (random / whole).rename("icc")


def r2(fit):
    """Nakagawa and Schielzeth's R^2.

    Returns
    -------
    Series
        ``marginal``, what the fixed effects explain, and ``conditional``, random ones as well.

    Notes
    -----
    The shares of var(X beta), divisor n - 1, and of that plus the terms' variances, z' psi z
    averaged over the rows, in their sum with sigma^2.
    """
    X = fit.setup.design.X
    fixed = np.var(X @ fit.beta, ddof=1)
    random = mean_variances(fit).sum()
    whole = fixed + random + fit.sigma**2
    shares = {
        "marginal": fixed / whole,
        "conditional": (fixed + random) / whole,
    }
    return pd.Series(shares, name="r2")


def mean_variances(fit):
    """The mean over the rows of each term's variance, 1/n tr(Z_j psi_j Z_j'): a Series by term."""
    design = fit.setup.design
    covariance = fit.setup.covariance
    Z = [block.matrix for block in design.blocks]
    whole = covariance.psi(fit.theta)
    means = []
    for b in covariance.spans:
        total = 0.0
        blocks = range(b.start, b.stop)
        for i in blocks:
            for j in blocks:
                total += whole[i, j] * Z[i].multiply(Z[j]).sum()    # psi_ij tr(Z_i Z_j')
        means.append(total / fit.nobs)
    return pd.Series(means, list(design.term_names), dtype=float)
