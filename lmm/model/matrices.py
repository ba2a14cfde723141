"""Models that no formula says: a `Design` from y, X and the blocks of Z as arrays or sparse matrices."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from scipy import sparse

from ..errors import LMMError, shorten
from ..formula import Term
from .blocks import Block
from .design import Design, by_row, check_rank, check_response, root_of_weights
from .structures import covariance_of

HOW = ("the blocks of Z are a dict from names to matrices, each column being a level, or to (matrix, level of each column), "
       "optionally (matrix, levels, names of the effects)")


class Matrices:
    """What stands in for the `Formula` of a design by matrices."""

    variables = response_variables = predictors = ()

    def __init__(self, form, response):
        self.form, self.response, self.functions = form, response, {}


def are_matrices(form):
    """Whether the first argument of `LMMsetup` is y itself."""
    return isinstance(form, (np.ndarray, pd.Series, list, tuple)) or (isinstance(form, pd.DataFrame) and form.shape[1] == 1)


def matrix_design(y, X, Z=(), weights=None, offset=None):
    """The `Design` of given matrices; see `LMMsetup` for the parameters."""
    if not are_matrices(y):
        raise LMMError(f"form is of type {type(y).__name__}; it is a formula string such as 'score ~ Machine'")
    if isinstance(y, pd.DataFrame):
        y = y.iloc[:, 0]
    index = y.index if isinstance(y, pd.Series) else None
    if index is not None and isinstance(X, (pd.DataFrame, pd.Series)) and not X.index.equals(index):
        raise LMMError("the indices of y and X differ; bring their rows into one order, or give X.to_numpy()")
    response = str(y.name) if isinstance(y, pd.Series) and y.name is not None else "y"
    y = _numbers(y, "y", 1)
    n = len(y)
    x_names = [str(name) for name in X.columns] if isinstance(X, pd.DataFrame) else None
    X = _numbers(X.toarray() if sparse.issparse(X) else X, "X", 2)
    if len(X) != n:
        raise LMMError(f"X has {len(X)} rows for the {n} elements of y")
    x_names = x_names or [f"x{j}" for j in range(X.shape[1])]
    if len(set(x_names)) < len(x_names):
        raise LMMError("X has two columns of the same name; rename all but one")
    check_rank(X, x_names)
    check_response(y, response)
    terms = [_blocks(name, given, n) for name, given in _named(Z)]
    blocks = tuple(block for of in terms for block in of)
    if len({block.name for block in blocks}) < len(blocks):
        raise LMMError(f"Z has two blocks of one name among {shorten([block.name for block in blocks])}; rename one of them")
    dat, rows = pd.DataFrame(index=index if index is not None else range(n)), np.arange(n)
    known = np.zeros(n) if offset is None else by_row(offset, "offset", dat, rows)
    roots = None if weights is None else root_of_weights(weights, dat, rows)
    form = f"{response} ~ {' + '.join(x_names) or '0'}"
    y.flags.writeable = X.flags.writeable = False
    kinds = tuple(Term((of[0].group,)) for of in terms)
    return Design(Matrices(form, response), kinds, covariance_of(kinds, map(len, terms)),
                  y, X, tuple(x_names), blocks, known, roots, {}, rows, dat, {"weights": weights, "offset": offset}, form)


def _numbers(values, name, dimensions):
    """An array of floats of so many dimensions, copied."""
    try:
        if np.asarray(values).dtype.kind not in "biufO":
            raise TypeError
        values = np.array(values, float)
    except (TypeError, ValueError):
        raise LMMError(f"{name} holds values that are no numbers; where y is given as numbers, so are X and the blocks "
                       "of Z") from None
    if values.ndim == 1 and dimensions == 2:
        values = values[:, None]
    if values.ndim != dimensions or not len(values):
        raise LMMError(f"{name} has shape {values.shape}; it takes {'one number' if dimensions == 1 else 'a row'} for each "
                       "observation")
    if not np.isfinite(values).all():
        place = np.argwhere(~np.isfinite(values))[0]
        raise LMMError(f"{name}[{', '.join(map(str, place))}] is {values[tuple(place)]}; it takes finite numbers")
    return values


def _named(Z):
    """The (name, matrix) of each term."""
    if isinstance(Z, Mapping):
        return [(str(name), given) for name, given in Z.items()]
    if isinstance(Z, tuple) and len(Z) == 0:
        return []
    if not isinstance(Z, list):
        raise LMMError(f"ref is of type {type(Z).__name__} where y and X are matrices; {HOW}")
    return [(f"Z{j}", given) for j, given in enumerate(Z)]


def _blocks(name, given, n):
    """The blocks of one term: one for each of the effects that a level has."""
    levels = effects = None
    if isinstance(given, tuple):
        if not 1 < len(given) < 4:
            raise LMMError(f"block {name!r} is a tuple of {len(given)}; {HOW}")
        given, levels, effects = (*given, None)[:3]
    if np.ndim(given) == 1 and not sparse.issparse(given):
        raise LMMError(f"block {name!r} has one dimension; it is a matrix with a column for each level, which for a grouping "
                       "vector g is pd.get_dummies(g)")
    try:
        if sparse.issparse(given) and given.dtype.kind not in "biuf":
            raise TypeError
        Z = sparse.csr_array(given.astype(float) if sparse.issparse(given) else _numbers(given, f"block {name!r}", 2))
    except (TypeError, ValueError) as error:
        raise error if isinstance(error, LMMError) else LMMError(f"block {name!r} is no matrix; {HOW}") from None
    if Z.shape[0] != n:
        raise LMMError(f"block {name!r} has {Z.shape[0]} rows for the {n} elements of y")
    if not np.isfinite(Z.data).all():
        raise LMMError(f"block {name!r} holds {Z.data[~np.isfinite(Z.data)][0]}; it takes finite numbers")
    if Z.shape[1] == 0:
        raise LMMError(f"block {name!r} has no columns; leave it out")
    levels = np.arange(Z.shape[1]) if levels is None else levels
    levels = pd.Series(levels if np.ndim(levels) == 1 else [], dtype=None if np.ndim(levels) == 1 else object)
    if levels.isna().any() or len(levels) != Z.shape[1]:
        raise LMMError(f"block {name!r} has {Z.shape[1]} columns, and {levels.notna().sum()} levels; it takes one for each "
                       "column")
    codes, labels = pd.factorize(levels)
    counts = np.bincount(codes)
    if counts.min() != counts.max():
        few, many = labels[counts.argmin()], labels[counts.argmax()]
        raise LMMError(f"block {name!r} has {counts.min()} columns of level {str(few)!r} and {counts.max()} of {str(many)!r}; "
                       "every level has the same effects")
    c = int(counts[0])
    if len(counts) == 1:
        raise LMMError(f"block {name!r} has one level, so its covariance cannot be estimated; a column that is a level "
                       "of its own needs no levels")
    if effects is None:
        effects = ["Intercept", *(str(i) for i in range(2, c + 1))][:c]
    elif not isinstance(effects, (list, tuple)):
        raise LMMError(f"block {name!r} has the names {effects!r} of its effects; they are a list, with one for each")
    effects = [str(effect) for effect in effects]
    if len(effects) != c or len(set(effects)) < c:
        raise LMMError(f"block {name!r} has {c} effects in each level, and the names {shorten(effects)}; it takes one for each")
    by_level = np.argsort(codes, kind="stable").reshape(-1, c)          # of each level, the columns of its effects
    blocks = []
    for i, effect in enumerate(effects):
        matrix = sparse.csr_array(Z[:, by_level[:, i]])
        matrix.sort_indices()
        largest = np.abs(matrix.data).max(initial=0.0)
        if not 1e-100 < largest < 1e100:
            raise LMMError(f"block {name!r} is zero in every row, or reaches {largest:.3g}; leave it out, or rescale it")
        called = name if effect == "Intercept" else f"{name}:{effect}"
        blocks.append(Block((name,), (), effect, tuple(str(label) for label in labels), matrix, called))
    return blocks
