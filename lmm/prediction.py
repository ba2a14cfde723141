"""Predictions for new rows: X beta, with or without the random effects of their groups, and their errors.

The error of x'beta + z'b, theta taken as known, has the variance

    z' Var[b | y, beta] z + (x - X'WZ psi z)' (X'WX)^-1 (x - X'WZ psi z)

for groups in the data, and sd_j^2 z^2 more for each block whose group is not. Source: Henderson (1975).
"""

import numpy as np
import pandas as pd
from scipy.special import ndtri

from .columns import like
from .errors import LMMError, shorten
from .inference import check_level
from .likelihood import back_substitute
from .modes import modes, offsets

INTERVALS = ("confidence", "prediction")
NEW_LEVELS = ("error", "population")


def predicted(fit, newdata=None, random=True, interval=None, level=0.95, new_levels="error"):
    """Predictions by row of `newdata`; see `LMMResult.predict`."""
    if interval is not None and interval not in INTERVALS:
        raise LMMError(f"interval is {interval!r}; it is None, 'confidence' (of the mean) or 'prediction' (of an observation)")
    if new_levels not in NEW_LEVELS:
        raise LMMError(f"new_levels is {new_levels!r}; it is 'error' or 'population' (no random effect for a new level)")
    check_level(level)
    design = fit.setup.design
    if newdata is None:
        index, kept = design.index, np.arange(fit.nobs)
        X = design.X
        entries = [(block.matrix.indices if random else np.full(fit.nobs, -1), block.matrix.data) for block in design.blocks]
    else:
        X, entries, kept = rows_of(design, newdata, random, new_levels)
        index = newdata.index
    m, at = modes(fit), offsets(design.blocks)
    mean = X @ fit.beta
    for (codes, values), start in zip(entries, at):
        known = codes >= 0
        mean[known] += values[known] * m.b[start + codes[known]]
    if interval is None:
        return _spread(mean, index, kept).rename(design.response)
    half = ndtri(0.5 + level / 2) * np.sqrt(error_variances(fit, m, X, entries, new_groups=random or interval == "prediction")
                                            + (fit.sigma**2 if interval == "prediction" else 0.0))
    return pd.DataFrame({name: _spread(values, index, kept) for name, values in (
        ("mean", mean), ("lower", mean - half), ("upper", mean + half))})


def error_variances(fit, m, X, entries, new_groups):
    """The variance of each row's error; `entries` are (column within the block or -1, value) by block."""
    at, k = offsets(fit.setup.design.blocks), len(fit.beta)
    A = back_substitute(fit.setup.R_X, X.T, trans=1).T              # rows of X R_X^-1, on the scale of Q_X
    total = np.zeros(len(X))
    for j, (codes, values) in enumerate(entries):
        known = codes >= 0
        A = A - np.where(known, values, 0.0)[:, None] * m.shift[at[j] + np.maximum(codes, 0)]
        if new_groups:
            total += np.where(known, 0.0, np.exp(2 * fit.theta[1 + j]) * values**2)
        for i, (others, weights) in enumerate(entries):
            both = known & (others >= 0)
            total[both] += (values * weights)[both] * m.variance[at[j] + codes[both], at[i] + others[both]]
    return total + np.sum(back_substitute(fit.factor[:k, :k], A.T, trans=1) ** 2, axis=0)


def rows_of(design, newdata, random, new_levels):
    """X, (column, value) by block, and the positions of the rows of `newdata` that lack nothing.

    Without random effects the grouping columns are not asked for: every group is new.
    """
    if not isinstance(newdata, pd.DataFrame):
        raise LMMError(f"newdata is of type {type(newdata).__name__}, not a pandas DataFrame; "
                       "make one with pd.DataFrame(newdata)")
    factors = [name for block in design.blocks if random for name in block.factors]
    numbers = [name for block in design.blocks for name in block.numbers]
    new, kept = like(design.data, newdata, dict.fromkeys([*design.formula.predictors, *factors, *numbers]))
    for name in design.formula.predictors:
        if (unseen := new[name].isna().to_numpy()).any():
            _refuse_unseen(design, newdata, name, kept, unseen, "a fixed effect has no value there")
    X = design.formula.columns_at(new, len(kept), design.data) if len(kept) else np.zeros((0, design.X.shape[1]))
    if not np.isfinite(X).all():
        row, column = np.argwhere(~np.isfinite(X))[0]
        raise LMMError(f"the column of X {design.x_names[column]!r} is {X[row, column]} in row {kept[row]} of newdata, "
                       "counted from 0")
    entries = []
    for block in design.blocks:
        codes = _columns(block, design.data, new, len(kept)) if random else np.full(len(kept), -1)
        values = np.prod([new[name].to_numpy(float) for name in block.numbers], axis=0) * np.ones(len(kept))
        if random and new_levels == "error" and (codes < 0).any():
            name = next((name for name in block.factors if new[name].isna().any()), None)
            if name is not None:
                _refuse_unseen(design, newdata, name, kept, new[name].isna().to_numpy(),
                               "for a prediction without its random effect give new_levels='population'")
            row = kept[np.flatnonzero(codes < 0)[0]]
            raise LMMError(f"row {row} of newdata, counted from 0, is of a combination of {block.group!r} that the fit "
                           "has not seen; for a prediction without its random effect give new_levels='population'")
        entries.append((codes, values))
    return X, entries, kept


def _columns(block, data, new, n):
    """The column of Z's block for each new row, -1 if there is none."""
    if not block.factors:
        return np.zeros(n, int)
    _, first = np.unique(block.matrix.indices, return_index=True)        # a row of each level
    levels = pd.MultiIndex.from_arrays([data[name].array.codes[first] for name in block.factors])
    return levels.get_indexer(pd.MultiIndex.from_arrays([new[name].array.codes for name in block.factors]))


def _refuse_unseen(design, newdata, name, kept, unseen, advice):
    row = kept[np.flatnonzero(unseen)[0]]
    found = newdata[name].to_numpy(object)[row]
    raise LMMError(f"{name!r} is {found!r} in row {row} of newdata, counted from 0, which the fit has not "
                   f"seen; its levels are {shorten(design.data[name].array.categories)}; {advice}")


def _spread(values, index, kept):
    """A Series by `index`, nan where a row is not among those kept."""
    whole = np.full(len(index), np.nan)
    whole[kept] = values
    return pd.Series(whole, index)
