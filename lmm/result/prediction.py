"""Predictions for new rows: X beta, with or without random effects, and their errors.

The error of x'beta + z'b has the variance of `error_variances` for levels in the data, and
z' psi z more for each term whose level is not. Source: Henderson (1975).
"""

import numpy as np
import pandas as pd
from scipy.special import ndtri

from ..engines import back_substitute
from ..errors import LMMError
from ..model import over_rows
from .modes import error_variances, modes_of
from .newdata import chosen_terms, rows_of_fit, rows_of_frame, rows_of_x
from .parameters import check_level

INTERVALS = ("confidence", "prediction")
NEW_LEVELS = ("error", "population")


def predict(
    fit, newdata=None, *, random=True, se=False, interval=None, level=0.95, new_levels="error"
):
    """Predictions, on the scale of the formula's left-hand side.

    Parameters
    ----------
    newdata : DataFrame, optional
        With the columns of the formula's right-hand side and, unless `random` is false, the
        grouping columns; or what `lmm` takes as `dat`, a dict of single values being one row. By
        default the rows used for the fit.
    random : bool, str or list of str, optional
        Whether to add the conditional modes of each row's levels; otherwise the mean over all
        levels, X beta. Or whose: the names of groupings, each for all its terms, or of terms.
    se : bool, optional
        Whether to give the standard error of the predicted mean, that of its confidence interval.
    interval : {None, "confidence", "prediction"}, optional
        For the predicted mean, or for a new observation. The latter is one of a new level of
        every term that is not in the prediction.
    level : float, optional
        Of the interval, between 0 and 1.
    new_levels : {"error", "population"}, optional
        What to do where a level is not in the data: raise an error, or predict without its effect,
        whose variance then widens the interval. A grouping's column may be missing then, as the id
        of a new patient of a known clinic: its levels are all new.

    Returns
    -------
    Series, or DataFrame with mean, se, lower and upper, those that were asked for
        By the index of `newdata`; nan where a variable is missing.

    Raises
    ------
    LMMError
        If an argument is none of the above, if `newdata` lacks a column or holds a value that the
        model cannot take, if one of its levels is new, or if the data of the fit do not tell the
        mean of a row, columns of X having been left out (``fit.dropped``).

    Notes
    -----
    Intervals are normal, with the errors of beta and of the random effects (Henderson 1975), theta
    taken as known.

    Examples
    --------
    >>> fit = lmm("Reaction ~ Days", load_data("sleepstudy"), ["Subject", ["Subject", "Days"]])
    >>> new = pd.DataFrame({"Days": [10], "Subject": ["308"]})
    >>> fit.predict(new, interval="prediction").round(1).to_dict("records")
    [{'mean': 450.3, 'lower': 391.4, 'upper': 509.2}]
    """
    _check_arguments(se, interval, level, new_levels)
    design = fit.setup.design
    chosen = chosen_terms(design, random)
    if newdata is None:
        rows = rows_of_fit(fit, chosen)
    else:
        rows = rows_of_frame(fit, newdata, chosen, new_levels, interval == "prediction")

    # -- the mean: x'beta + offset + z'E[b | y]
    modes = modes_of(fit)
    mean = rows.X @ fit.beta + rows.offset + rows.Z @ modes.b
    if interval is None and not se:
        return over_rows(mean, rows.index, rows.kept).rename(design.response)

    # -- its error's variance, with z' psi z for new levels
    by_R_X = back_substitute(fit.setup.R_X, rows.X.T, trans=1).T
    variance = error_variances(fit, modes, by_R_X, rows.Z) + rows.of_new_levels
    columns = {"mean": mean}
    if se:
        columns["se"] = np.sqrt(variance)

    # -- an observation has the other terms' effects too, and sigma^2 / weight
    if interval == "prediction":
        variance = variance + rows.of_others + fit.sigma**2 / rows.weights
    if interval is not None:
        half = ndtri(0.5 + level / 2) * np.sqrt(variance)
        columns["lower"] = mean - half
        columns["upper"] = mean + half
    return pd.DataFrame({
        name: over_rows(values, rows.index, rows.kept) for name, values in columns.items()
    })


def model_matrix(fit, newdata=None):
    """X, the model matrix of the fixed effects: of the rows used, or of new ones.

    Parameters
    ----------
    newdata : DataFrame, optional
        With the variables of the fixed effects, or what `lmm` takes as `dat`.

    Returns
    -------
    DataFrame
        Rows by columns of X, those that were left out not among them; by the index of `newdata`,
        nan where a variable is missing.

    Raises
    ------
    LMMError
        As `predict` does with ``random=False``.

    Examples
    --------
    >>> fit = lmm("score ~ Machine", load_data("Machines"), "Worker")
    >>> fit.model_matrix(pd.DataFrame({"Machine": ["C"]})).iloc[0].tolist()
    [1.0, 0.0, 1.0]
    """
    names = list(fit.setup.design.x_names)
    if newdata is None:
        return pd.DataFrame(np.array(fit.setup.design.X), fit.setup.design.index, names)
    X, kept, index = rows_of_x(fit, newdata)
    whole = np.full((len(index), len(names)), np.nan)
    whole[kept] = X
    return pd.DataFrame(whole, index, names)


def _check_arguments(se, interval, level, new_levels):
    """Raise an LMMError if an argument of `predict` is none that it takes."""
    if not isinstance(se, (bool, np.bool_)):
        raise LMMError(f"se is {se!r}; it is True or False")
    if interval is not None and interval not in INTERVALS:
        raise LMMError(
            f"interval is {interval!r}; it is None, 'confidence' (of the mean) or 'prediction' "
            "(of an observation)"
        )
    if new_levels not in NEW_LEVELS:
        raise LMMError(
            f"new_levels is {new_levels!r}; it is 'error' or 'population' (no random effect for "
            "a new level)"
        )
    check_level(level)
