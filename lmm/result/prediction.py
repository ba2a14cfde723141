"""Predictions for new rows: X beta, with or without the random effects of their groups, and their errors.

The error of x'beta + z'b has the variance of `error_variances` for groups in the data, and z' psi z more for each term whose
group is not. Source: Henderson (1975).
"""

import numpy as np
import pandas as pd
from scipy import sparse
from scipy.special import ndtri

from ..engines import back_substitute
from ..errors import LMMError, shorten
from ..model import Matrices, like, over_rows, root_of_weights, values_of
from .components import check_level
from .modes import error_variances, modes_of, rows_of_z

INTERVALS = ("confidence", "prediction")
NEW_LEVELS = ("error", "population")


def predict(fit, newdata=None, *, random=True, interval=None, level=0.95, new_levels="error"):
    """Predictions, on the scale of the formula's left-hand side.

    Parameters
    ----------
    newdata : DataFrame, optional
        With the columns of the formula's right-hand side and, unless `random` is false, the grouping columns. By default
        the rows used for the fit.
    random : bool, optional
        Whether to add the conditional modes of each row's groups; otherwise the mean over all groups, X beta.
    interval : {None, "confidence", "prediction"}, optional
        For the predicted mean, or for a new observation. With `random` false the latter is one in a new group.
    level : float, optional
        Of the interval.
    new_levels : {"error", "population"}, optional
        What to do where a group is not in the data: raise an error, or predict without its effect, whose variance then
        widens the interval.

    Returns
    -------
    Series, or DataFrame with mean, lower and upper
        By the index of `newdata`; nan where a variable is missing.

    Notes
    -----
    Intervals are normal, with the errors of beta and of the random effects (Henderson 1975), theta taken as known.
    """
    if not isinstance(random, (bool, np.bool_)):
        raise LMMError(f"random is {random!r}; it is True or False: with or without the conditional modes of all blocks")
    if interval is not None and interval not in INTERVALS:
        raise LMMError(f"interval is {interval!r}; it is None, 'confidence' (of the mean) or 'prediction' (of an observation)")
    if new_levels not in NEW_LEVELS:
        raise LMMError(f"new_levels is {new_levels!r}; it is 'error' or 'population' (no random effect for a new level)")
    check_level(level)
    design, covariance = fit.setup.design, fit.setup.covariance
    if newdata is None:
        index, kept = design.index, np.arange(fit.nobs)
        X, known, Z = design.X, design.offset, rows_of_z(design)
        Lambda = covariance.Lambda(fit.theta, [len(block.levels) for block in design.blocks])
        of_new_levels = np.zeros(fit.nobs) if random else (Z @ Lambda).power(2).sum(axis=1)
        Z = Z if random else Z * 0.0
    else:
        X, known, Z, new, kept = rows_of(design, newdata, random, new_levels, numbers=random or interval == "prediction")
        psi, index = covariance.psi(fit.theta), newdata.index
        of_new_levels = sum((np.einsum("ij,jk,ik->i", z, psi[b, b], z) for b, z in zip(covariance.spans, new)),
                            np.zeros(len(kept)))
    m = modes_of(fit)
    mean = X @ fit.beta + known + Z @ m.b
    if interval is None:
        return over_rows(mean, index, kept).rename(design.response)
    error = error_variances(fit, m, back_substitute(fit.setup.R_X, X.T, trans=1).T, Z)
    if random or interval == "prediction":
        error += np.asarray(of_new_levels).ravel()
    if interval == "prediction":
        error += fit.sigma**2 / weights_of(design, newdata, kept)
    half = ndtri(0.5 + level / 2) * np.sqrt(error)
    return pd.DataFrame({name: over_rows(values, index, kept) for name, values in (
        ("mean", mean), ("lower", mean - half), ("upper", mean + half))})


def weights_of(design, newdata, kept):
    """The weights of the rows, which divide sigma^2: of the fit, or of `newdata` at the positions `kept`."""
    given = design.given["weights"]
    if newdata is None:
        return 1.0 if given is None else design.root_weights**2
    if not (given is None or isinstance(given, str)):
        raise LMMError("the fit's weights were an array, which new rows do not have, and a new observation's variance is "
                       "sigma^2 / weight; give them as a column of dat: weights='name', or ask for interval='confidence'")
    if given is not None and given not in newdata.columns:
        raise LMMError(f"newdata has no column {given!r}, the weights, and a new observation's variance is sigma^2 / weight")
    return 1.0 if given is None else root_of_weights(given, newdata, kept) ** 2


