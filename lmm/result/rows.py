"""What a fit says of each row used: fitted value, residual, leverage, influence."""

import numpy as np
import pandas as pd

from ..errors import LMMError
from ..model import in_order, over_rows
from .modes import error_variances, modes_of, rows_of_z

LEAST_LEFT = 1e-12      # of 1 - leverage, below which it is 0 but for rounding


def fittedvalues(fit):
    """X beta + Z E[b | y] + offset, units of y: a Series by the index of the rows used."""
    return _by_row(fit, _fitted(fit), "fitted")


def resid(fit):
    """The response minus `fittedvalues`: a Series by the index of the rows used."""
    y = fit.setup.design.y
    return _by_row(fit, y - _fitted(fit), "resid")


def resid_scaled(fit):
    """`resid` divided by its standard deviation, `sigma` over the square root of the weight.

    lme4's ``residuals(m, type = "pearson", scaled = TRUE)``.
    """
    return _by_row(fit, _scaled(fit), "resid_scaled")


def leverage(fit):
    """The derivative of each fitted value in its own response, theta taken as known."""
    return _by_row(fit, _leverages(fit), "leverage")


def cooks_distance(fit):
    """Cook's distances, resid_scaled^2 h / (k (1 - h)^2) with the leverage h, as in lme4.

    nan where the leverage is 1, so that the residual is 0 whatever y is, and without fixed effects.
    """
    k = len(fit.beta)
    h = _leverages(fit)
    left = 1 - h
    left[left <= LEAST_LEFT] = np.nan
    if not k:
        left[:] = np.nan
    distances = _scaled(fit) ** 2 * h / (max(k, 1) * left**2)
    return _by_row(fit, distances, "cooks_distance")


def align(fit, series):
    """A Series of this fit by row, such as `resid`, over all rows of `dat`.

    Parameters
    ----------
    series : Series or array_like
        One value for each row used. A Series goes by its index, anything else by position.

    Returns
    -------
    Series
        One value per row of `dat`, by its index: nan at the rows that were left out.

    Raises
    ------
    LMMError
        If there are more values, or fewer, than rows used.
    """
    design = fit.setup.design
    if len(series) != len(design.rows):
        raise LMMError(
            f"the series has {len(series)} values; align takes one for each of the "
            f"{len(design.rows)} rows used"
        )
    if isinstance(series, pd.Series):
        series = in_order(series, (design.index,), "the series")
    whole = over_rows(series, design.dat.index, design.rows)
    return whole.rename(getattr(series, "name", None))


def _fitted(fit):
    """X beta + Z E[b | y] + offset, (n,)."""
    design = fit.setup.design
    b = modes_of(fit).b
    return design.X @ fit.beta + design.offset + rows_of_z(design) @ b


def _scaled(fit):
    """(y - fitted) / sigma, times the square roots of the weights, (n,)."""
    design = fit.setup.design
    return design.weighted(design.y - _fitted(fit)) / fit.sigma


def _leverages(fit):
    """The diagonal of the matrix that takes y to the fitted values: I - sigma^2 P. O(p^3 + n p J).

    That is the covariance of the fitted values with y, and over sigma^2 the variance of their
    error, weights taken in.
    """
    design = fit.setup.design
    Z = design.weighted(rows_of_z(design))
    variances = error_variances(fit, modes_of(fit), fit.setup.Q_X, Z)
    return variances / fit.sigma**2


def _by_row(fit, values, name):
    """A Series by the index of the rows used."""
    return pd.Series(values, fit.setup.design.index, name=name)
