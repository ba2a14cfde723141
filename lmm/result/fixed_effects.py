"""The fixed effects with their names, and their errors: theta taken as known."""

import numpy as np
import pandas as pd

from ..engines import covariance_of_beta


def params(fit):
    """The fixed effects, units of y: `beta` as a Series by column of X."""
    return _by_column(fit, fit.beta, "estimate")


def cov_params(fit):
    """(X' W X)^-1, the covariance of `beta` at the estimated theta.

    Returns
    -------
    DataFrame
        Columns of X by columns of X.
    """
    names = list(fit.setup.design.x_names)
    C = covariance_of_beta(fit.triangle, fit.setup)
    return pd.DataFrame(C, names, names)


def bse(fit):
    """The standard errors of `params`, theta taken as known: a Series by column of X."""
    variances = np.diag(cov_params(fit))
    return _by_column(fit, np.sqrt(variances), "std_error")


def tvalues(fit):
    """`params` divided by `bse`: a Series by column of X."""
    return _by_column(fit, params(fit) / bse(fit), "t")


def fixed_names(fit, effects):
    """By random effect: the name of the fixed one it varies around.

    ``Days:z`` for ``z:Days``; its own name where there is none.
    """
    names = fit.setup.design.x_names
    by_variables = {_variables(name): name for name in names}
    return {effect: by_variables.get(_variables(effect), effect) for effect in effects}


def _variables(name):
    """The variables of an interaction, in whichever order."""
    return frozenset(name.split(":"))


def _by_column(fit, values, name):
    """A Series by column of X."""
    names = list(fit.setup.design.x_names)
    return pd.Series(np.asarray(values), names, name=name)
