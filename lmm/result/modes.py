"""The random effects given the response, and what follows from them: fitted values, leverages, predictions' errors.

Given y, the random effects are normal, with the means and variances of equation (5):

    (5)  E[b | y] = psi Z'W (y - X beta),    Var[b | y, beta] = psi - psi Z'WZ psi

The means are the conditional modes, or best linear unbiased predictors. Source: Henderson (1975), "Best linear unbiased
estimation and prediction under a selection model", Biometrics 31.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import sparse

from ..engines import back_substitute
from ..machine import few_threads

LEFT = 1e-12            # of 1 - leverage, below which it is 0 but for rounding


class Modes(NamedTuple):
    """Equation (5) at the estimated theta; the columns of Z in the order of the blocks."""

    b: np.ndarray           # (p,) E[b | y]
    posterior: object       # Var[b | y, beta]: its sds, and its quadratic forms
    shift: np.ndarray       # (p, k) psi Z'W Q_X: how the modes depend on beta


def modes_of(fit):
    """The `Modes` of a fit. O(p^3)."""
    setup, k = fit.setup, len(fit.beta)
    engine, covariance, phi = setup.engine, setup.covariance, setup.covariance.phi(fit.theta)
    Lambda = covariance.Lambda(fit.theta, [block.matrix.shape[1] for block in setup.design.blocks])     # psi = Lambda Lambda'
    with few_threads(engine.widest):
        N, posterior = engine.conditional(phi, Lambda)              # Z'W[Q_X e], Var[b | y, beta]
    shift = Lambda @ (Lambda.T @ N[:, :k])
    gamma = back_substitute(fit.triangle[:k, :k], fit.triangle[:k, k])
    b = Lambda @ (Lambda.T @ N[:, k]) - shift @ gamma               # psi Z'W (y - X beta)
    return Modes(b, posterior, shift)


def error_variances(fit, m, A, Z):
    """The variance of the error of x'beta + z'E[b | y], (n,), theta taken as known: the rows x are A R_X, the rows z Z, sparse.

    That is z' Var[b | y, beta] z + (x - X'WZ psi z)' (X'WX)^-1 (x - X'WZ psi z), where a level that is not in the data
    has no entry in Z and counts as 0. As squared lengths: the entries of the variance are large and cancel where blocks
    overlap. O(n p J).
    """
    k = len(fit.beta)
    of_beta = np.sum(back_substitute(fit.triangle[:k, :k], (A - Z @ m.shift).T, trans=1) ** 2, axis=0)
    return of_beta + m.posterior.quadratic_forms(Z)


def rows_of_z(design):
    """Z, (n, p), sparse, its columns in the order of the blocks."""
    nothing = sparse.csr_array((len(design.y), 0))
    return sparse.csr_array(sparse.hstack([nothing, *(block.matrix for block in design.blocks)], format="csr"))


def offsets(blocks):
    """Where each block's columns begin among those of Z, and where the last one ends."""
    return np.cumsum([0, *(block.matrix.shape[1] for block in blocks)])


def frame_of_modes(fit):
    """The conditional modes, one row each: group, name, level, estimate, sd."""
    blocks = fit.setup.design.blocks
    m = modes_of(fit)
    rows = [(block.group, block.effect, level) for block in blocks for level in block.levels]
    frame = pd.DataFrame(rows, columns=["group", "name", "level"])
    return frame.assign(estimate=m.b, sd=m.posterior.sds())


def modes_by_group(fit, cond_sd=False):
    """The conditional modes: a dict from group to DataFrame, levels by names."""
    blocks = fit.setup.design.blocks
    frame, at = frame_of_modes(fit), offsets(blocks)
    groups = {}
    for column in ("estimate", "sd") if cond_sd else ("estimate",):
        for block, i, j in zip(blocks, at, at[1:]):
            table = groups.setdefault(block.group, pd.DataFrame(index=pd.Index(block.levels, name="level")))
            table[block.effect + ("_sd" if column == "sd" else "")] = frame[column].to_numpy()[i:j]
    return groups


def coefficients_by_group(fit):
    """Fixed effects plus conditional modes: a dict from group to DataFrame, levels by columns of X and other effects."""
    groups = {}
    for group, table in modes_by_group(fit).items():
        table = table.rename(columns=fixed_names(fit, table.columns))
        names = dict.fromkeys([*fit.params.index, *table.columns])
        zero = pd.Series(0.0, table.index)
        groups[group] = pd.DataFrame({name: fit.params.get(name, 0.0) + table.get(name, zero) for name in names})
    return groups


def fixed_names(fit, effects):
    """By random effect: the name of the fixed one it varies around, ``Days:z`` for ``z:Days``; its own where there is none."""
    known = {frozenset(name.split(":")): name for name in fit.params.index}
    return {effect: known.get(frozenset(effect.split(":")), effect) for effect in effects}


def fitted_values(fit):
    """X beta + Z E[b | y] + offset, (n,)."""
    design = fit.setup.design
    return design.X @ fit.beta + design.offset + rows_of_z(design) @ modes_of(fit).b


def scaled_residuals(fit):
    """(y - fitted) / sigma, times the square roots of the weights, (n,)."""
    design = fit.setup.design
    return design.weighted(design.y - fitted_values(fit)) / fit.sigma


def leverages(fit):
    """The diagonal of the matrix that takes y to the fitted values, theta known: I - sigma^2 P. O(p^3 + n p J).

    That is the covariance of the fitted values with y, and over sigma^2 the variance of their error, weights taken in.
    """
    design = fit.setup.design
    return error_variances(fit, modes_of(fit), fit.setup.Q_X, design.weighted(rows_of_z(design))) / fit.sigma**2


def cooks_distances(fit):
    """(r_i / sigma)^2 h_i / (k (1 - h_i)^2), r_i being the residual and h_i the leverage of row i: (n,).

    nan where the leverage is 1, so that the residual is 0 whatever y is, and without fixed effects.
    """
    h = leverages(fit)
    left = np.where(1 - h > LEFT, 1 - h, np.nan) if len(fit.beta) else np.nan
    return scaled_residuals(fit) ** 2 * h / (max(len(fit.beta), 1) * left**2)
