"""From formula, data and terms to y, X and the blocks of Z; every check of the input is made here."""

from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import pandas as pd
from scipy import linalg, sparse

from ..errors import LMMError, shorten, unknown_column, user_frame, warn
from ..formula import Formula, parse_bars, parse_ref, split_bars
from .blocks import check_distinct, make_blocks
from .columns import as_factor, complete_rows, is_numeric, source_of
from .covariance import Covariance
from .structures import covariance_of


@dataclass(frozen=True, eq=False)
class Design:
    """The model matrices and their labels.

    Attributes
    ----------
    formula : Formula
        The fixed effects, ready to be evaluated on other data.
    terms : tuple of Term
        The random effects.
    covariance : Covariance
        How the blocks belong to the terms, and what theta means.
    y : ndarray, shape (n,)
        The response.
    X : ndarray, shape (n, k)
        The model matrix of the fixed effects, of full column rank.
    x_names : tuple of str
        The labels of its columns, e.g. ``"Machine[T.B]"``.
    blocks : tuple of Block
        The blocks of Z, in the order of `ref`; a term with several effects per level has as many blocks, with the same levels.
    offset : ndarray, shape (n,)
        What is known of the mean, added to X beta.
    root_weights : ndarray, shape (n,), or None
        The square roots of the weights, if there are any: the residual of row i has the variance sigma^2 / weight_i.
    data : dict of Series, each of length n
        The columns of `dat` that the model uses, numbers or categories, at the rows used.
    rows : ndarray, shape (n,)
        The positions of the rows used; the others lack a variable of the model.
    dat : pandas.DataFrame
        What the user gave, and ...
    given : dict
        ... the arguments `weights` and `offset`.
    form : str
        The formula as the user wrote it, bars included.
    """

    formula: Formula
    terms: tuple
    covariance: Covariance
    y: np.ndarray = field(repr=False)
    X: np.ndarray = field(repr=False)
    x_names: tuple
    blocks: tuple
    offset: np.ndarray = field(repr=False)
    root_weights: np.ndarray = field(repr=False)
    data: dict = field(repr=False)
    rows: np.ndarray = field(repr=False)
    dat: pd.DataFrame = field(repr=False)
    given: dict = field(repr=False)
    form: str

    @property
    def term_names(self):
        """The names of the terms: of its block, or the grouping and the effects, ``"Subject (Intercept, Days)"``."""
        names = []
        for span, one in zip(self.covariance.spans, self.covariance.structures):
            blocks = self.blocks[span]
            if len(blocks) == 1:
                names.append(blocks[0].name)
                continue
            effects = ", ".join(block.effect for block in blocks)
            kind = f"; {one.kind}" if one.kind else ""
            names.append(f"{blocks[0].group} ({effects}{kind})")
        return tuple(names)

    @cached_property
    def _labels(self):
        return self.covariance.labels(self.blocks, self.term_names)

    @property
    def labels(self):
        """The names of theta's elements: ``"sigma"``, then a block, or an element of T, ``"T[Subject: Days, Intercept]"``."""
        return ("sigma", *self._labels[0])

    @property
    def direction_names(self):
        """The names of what may be zero: blocks, or of correlated effects their term."""
        return self._labels[1]

    @property
    def p(self):
        """The number of columns of Z."""
        return sum(block.matrix.shape[1] for block in self.blocks)

    @property
    def response(self):
        """Its left-hand side."""
        return self.formula.response

    @property
    def index(self):
        """The index of `dat` at the rows used."""
        return self.dat.index[self.rows]

    @property
    def n_dropped(self):
        """How many rows of `dat` were left out because a variable of the model is missing there."""
        return len(self.dat) - len(self.rows)

    def weighted(self, rows):
        """An array by row, or a block's matrix, times the square roots of the weights."""
        if self.root_weights is None:
            return rows
        if sparse.issparse(rows):
            by_entry = np.repeat(self.root_weights, np.diff(rows.indptr))
            return sparse.csr_array((rows.data * by_entry, rows.indices, rows.indptr), rows.shape)
        return rows * (self.root_weights if rows.ndim == 1 else self.root_weights[:, None])

    def responding(self, y):
        """The same design with another response: n numbers, or one for each row of `dat`; raises an LMMError if it is none."""
        if isinstance(y, pd.DataFrame) and y.shape[1] == 1:
            y = y.iloc[:, 0]
        if isinstance(y, pd.Series):
            y = self._in_order(y)
        if np.asarray(y).dtype.kind not in "iuf":
            raise LMMError("y holds values that are no numbers; it is one number for each row used")
        y = np.array(y, float)
        if y.shape == (len(self.dat),):
            y = y[self.rows]
        if y.shape != self.y.shape:
            raise LMMError(f"y has shape {y.shape}; it takes {len(self.y)} numbers, one for each row used")
        if not np.isfinite(y).all():
            raise LMMError(f"y[{np.flatnonzero(~np.isfinite(y))[0]}] is {y[~np.isfinite(y)][0]}; it takes finite numbers")
        check_response(y, self.response)
        y.flags.writeable = False
        return replace(self, y=y)

    def _in_order(self, y):
        """A Series by the index of `dat`, or of the rows used, in that order."""
        for index in (self.index, self.dat.index):
            if y.index.equals(index):
                return y
            if len(y) == len(index) and index.is_unique and y.index.is_unique and y.index.isin(index).all():
                return y[index]
        raise LMMError("the index of y is not that of dat; to go by position, give y.to_numpy()")