def rows_of(design, newdata, random, new_levels, numbers):
    """X, offset, Z, the values of each term's effects where the level is new and 0 elsewhere, (n, c), and the positions of the
    rows of `newdata` that lack nothing.

    Without random effects the grouping columns are not asked for, every group being new, and the numeric variables of the
    blocks only where their `numbers` matter.
    """
    if not isinstance(newdata, pd.DataFrame):
        raise LMMError(f"newdata is of type {type(newdata).__name__}, not a pandas DataFrame; one row is dat.iloc[[0]], or "
                       "pd.DataFrame([{'x': 1.5, 'g': 'a'}])")
    if isinstance(design.formula, Matrices):
        raise LMMError("this is a fit of matrices, so new rows are predicted by their own: X_new @ fit.beta, and Z_new times "
                       "the estimates of fit.ranef(tidy=True)")
    factors = [name for block in design.blocks if random for name in block.factors]
    slopes = [name for block in design.blocks if numbers for name in block.predictors]
    fixed = design.formula.predictors
    advice = {name: "; for predictions without random effects give random=False" for name in factors if name not in fixed}
    given = design.given["offset"]
    if not (given is None or isinstance(given, str)):
        raise LMMError("the fit's offset was an array, which new rows do not have; give it as a column of dat: offset='name'")
    offset = [] if given is None else [given]
    new, kept = like(design.data, newdata, dict.fromkeys([*fixed, *factors, *slopes, *offset]), advice)
    for name in design.formula.predictors:
        if (unseen := new[name].isna().to_numpy()).any():
            _refuse_unseen(design, newdata, name, kept, unseen, "a fixed effect has no value there")
    X, known = np.zeros((0, design.X.shape[1])), np.zeros(0)
    if len(kept):
        X, known = design.formula.columns_at(new, len(kept), design.data, design.X)
    for name in offset:
        known = known + new[name].to_numpy(float)
    if not np.isfinite(X).all():
        row, column = np.argwhere(~np.isfinite(X))[0]
        raise LMMError(f"the column of X {design.x_names[column]!r} is {X[row, column]} in row {kept[row]} of newdata, "
                       "counted from 0")
    parts, unseen_values = [sparse.csr_array((len(kept), 0))], []
    for term, b in zip(design.terms, design.covariance.spans):
        block = design.blocks[b.start]
        codes = _levels(block, design.data, new, len(kept)) if random else np.full(len(kept), -1)
        if random and new_levels == "error" and (codes < 0).any():
            name = next((name for name in block.factors if new[name].isna().any()), None)
            if name is not None:
                _refuse_unseen(design, newdata, name, kept, new[name].isna().to_numpy(),
                               "for a prediction without its random effect give new_levels='population'")
            row = kept[np.flatnonzero(codes < 0)[0]]
            raise LMMError(f"row {row} of newdata, counted from 0, is of a combination of {block.group!r} that the fit "
                           "has not seen; for a prediction without its random effect give new_levels='population'")
        values, seen = _values(term, design, b, new, len(kept), numbers), codes >= 0
        rows = np.flatnonzero(seen)
        parts += [sparse.csr_array((column[seen], (rows, codes[seen])), (len(kept), len(block.levels))) for column in values.T]
        unseen_values.append(values * ~seen[:, None])
    return X, known, sparse.csr_array(sparse.hstack(parts, format="csr")), unseen_values, kept


def _values(term, design, b, new, n, numbers):
    """The values of a term's effects for n new rows, (n, c)."""
    if not (n and numbers):
        return np.ones((n, b.stop - b.start))
    if term.effects is None:
        return values_of(term, design.blocks[b.start].predictors, new, n)[0]
    known = np.column_stack([block.matrix.data for block in design.blocks[b]])
    for name in term.effects.predictors:
        if (unseen := new[name].isna().to_numpy()).any():
            row = np.flatnonzero(unseen)[0]
            raise LMMError(f"{name!r} in row {row} of newdata, counted from 0, is of a level that the fit has not seen; "
                           f"its random effect in ({term.bar}) has no value there")
    return term.effects.columns_at(new, n, design.data, known)[0]


def _levels(block, data, new, n):
    """The number of the level of each new row, -1 if there is none."""
    if not block.factors:
        return np.zeros(n, int)
    _, first = np.unique(block.codes, return_index=True)                 # a row of each level
    levels = pd.MultiIndex.from_arrays([data[name].array.codes[first] for name in block.factors])
    return levels.get_indexer(pd.MultiIndex.from_arrays([new[name].array.codes for name in block.factors]))


def _refuse_unseen(design, newdata, name, kept, unseen, advice):
    row = kept[np.flatnonzero(unseen)[0]]
    found = newdata[name].to_numpy(object)[row]
    raise LMMError(f"{name!r} is {found!r} in row {row} of newdata, counted from 0, which the fit has not "
                   f"seen; its levels are {shorten(design.data[name].array.categories.tolist())}; {advice}")
