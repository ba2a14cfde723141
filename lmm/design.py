"""From formula, data and terms to y, X and the blocks of Z; every check of the input is made here."""

from dataclasses import dataclass, field
from decimal import Decimal

import numpy as np
import pandas as pd
from scipy import linalg, sparse

from .errors import LMMError, shorten, user_frame, warn
from .formula import Formula
from .terms import parse_ref


@dataclass(frozen=True, eq=False)
class Block:
    """One block of Z.

    Attributes
    ----------
    name : str
        The variables joined by colons, e.g. ``"Worker:Machine"``.
    group, slope : str
        The same, factors and numeric variables apart: ``"Subject"`` and ``"Days"`` for ``"Subject:Days"``.
    levels : tuple of str
        One label per column: an observed combination of the factors' levels.
    matrix : scipy.sparse.csr_array, shape (n, number of levels)
        At most one entry per row, so its columns are orthogonal: 1, or the product of the numeric variables.
    """

    name: str
    group: str
    slope: str
    levels: tuple
    matrix: sparse.csr_array = field(repr=False)


@dataclass(frozen=True, eq=False)
class Design:
    """The model matrices and their labels.

    Attributes
    ----------
    form : str
        The formula as the user wrote it.
    response : str
        Its left-hand side.
    y : ndarray, shape (n,)
        The response.
    X : ndarray, shape (n, k)
        The model matrix of the fixed effects, of full column rank.
    x_names : tuple of str
        The labels of its columns, e.g. ``"Machine[T.B]"``.
    blocks : tuple of Block
        The blocks of Z, in the order of `ref`.
    index : pandas.Index, length n
        The index of `dat` at the rows used.
    n_dropped : int
        How many rows of `dat` were left out because a variable of the model is missing there.
    """

    form: str
    response: str
    y: np.ndarray = field(repr=False)
    X: np.ndarray = field(repr=False)
    x_names: tuple
    blocks: tuple
    index: pd.Index = field(repr=False)
    n_dropped: int


def make_design(form, dat, ref=()):
    """Build the `Design` of a model; see `LMMsetup` for the parameters and what is refused."""
    if not isinstance(dat, pd.DataFrame):
        raise LMMError(f"dat is of type {type(dat).__name__}, not a pandas DataFrame; make one with pd.DataFrame(dat)")
    if len(dat) == 0:
        raise LMMError("dat has no rows")
    columns = list(dat.columns)
    formula = Formula(form, columns, lambda name: _is_numeric(dat[name]), user_frame()[0])
    terms = parse_ref(ref, columns)
    used = list(dict.fromkeys([*formula.variables, *(v for term in terms for v in term.variables)]))
    data, kept = _complete_rows(dat, used)

    for name in formula.variables:
        _check_fixed(data[name], dat.dtypes[name], name)
    for term in terms:
        if set(formula.response_variables).intersection(term.variables):
            raise LMMError(f"block {term.name!r} is the response, or an interaction with it; name a grouping column in ref")
    blocks = tuple(_block(term, data) for term in terms)
    _check_distinct(blocks)
    y, X, x_names = formula.evaluate(data)
    if len(y) != len(kept):
        raise LMMError(f"the response {formula.response!r} is one number, not one per row")
    _check_finite(y[:, None], (formula.response,), kept, "the response")
    _check_finite(X, x_names, kept, "the column of X")
    _check_rank(X, x_names)
    _check_response(y, formula.response)
    y.flags.writeable = X.flags.writeable = False
    return Design(form, formula.response, y, X, x_names, blocks, dat.index[kept], len(dat) - len(kept))


def _complete_rows(dat, used):
    """The columns `used`, copied and read-only, at the rows where none is missing, and those rows' positions."""
    for name in used:
        if (count := list(dat.columns).count(name)) > 1:
            raise LMMError(f"dat has {count} columns named {name!r}; rename all but one")
    columns = {name: dat[name] for name in used}
    missing = np.zeros(len(dat), bool)
    for column in columns.values():
        missing |= column.isna().to_numpy(bool)
    if missing.all():
        most = max(used, key=lambda name: columns[name].isna().sum())
        raise LMMError(f"every row of dat has a missing value among {shorten(used)} "
                       f"({most!r} misses {columns[most].isna().sum()} of {len(dat)}); nothing is left to fit")
    kept = np.flatnonzero(~missing)
    return {name: _plain(column, kept, name) for name, column in columns.items()}, kept


def _is_numeric(column):
    """Whether a column holds numbers; two columns of one name are refused elsewhere."""
    if not isinstance(column, pd.Series):
        return True
    number = pd.api.types.is_numeric_dtype(column.dtype) and not pd.api.types.is_bool_dtype(column.dtype)
    return number or _objects_are_numbers(column)


def _objects_are_numbers(column):
    """Whether a column of Python objects holds numbers, as it does after a transposition, say."""
    return pd.api.types.is_object_dtype(column.dtype) and pd.api.types.infer_dtype(column, skipna=True) in (
        "integer", "floating", "mixed-integer-float", "decimal")