def make_design(form, dat, ref=(), weights=None, offset=None, functions=(), bars=False):
    """Build the `Design` of a model; see `LMMsetup` for the parameters and what is refused, `Formula` for `functions`.

    With `bars` the random effects are those of `form`, as in lmer's formulas.
    """
    found, fixed = split_bars(form) if bars else ((), form)
    if not isinstance(dat, pd.DataFrame):
        raise LMMError(f"dat is of type {type(dat).__name__}, not a pandas DataFrame; make one with pd.DataFrame(dat)")
    if len(dat) == 0:
        raise LMMError("dat has no rows")
    columns = list(dat.columns)

    def is_number(name):
        return is_numeric(dat[name])

    def formula_of(text, shown=None):
        return Formula(text, columns, is_number, frame, functions, shown)

    frame = user_frame()[0]
    formula = formula_of(fixed, form)
    terms = parse_bars(form, found, columns, formula_of, is_number) if bars else parse_ref(ref, columns)
    effects = [name for term in terms if term.effects is not None for name in term.effects.predictors]
    used = list(dict.fromkeys([*formula.variables, *effects, *(v for term in terms for v in term.variables)]))
    data, kept = complete_rows(dat, used)
    if bars:
        terms = tuple(_grouped(term, data, {*formula.variables, *effects}) for term in terms)

    for name in formula.variables:
        _check_fixed(data[name], dat.dtypes[name], name)
    for term in terms:
        sides = term.variables + (() if term.effects is None else term.effects.predictors)
        if set(formula.response_variables).intersection(source_of(name, columns) for name in sides):
            raise LMMError(f"block {term.bar or term.name!r} is the response, or an interaction with it; name a grouping "
                           "column")
    blocks_of = [make_blocks(term, data) for term in terms]
    blocks = tuple(block for of in blocks_of for block in of)
    covariance = covariance_of(terms, map(len, blocks_of))
    check_distinct(blocks)
    y, X, x_names, known = formula.evaluate(data)
    if len(y) != len(kept):
        raise LMMError(f"the response {formula.response!r} is one number, not one per row")
    _check_finite(y[:, None], (formula.response,), kept, "the response")
    _check_finite(X, x_names, kept, "the column of X")
    check_rank(X, x_names)
    check_response(y, formula.response)
    given = {"weights": weights, "offset": offset}
    if offset is not None:
        values = by_row(offset, "offset", dat, kept)
        known = known + values
        if isinstance(offset, str):
            data = data | {offset: pd.Series(values)}
    if weights is not None:
        weights = root_of_weights(weights, dat, kept)
    y.flags.writeable = X.flags.writeable = False
    return Design(formula, terms, covariance, y, X, x_names, blocks, known, weights, data, kept, dat.copy(deep=False), given,
                  form)


def _grouped(term, data, others):
    """A term by bars whose grouping variables are categories in `data`; numbers that are also used as such get a copy."""
    names = []
    for name in term.variables:
        column = as_factor(data[name])
        if column is not data[name] and name in others:
            name = f"factor({name})"
        data[name] = column
        names.append(name)
    return replace(term, variables=tuple(names))


def root_of_weights(weights, dat, kept):
    """The square roots of the weights, which are positive."""
    weights = by_row(weights, "weights", dat, kept)
    if not (weights > 0).all():
        row = np.flatnonzero(~(weights > 0))[0]
        raise LMMError(f"weights is {weights[row]:g} in row {kept[row]} of dat, counted from 0; weights are positive: "
                       "leave out the rows that are not to count")
    return np.sqrt(weights)


