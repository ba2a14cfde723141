"""The random effects given the response, and what follows from them: fitted values, leverages, predictions' errors.

Given y, the random effects are normal, with the means and variances of equation (5):

    (5)  E[b | y] = psi Z'W (y - X beta),    Var[b | y, beta] = psi - psi Z'WZ psi

The means are the conditional modes, or best linear unbiased predictors. Source: Henderson (1975), "Best linear unbiased
estimation and prediction under a selection model", Biometrics 31.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd

from .likelihood import back_substitute


class Modes(NamedTuple):
    """Equation (5) at the estimated theta; the columns of Z in the order of the blocks."""

    b: np.ndarray           # (p,) E[b | y]
    variance: np.ndarray    # (p, p) Var[b | y, beta]
    shift: np.ndarray       # (p, k) psi Z'W Q_X: how the modes depend on beta


def modes(fit):
    """The `Modes` of a fit. O(p^3)."""
    setup, k = fit.setup, len(fit.beta)
    engine = setup.engine
    order = np.argsort(engine.block, kind="stable")
    variances = np.exp(2 * fit.theta[1:])[engine.block]
    N = engine.products(fit.theta)[1]                               # Z'W[Q_X e]
    N_X = variances[:, None] * N[:, :k]
    gamma = back_substitute(fit.factor[:k, :k], fit.factor[:k, k])
    b = variances * N[:, k] - N_X @ gamma                           # psi Z'W (y - X beta)
    A = engine.root_of_variance(fit.theta)
    return Modes(b[order], (A.T @ A)[np.ix_(order, order)], N_X[order])


def offsets(blocks):
    """Where each block's columns begin among those of Z, and where the last one ends."""
    return np.cumsum([0, *(block.matrix.shape[1] for block in blocks)])


def frame_of_modes(fit):
    """The conditional modes, one row each: group, name, level, estimate, sd."""
    blocks = fit.setup.design.blocks
    m = modes(fit)
    rows = [(block.group, block.effect, level) for block in blocks for level in block.levels]
    frame = pd.DataFrame(rows, columns=["group", "name", "level"])
    return frame.assign(estimate=m.b, sd=np.sqrt(m.variance.diagonal()))


def modes_by_group(fit, cond_sd=False):
    """The conditional modes: a dict from group to DataFrame, levels by names."""
    groups = {}
    for group, rows in frame_of_modes(fit).groupby("group", sort=False):
        names, levels = rows["name"].unique(), rows["level"].unique()
        wide = rows.pivot(index="level", columns="name", values=["estimate", "sd"]).loc[levels]
        table = wide["estimate"][names]
        table = table.join(wide["sd"][names].add_suffix("_sd")) if cond_sd else table
        groups[group] = table.rename_axis(columns=None)
    return groups


def coefficients_by_group(fit):
    """Fixed effects plus conditional modes: a dict from group to DataFrame, levels by columns of X and other effects."""
    groups = {}
    for group, table in modes_by_group(fit).items():
        names = dict.fromkeys([*fit.params.index, *table.columns])
        zero = pd.Series(0.0, table.index)
        groups[group] = pd.DataFrame({name: fit.params.get(name, 0.0) + table.get(name, zero) for name in names})
    return groups


def fitted_values(fit):
    """X beta + Z E[b | y], (n,)."""
    design = fit.setup.design
    at = offsets(design.blocks)
    b = modes(fit).b
    return sum((block.matrix @ b[i:j] for block, i, j in zip(design.blocks, at, at[1:])), design.X @ fit.beta)


def leverages(fit):
    """The diagonal of the matrix that takes y to the fitted values, theta known: I - sigma^2 P. O(n (J^2 + k^2)).

    As sigma^2 W = I - Z Var[b | y, beta] Z' / sigma^2, that of row i is z_i' Var[b | y, beta] z_i / sigma^2, and for
    the estimation of beta sigma^2 times the squared length of row i of W X (X'WX)^-1/2.
    """
    m = modes(fit)
    blocks, sigma, k = fit.setup.design.blocks, fit.sigma, len(fit.beta)
    at = offsets(blocks)
    WX = fit.setup.Q_X / sigma                                      # sigma W Q_X = (Q_X - Z psi Z'W Q_X) / sigma
    total = np.zeros(len(WX))
    for i, one in enumerate(blocks):
        WX = WX - one.matrix @ (m.shift[at[i]:at[i + 1]] / sigma)
        for j, other in enumerate(blocks):
            V = m.variance[at[i]:at[i + 1], at[j]:at[j + 1]]
            total += one.matrix.data * V[one.matrix.indices, other.matrix.indices] * other.matrix.data / sigma**2
    return total + np.sum(back_substitute(fit.factor[:k, :k], WX.T, trans=1) ** 2, axis=0)


def cooks_distances(fit):
    """(r_i / sigma)^2 h_i / (k (1 - h_i)^2), r_i being the residual and h_i the leverage of row i: (n,)."""
    h = leverages(fit)
    return ((fit.setup.design.y - fitted_values(fit)) / fit.sigma) ** 2 * h / (len(fit.beta) * (1 - h) ** 2)
