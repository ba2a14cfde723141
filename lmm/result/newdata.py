"""The rows to predict for: those of the fit, or new ones in the form that the fit's have."""

from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import sparse

from ..errors import LMMError, shorten
from ..model import (
    Matrices,
    as_frame,
    like,
    numbers_by_row,
    root_of_weights,
    source_of,
    values_of,
)
from .modes import rows_of_z


class Rows(NamedTuple):
    """What is predicted for: m rows that lack nothing, of those that were given."""

    X: np.ndarray               # (m, k)
    offset: np.ndarray          # (m,)
    Z: sparse.csr_array         # (m, p), no entry for levels that are new, or not asked for
    of_new_levels: np.ndarray   # (m,) z' psi z, summed over the terms asked for whose level is new
    of_others: np.ndarray       # (m,) the same of the terms not asked for
    kept: np.ndarray            # (m,) the positions of the rows among those given
    index: pd.Index             # of the rows given
    weights: object             # (m,) what divides sigma^2 of an observation; 1 without weights


def chosen_terms(design, random):
    """Which terms `random` asks for, (terms,) of bool: all, none, or those of these names.

    A term's own name, or a grouping's for all of its terms.
    """
    spans = design.covariance.spans
    if isinstance(random, (bool, np.bool_)):
        return [bool(random)] * len(spans)
    names = [random] if isinstance(random, str) else random
    groups = [design.blocks[span.start].group for span in spans]
    if not isinstance(names, (list, tuple)) or not names:
        raise LMMError(
            f"random is {random!r}; it is True, False, or the names of groupings or terms"
        )
    for name in names:
        if name not in groups and name not in design.term_names:
            known = dict.fromkeys([*groups, *design.term_names])
            raise LMMError(
                f"random is {random!r}, where {name!r} is no random effect of the fit; it is True, "
                f"False, or among {', '.join(map(repr, known)) or 'none'}"
            )
    return [group in names or term in names for group, term in zip(groups, design.term_names)]


def rows_of_fit(fit, chosen):
    """The `Rows` used for the fit; of terms that are not `chosen` every level counts as new."""
    design = fit.setup.design
    Z = rows_of_z(design)
    of_others = np.zeros(fit.nobs)
    if not all(chosen):
        levels = [len(block.levels) for block in design.blocks]
        Lambda = fit.setup.covariance.Lambda(fit.theta, levels)     # z' psi z = |z' Lambda|^2
        ends = np.cumsum([0, *levels])
        for span, is_chosen in zip(design.covariance.spans, chosen):
            if not is_chosen:
                of_term = np.zeros(Z.shape[1])
                of_term[ends[span.start] : ends[span.stop]] = 1.0
                Z_term = _times_columns(Z, of_term)
                of_others = of_others + (Z_term @ Lambda).power(2).sum(axis=1)
                Z = _times_columns(Z, 1.0 - of_term)
    kept = np.arange(fit.nobs)
    weights = 1.0 if design.root_weights is None else design.root_weights**2
    none_new = np.zeros(fit.nobs)
    return Rows(design.X, design.offset, Z, none_new, of_others, kept, design.index, weights)


def _times_columns(Z, factors):
    """Z diag(factors)."""
    Z = sparse.csr_array(Z)
    return sparse.csr_array((Z.data * factors[Z.indices], Z.indices, Z.indptr), Z.shape)


class NewData(NamedTuple):
    """What is used of `newdata`: the variables as they were in the fit, a new level missing."""

    frame: pd.DataFrame         # as it was given
    variables: dict             # from name to Series, (m,)
    kept: np.ndarray            # (m,) the positions of the rows that lack nothing
    weights: object             # (m,) what divides sigma^2; 1 without weights

    @property
    def m(self):
        """How many rows lack nothing."""
        return len(self.kept)

    def new_level(self, name):
        """The position in `frame` of the first row where this factor's level is new, or None."""
        new = np.flatnonzero(self.variables[name].isna())
        return self.kept[new[0]] if len(new) else None