def by_row(argument, name, dat, kept):
    """`weights` or `offset`, the name of a column or one number per row of `dat`, at the rows `kept`."""
    if isinstance(argument, str):
        if argument not in dat.columns:
            raise LMMError(f"{name} is {unknown_column(argument, list(dat.columns))}")
        argument = dat[argument]
    try:
        if isinstance(argument, pd.Series) and not is_numeric(argument):
            raise TypeError
        values = np.array(argument, float)
    except (TypeError, ValueError):
        raise LMMError(f"{name} holds values that are no numbers; it is a column of dat, or one number for each of "
                       "its rows") from None
    if values.shape != (len(dat),):
        raise LMMError(f"{name} has shape {values.shape}; it takes {len(dat)} numbers, one for each row of dat")
    if not np.isfinite(values[kept]).all():
        row = kept[np.flatnonzero(~np.isfinite(values[kept]))[0]]
        raise LMMError(f"{name} is {values[row]} in row {row} of dat, counted from 0; it takes finite numbers")
    return values[kept]


def _check_fixed(column, kind, name):
    """A variable of the formula that is a factor has several levels; text that looks like numbers is worth a warning."""
    if not isinstance(column.dtype, pd.CategoricalDtype):
        return
    levels = column.array.categories
    if len(levels) == 1:
        raise LMMError(f"{name!r} has one level, {str(levels[0])!r}, so it cannot be a fixed effect; leave it out of form")
    if not isinstance(kind, pd.CategoricalDtype) and not pd.api.types.is_bool_dtype(kind):
        numeric = pd.to_numeric(pd.Series(levels.astype(str)), errors="coerce").notna()
        if numeric.mean() > 0.5:
            odd = f", {levels[~numeric][0]!r} among them" if not numeric.all() else ""
            warn(f"{name!r} is text that mostly reads as numbers, so it is a factor with {len(levels)} levels{odd}; "
                 f'for numbers: dat["{name}"] = pd.to_numeric(dat["{name}"], errors="coerce")')


def _check_finite(matrix, names, kept, what):
    bad = ~np.isfinite(matrix)
    if bad.any():
        row, column = np.argwhere(bad)[0]
        raise LMMError(f"{what} {names[column]!r} is {matrix[row, column]} in row {kept[row]} of dat, counted from 0; "
                       "a function in form is not defined for the values there")


def check_rank(X, names):
    """More rows than columns, and no column of X a combination of the others.

    A column counts as a combination when what the columns before it leave of it is below the rounding errors of
    that combination, each column's share being relative to its length: a covariate shifted by 1e7 is let through.
    """
    n, k = X.shape
    if n <= k:
        raise LMMError(f"X has {k} columns for {n} observations; it takes more observations than fixed effects")
    lengths = np.sqrt(np.einsum("ij,ij->j", X, X))
    if lengths.all() and (not k or np.linalg.eigvalsh(X.T @ X / lengths / lengths[:, None])[0] > 1e-4):
        return                                                  # the usual case, at less cost
    independent, dependent = list(range(k)), []
    while k:
        R = linalg.qr(X[:, independent], mode="r", check_finite=False)[0]
        lengths = np.sqrt(np.sum(R * R, axis=0))
        left = np.abs(np.diag(R))
        if np.all(left > 1e-6 * lengths):
            break                                               # the usual case
        rounding = np.array([lengths[j] + np.abs(linalg.lstsq(R[:j, :j], R[:j, j])[0]) @ lengths[:j] if j else lengths[0]
                             for j in range(len(independent))])
        small = left <= 30 * np.sqrt(n) * np.finfo(float).eps * rounding
        if not small.any():
            break
        dependent.append(independent.pop(int(np.argmax(small))))
    if dependent:
        culprits = shorten([names[j] for j in sorted(dependent)])
        verb = "is a combination" if len(dependent) == 1 else "are combinations"
        raise LMMError(f"X is rank deficient: {culprits} {verb} of the other columns "
                       f"(rank {len(independent)} of {k}); drop a term from form")


def check_response(y, name):
    largest = np.abs(y).max()
    if largest and not 1e-70 < largest < 1e70:
        raise LMMError(f"the response {name!r} reaches {largest:.3g}; rescale it")
    if np.all(y == y[0]):
        raise LMMError(f"the response {name!r} is constant ({y[0]:g} in every row), so there is no variation to model")
