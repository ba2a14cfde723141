"""The random effects given the response, and the errors of what is predicted from them.

Given y, the random effects are normal, with the means and variances of equation (5):

    (5)  E[b | y] = psi Z'W (y - X beta),    Var[b | y, beta] = psi - psi Z'WZ psi

The means are the conditional modes, or best linear unbiased predictors. Source: Henderson (1975),
"Best linear unbiased estimation and prediction under a selection model", Biometrics 31.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import sparse

from ..engines import back_substitute
from ..errors import LMMError
from ..machine import few_threads
from .fixed_effects import fixed_names


class Modes(NamedTuple):
    """Equation (5) at the estimated theta; the columns of Z in the order of the blocks."""

    b: np.ndarray           # (p,) E[b | y]
    posterior: object       # Var[b | y, beta]: its sds, and its quadratic forms
    shift: np.ndarray       # (p, k) psi Z'W Q_X: how the modes depend on beta


def modes_of(fit):
    """The `Modes` of a fit. O(p^3)."""
    setup = fit.setup
    phi = setup.covariance.phi(fit.theta)
    levels = [block.matrix.shape[1] for block in setup.design.blocks]
    Lambda = setup.covariance.Lambda(fit.theta, levels)             # psi = Lambda Lambda'
    with few_threads(setup.engine.widest):
        N, posterior = setup.engine.conditional(phi, Lambda)        # Z'W [Q_X e], Var[b | y, beta]

    # -- y - X beta = e - Q_X gamma, so E[b | y] = psi Z'We - psi Z'W Q_X gamma
    k = len(fit.beta)
    G = fit.triangle
    gamma = back_substitute(G[:k, :k], G[:k, k])
    shift = Lambda @ (Lambda.T @ N[:, :k])
    b = Lambda @ (Lambda.T @ N[:, k]) - shift @ gamma
    return Modes(b, posterior, shift)


def error_variances(fit, modes, A, Z):
    """The variance of the error of x'beta + z'E[b | y], (n,), theta taken as known.

    The rows x are A R_X, the rows z those of Z, sparse: a level that is not in the data has no
    entry there and counts as 0. The variance is

        z' Var[b | y, beta] z + (x - X'WZ psi z)' (X'WX)^-1 (x - X'WZ psi z),

    computed as squared lengths: the entries of the variance are large and cancel where blocks
    overlap. O(n p J).
    """
    k = len(fit.beta)
    G_XX = fit.triangle[:k, :k]                         # X'WX = (G_XX R_X)' G_XX R_X
    left = A - Z @ modes.shift                          # (x - X'WZ psi z)' R_X^-1
    root = back_substitute(G_XX, left.T, trans=1)
    of_beta = np.sum(root**2, axis=0)
    return of_beta + modes.posterior.quadratic_forms(Z)


def rows_of_z(design):
    """Z, (n, p), sparse, its columns in the order of the blocks."""
    nothing = sparse.csr_array((len(design.y), 0))
    matrices = [block.matrix for block in design.blocks]
    Z = sparse.hstack([nothing, *matrices], format="csr")
    return sparse.csr_array(Z)


def column_starts(blocks):
    """Where each block's columns begin among those of Z, and where the last one ends."""
    widths = [block.matrix.shape[1] for block in blocks]
    return np.cumsum([0, *widths])


def ranef(fit, *, cond_sd=False, tidy=False):
    """The conditional modes of the random effects, E[b | y]; lme4's ``ranef``.

    Parameters
    ----------
    cond_sd : bool, optional
        Whether to add their standard deviations, y, beta and theta taken as known, in columns
        named ``..._sd``.
    tidy : bool, optional
        Whether to return one row per effect instead.

    Returns
    -------
    dict of DataFrame, or DataFrame
        By grouping: levels by effects, ``Intercept`` or the slope in a variable. Tidy: a DataFrame
        with group, name (of the effect), level, estimate, sd. Units of y, per unit of the variable.

    Notes
    -----
    Levels are the values of the grouping's column, of its own type, so that ``dat.join(ranef["g"],
    on="g")`` finds each row's, with ``.add_suffix("_of_g")`` where an effect is called as a column.
    Those of an interaction are a MultiIndex, ``dat.join(ranef["a:b"], on=["a", "b"])``; in a tidy
    table they are text, the values joined by colons.

    Examples
    --------
    >>> fit = lmm("Reaction ~ Days", load_data("sleepstudy"), ["Subject", ["Subject", "Days"]])
    >>> fit.ranef()["Subject"].loc["308"].round(2).to_dict()
    {'Intercept': 1.85, 'Days': 9.24}
    """
    return _tidy(fit) if tidy else _by_grouping(fit, cond_sd)


def _tidy(fit):
    """The conditional modes, one row each: group, name, level, estimate, sd."""
    design = fit.setup.design
    groups = []
    names = []
    levels = []
    for block in design.blocks:
        m = len(block.grouping)
        groups += [block.group] * m
        names += [block.effect] * m
        levels.append(_level_by_level(block.grouping, design.dtypes))
    modes = modes_of(fit)
    return pd.DataFrame({
        "group": groups,
        "name": names,
        "level": levels[0].append(levels[1:]) if levels else [],
        "estimate": modes.b,
        "sd": modes.posterior.sds(),
    })


def _level_by_level(grouping, dtypes):
    """An Index of the levels, each one value: those of a column, or the labels of combinations."""
    if len(grouping.names) > 1:
        return pd.Index(grouping.labels)
    return grouping.index(dtypes)


def _by_grouping(fit, cond_sd):
    """The conditional modes: a dict from grouping to DataFrame, levels by names."""
    design = fit.setup.design
    blocks = design.blocks
    modes = modes_of(fit)
    by_suffix = {"": modes.b}
    if cond_sd:
        by_suffix["_sd"] = modes.posterior.sds()
    starts = column_starts(blocks)
    tables = {}
    for suffix, values in by_suffix.items():
        for block, start, end in zip(blocks, starts, starts[1:]):
            if block.group not in tables:
                tables[block.group] = pd.DataFrame(index=block.grouping.index(design.dtypes))
            name = block.effect + suffix
            if name in tables[block.group]:
                raise LMMError(
                    f"the effect {name!r} of {block.group!r} is called as a standard deviation; "
                    "give tidy=True, or rename the column"
                )
            tables[block.group][name] = values[start:end]
    return tables


def coef(fit):
    """The coefficients of each level, fixed effects plus conditional modes; lme4's ``coef``.

    Returns
    -------
    dict of DataFrame
        By grouping: levels, as in `ranef`, by columns of X, and by effects that X lacks. Units as
        in `params`.
    """
    params = fit.params
    tables = {}
    for grouping, modes in ranef(fit).items():
        modes = modes.rename(columns=fixed_names(fit, modes.columns))
        zero = pd.Series(0.0, modes.index)
        sums = {}
        for name in dict.fromkeys([*params.index, *modes.columns]):
            sums[name] = params.get(name, 0.0) + modes.get(name, zero)
        tables[grouping] = pd.DataFrame(sums)
    return tables