def rows_of_frame(fit, newdata, chosen, new_levels, observation):
    """The `Rows` of new data.

    Of terms that are not `chosen` the grouping columns are not asked for, and the numeric variables
    only for an `observation`, as the weights. With `new_levels` "population" a grouping's column
    may be missing: its levels are new.
    """
    design = fit.setup.design
    psi = design.covariance.psi(fit.theta)
    new = _new_data(design, newdata, chosen, new_levels, observation)
    X, offset = _fixed_part(design, new)
    of_new_levels = np.zeros(new.m)
    of_others = np.zeros(new.m)
    parts = [sparse.csr_array((new.m, 0))]
    for term, b, is_chosen in zip(design.terms, design.covariance.spans, chosen):
        block = design.blocks[b.start]
        codes = np.full(new.m, -1)
        if is_chosen and all(name in new.variables for name in block.factors):
            codes = _codes(block, new)
            if new_levels == "error" and (codes < 0).any():
                raise _new_level(design, block, new, codes)
        values = _values(term, b, design, new, is_chosen or observation)
        known = codes >= 0
        shape = (new.m, len(block.levels))
        places = (np.flatnonzero(known), codes[known])
        parts += [sparse.csr_array((column[known], places), shape) for column in values.T]
        unknown = values * ~known[:, None]
        variance = np.einsum("ij,jk,ik->i", unknown, psi[b, b], unknown)
        if is_chosen:
            of_new_levels += variance
        else:
            of_others += variance
    Z = sparse.csr_array(sparse.hstack(parts, format="csr"))
    index = new.frame.index
    return Rows(X, offset, Z, of_new_levels, of_others, new.kept, index, new.weights)


def _new_data(design, newdata, chosen, new_levels, observation):
    """The `NewData` of what is taken as data; an LMMError if it is none, or lacks a column."""
    newdata = as_frame(newdata, "newdata")
    if isinstance(design.formula, Matrices):
        raise LMMError(
            "this is a fit of matrices, so new rows are predicted by their own: X_new @ fit.beta, "
            "and Z_new times the estimates of fit.ranef(tidy=True)"
        )
    fixed = list(design.formula.predictors)
    factors = []
    slopes = []
    for span, is_chosen in zip(design.covariance.spans, chosen):
        for block in design.blocks[span]:
            factors += block.factors if is_chosen else ()
            slopes += block.predictors if is_chosen or observation else ()
    if new_levels == "population":
        others = {*fixed, *slopes}
        factors = [
            name for name in factors
            if name in others or source_of(name, newdata.columns) in newdata.columns
        ]
    weights = _weights_column(design, newdata) if observation else []
    advice = (
        "; for predictions without random effects give random=False, or for a new level of it "
        "new_levels='population'"
    )
    used = dict.fromkeys([*fixed, *factors, *slopes, *_offset_column(design), *weights])
    variables, kept = like(
        design.data,
        newdata,
        used,
        {name: advice for name in factors if name not in fixed},
    )
    by_row = 1.0
    if weights:
        by_row = root_of_weights(numbers_by_row(*weights, "weights", newdata), kept, "newdata") ** 2
    return NewData(newdata, variables, kept, by_row)


def _offset_column(design):
    """The names of the columns that hold the offset: one or none."""
    given = design.given["offset"]
    if given is None:
        return []
    if not isinstance(given, str):
        raise LMMError(
            "the fit's offset was an array, which new rows do not have; give it as a column of "
            "dat: offset='name'"
        )
    return [given]


def _weights_column(design, newdata):
    """The names of the columns that hold the weights: one or none."""
    given = design.given["weights"]
    if given is None:
        return []
    if not isinstance(given, str):
        raise LMMError(
            "the fit's weights were an array, which new rows do not have, and a new observation's "
            "variance is sigma^2 / weight; give them as a column of dat: weights='name', or ask "
            "for interval='confidence'"
        )
    if given not in newdata.columns:
        raise LMMError(
            f"newdata has no column {given!r}, the weights, and a new observation's variance is "
            "sigma^2 / weight"
        )
    return [given]