def _plain(column, kept, name):
    """A Series of numbers or a categorical without unused categories, at the rows `kept`."""
    if len(kept) < len(column):
        column = column.iloc[kept]
    if _objects_are_numbers(column):
        column = pd.to_numeric(column.astype(float) if isinstance(column.iloc[0], Decimal) else column)
    kind = column.dtype
    if isinstance(kind, pd.CategoricalDtype):
        values = column.array
        if len(np.unique(values.codes)) < len(kind.categories):
            values = values.remove_unused_categories()
        return pd.Series(values, copy=False)
    if pd.api.types.is_bool_dtype(kind):
        return pd.Series(pd.Categorical(column.to_numpy(bool)))
    if pd.api.types.is_complex_dtype(kind) or not (
            pd.api.types.is_numeric_dtype(kind) or pd.api.types.is_object_dtype(kind) or pd.api.types.is_string_dtype(kind)):
        raise LMMError(f"column {name!r} is of type {kind}, neither numbers nor categories; turn it into one of them, "
                       f'for instance dat["{name}"] = dat["{name}"].astype("category")')
    if not pd.api.types.is_numeric_dtype(kind):
        values = column.to_numpy(object)
        try:
            return pd.Series(pd.Categorical(values))
        except TypeError as error:
            raise LMMError(f"column {name!r} holds values that are neither numbers nor categories: {error}") from error
    integer = pd.api.types.is_integer_dtype(kind) and int(column.max()) <= np.iinfo(np.int64).max
    values = column.to_numpy(np.int64 if integer else float, copy=True)
    if not integer and not np.isfinite(values).all():
        row = np.flatnonzero(~np.isfinite(values))[0]
        raise LMMError(f"column {name!r} is {values[row]} in row {kept[row]} of dat, counted from 0; "
                       "mend it, or make it missing (nan) to leave the row out")
    values.flags.writeable = False
    return pd.Series(values, copy=False)


def _block(term, data):
    """The block of Z of one term: one column per observed combination of its factors, times its numeric variables."""
    n = len(data[term.variables[0]])
    codes, levels = np.zeros(n, np.int64), [()]
    values = np.ones(n)
    is_factor = {name: isinstance(data[name].dtype, pd.CategoricalDtype) for name in term.variables}
    for name in term.variables:
        column = data[name]
        if is_factor[name]:
            labels = [str(label) for label in column.array.categories]
            observed, codes = np.unique(codes * len(labels) + column.array.codes.astype(np.int64), return_inverse=True)
            levels = [levels[c // len(labels)] + (labels[c % len(labels)],) for c in observed]
        else:
            with np.errstate(over="ignore"):
                values = values * column.to_numpy(float)
    group = ":".join(name for name in term.variables if is_factor[name])
    slope = ":".join(name for name in term.variables if not is_factor[name])
    p = len(levels)
    if not group:
        _warn_of_numbers(term, data)
    elif p == 1:
        raise LMMError(f"block {term.name!r} has one level, {':'.join(levels[0])!r}, so its variance cannot be "
                       "estimated; leave it out of ref")
    elif p >= n and np.all(np.abs(values) == abs(values[0])):
        raise LMMError(f"block {term.name!r} has {p} levels for {n} observations, so its variance cannot be told from "
                       "the residual's; use a coarser grouping")
    if not values.any():
        raise LMMError(f"block {term.name!r} is zero in every row; leave it out of ref")
    if not 1e-100 < np.abs(values).max() < 1e100:
        raise LMMError(f"block {term.name!r} reaches {np.abs(values).max():.3g}; rescale {slope!r}")
    matrix = sparse.csr_array((values, codes, np.arange(n + 1)), shape=(n, p))
    return Block(term.name, group, slope, tuple(":".join(level) for level in levels) if group else (slope,), matrix)


def _warn_of_numbers(term, data):
    """A block without a factor is one column of Z: probably integers that label groups."""
    whole = all(data[name].dtype.kind == "i" for name in term.variables)
    groups = len(set(zip(*(data[name] for name in term.variables))))
    kinds = ", ".join(f'"{name}": "category"' for name in term.variables)
    warn(f"{term.name!r} holds {'integers' if whole else 'numbers'} and no factor, so it is one slope, not {groups} groups; "
         f"if it labels groups make it a category: dat = dat.astype({{{kinds}}})")


def _check_distinct(blocks):
    """No two blocks with the same Z Z'."""
    for i, one in enumerate(blocks):
        for other in blocks[:i]:
            a, b = one.matrix, other.matrix
            if a.shape == b.shape and np.array_equal(np.abs(a.data), np.abs(b.data)):
                pairs = len(np.unique((a.indices.astype(np.int64) * a.shape[1] + b.indices) * 2 + (a.data * b.data > 0)))
                if pairs == a.shape[1]:
                    raise LMMError(f"blocks {other.name!r} and {one.name!r} are the same grouping, so their variances "
                                   "cannot be told apart; drop one of them")


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


def _check_rank(X, names):
    """More rows than columns, and no column of X a combination of the others.

    A column counts as a combination when what the columns before it leave of it is below the rounding errors of
    that combination, each column's share being relative to its length: a covariate shifted by 1e7 is let through.
    """
    n, k = X.shape
    if n <= k:
        raise LMMError(f"X has {k} columns for {n} observations; it takes more observations than fixed effects")
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


def _check_response(y, name):
    largest = np.abs(y).max()
    if largest and not 1e-100 < largest < 1e100:
        raise LMMError(f"the response {name!r} reaches {largest:.3g}; rescale it")
    if np.all(y == y[0]):
        raise LMMError(f"the response {name!r} is constant ({y[0]:g} in every row), so there is no variation to model")