def _fixed_part(design, new):
    """X, (m, k), and the offset, (m,), of new rows."""
    formula = design.formula
    for name in formula.predictors:
        row = new.new_level(name)
        if row is not None:
            raise _unseen(design, new, name, row, "a fixed effect has no value there")
    left_out = design.left_out
    if new.m:
        in_fit = design.whole_x_of_data
        whole, offset = formula.columns_at(new.variables, new.m, design.data, in_fit)
        _refuse_not_estimable(left_out, whole, new.kept)
        X = left_out.reduced(whole)
    else:
        X = np.zeros((0, len(design.x_names)))
        offset = np.zeros(0)
    for name in _offset_column(design):
        offset = offset + new.variables[name].to_numpy(float)
    if not np.isfinite(X).all():
        place, column = np.argwhere(~np.isfinite(X))[0]
        raise LMMError(
            f"the column of X {design.x_names[column]!r} is {X[place, column]} in row "
            f"{new.kept[place]} of newdata, counted from 0"
        )
    return X, offset


def _refuse_not_estimable(left_out, whole, kept):
    """Raise an LMMError about the first row of X that is none of the row space of the fit's."""
    bad = left_out.not_estimable(whole)
    if bad.any():
        place, column = np.argwhere(bad)[0]
        raise LMMError(
            f"the mean of row {kept[place]} of newdata, counted from 0, cannot be estimated: "
            f"{left_out.names[column]!r} was left out of X, as the data of the fit do not "
            "tell its coefficient"
        )


def _values(term, b, design, new, numbers):
    """The values of a term's effects in the new rows, (m, c), whatever their levels."""
    if not (new.m and numbers):
        return np.ones((new.m, b.stop - b.start))
    if term.effects is None:
        predictors = design.blocks[b.start].predictors
        return values_of(term, predictors, new.variables, new.m)[0]
    for name in term.effects.predictors:
        row = new.new_level(name)
        if row is not None:
            raise LMMError(
                f"{name!r} in row {row} of newdata, counted from 0, is of a level that the fit "
                f"has not seen; its random effect in {term.written} has no value there"
            )
    in_fit = design.remembered_effects(b)
    return term.effects.columns_at(new.variables, new.m, design.data, in_fit)[0]


def _codes(block, new):
    """The number of the level of each new row, (m,), -1 where the fit has not seen it."""
    if not block.factors:
        return np.zeros(new.m, int)
    wanted = [new.variables[name].array.codes for name in block.factors]
    levels = pd.MultiIndex.from_arrays(block.grouping.codes)
    return levels.get_indexer(pd.MultiIndex.from_arrays(wanted))


def _new_level(design, block, new, codes):
    """The LMMError about a level of a grouping, or a combination of levels, that is new."""
    advice = "for a prediction without its random effect give new_levels='population'"
    for name in block.factors:
        row = new.new_level(name)
        if row is not None:
            return _unseen(design, new, name, row, advice)
    row = new.kept[np.flatnonzero(codes < 0)[0]]
    return LMMError(
        f"row {row} of newdata, counted from 0, is of a combination of {block.group!r} that the "
        f"fit has not seen; {advice}"
    )


def _unseen(design, new, name, row, advice):
    """The LMMError about a factor's level that is not in the data of the fit."""
    found = new.frame[name].to_numpy(object)[row]
    levels = design.data[name].array.categories.tolist()
    return LMMError(
        f"{name!r} is {found!r} in row {row} of newdata, counted from 0, which the fit has not "
        f"seen; its levels are {shorten(levels)}; {advice}"
    )


def rows_of_x(fit, newdata):
    """X, (m, k), of new data, and the positions of its rows that lack nothing, and the index."""
    design = fit.setup.design
    nothing = [False] * len(design.covariance.spans)
    new = _new_data(design, newdata, nothing, "error", False)
    X, _ = _fixed_part(design, new)
    return X, new.kept, new.frame.index
