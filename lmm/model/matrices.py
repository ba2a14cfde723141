"""Models that no formula says: a `Design` from y, X and the blocks of Z as matrices."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from scipy import sparse

from ..errors import LMMError, shorten
from ..formula import Term
from .blocks import LARGEST_VALUE, SMALLEST_VALUE, Block, are_residuals, codes_of
from .columns import finite, floats, numbers_by_row, root_of_weights
from .covariance import Covariance
from .design import Design, are_matrices, check_response, structure_of
from .frames import refuse_swapped
from .grouping import plain_grouping
from .rank import full_rank

HOW_BLOCKS_ARE_GIVEN = (
    "the blocks of Z are a dict from names to matrices, each column being a level, "
    "or to (matrix, level of each column), optionally (matrix, levels, names of the effects)"
)


class Matrices:
    """What stands in for the `Formula` of a design by matrices."""

    variables = response_variables = predictors = ()

    def __init__(self, form, response):
        self.form = form
        self.response = response
        self.functions = {}

    def is_row_by_row(self, data):
        """Whether rows are the same where others are left out: given as they are."""
        return True


def matrix_design(y, X, Z=(), weights=None, offset=None):
    """The `Design` of given matrices; see `LMMsetup` for the parameters."""
    # -- y and X, and their labels
    refuse_swapped(y, X, Z)
    y = _of_pandas(y)
    X = _of_pandas(X)
    if not are_matrices(y):
        kind = type(y).__name__
        raise LMMError(f"form is of type {kind}; it is a formula string such as 'score ~ Machine'")
    if isinstance(y, pd.DataFrame):
        y = y.iloc[:, 0]
    index = _common_index(y, X)
    response = _name_of(y)
    y = _numbers(y, "y", 1)
    n = len(y)
    X, x_names, left_out = _fixed_effects(X, n)
    check_response(y, response)
    y.flags.writeable = X.flags.writeable = False

    # -- the offset and the weights
    dat = pd.DataFrame(index=range(n) if index is None else index)
    rows = np.arange(n)
    given = {"weights": weights, "offset": offset}
    known = np.zeros(n)
    roots = None
    if offset is not None:
        known = finite(numbers_by_row(offset, "offset", dat), "offset", rows)
    if weights is not None:
        roots = root_of_weights(numbers_by_row(weights, "weights", dat), rows)

    # -- Z: the blocks of each term
    blocks_of = []
    structures = []
    for name, matrix in _named(Z):
        of_term = _blocks(name, matrix, n, index)
        structures.append(structure_of(Term((name,)), len(of_term)))
        _refuse_residuals(name, of_term, structures[-1], roots)
        blocks_of.append(of_term)
    blocks = tuple(block for of_term in blocks_of for block in of_term)
    names = [block.name for block in blocks]
    if len(set(names)) < len(names):
        raise LMMError(f"Z has two blocks of one name among {shorten(names)}; rename one of them")
    terms = tuple(Term((of_term[0].group,)) for of_term in blocks_of)

    form = f"{response} ~ {' + '.join(x_names + left_out.names) or '0'}"
    return Design(
        Matrices(form, response), terms, Covariance(structures),
        y, X, x_names, blocks, known, roots,
        {}, rows, dat, given, form, left_out,
    )


# -- y and X


def _of_pandas(values):
    """A frame or a column of another package as one of pandas'; anything else as it is."""
    return values.to_pandas() if hasattr(values, "to_pandas") else values


def _common_index(y, X):
    """The index of y and X, None where neither has one; an LMMError if the two differ."""
    index = y.index if isinstance(y, pd.Series) else None
    if isinstance(X, (pd.DataFrame, pd.Series)):
        _check_index(index, X, "X")
        index = X.index
    return index


def _check_index(index, values, name):
    """Raise an LMMError if a frame's index is not this one, unless that is None."""
    if index is not None and not values.index.equals(index):
        raise LMMError(
            f"the indices of y and {name} differ; bring their rows into one order, "
            f"or give {name}.to_numpy()"
        )


def _name_of(y):
    """What to call the response."""
    if not isinstance(y, pd.Series) or y.name is None:
        return "y"
    return str(y.name)


def _fixed_effects(X, n):
    """X, (n, k), of full rank, the names of its columns, by default x0, x1, ..., and `LeftOut`."""
    x_names = [str(name) for name in X.columns] if isinstance(X, pd.DataFrame) else []
    if sparse.issparse(X):
        X = X.toarray()
    X = _numbers(X, "X", 2)
    if len(X) != n:
        raise LMMError(f"X has {len(X)} rows for the {n} elements of y")
    x_names = x_names or [f"x{j}" for j in range(X.shape[1])]
    if len(set(x_names)) < len(x_names):
        raise LMMError("X has two columns of the same name; rename all but one")
    return full_rank(X, x_names)


def _numbers(values, name, dimensions):
    """An array of finite floats of so many dimensions, 1 or 2, copied."""
    try:
        if np.asarray(values).dtype.kind not in "biufO":
            raise TypeError
        values = floats(values) if np.ma.isMaskedArray(values) else np.array(values, float)
    except (TypeError, ValueError):
        raise LMMError(
            f"{name} holds values that are no numbers; where y is given as numbers, "
            "so are X and the blocks of Z"
        ) from None
    if values.ndim == 1 and dimensions == 2:
        values = values[:, None]
    if values.ndim != dimensions or not len(values):
        wanted = "one number" if dimensions == 1 else "a row"
        raise LMMError(f"{name} has shape {values.shape}; it takes {wanted} for each observation")
    if not np.isfinite(values).all():
        place = tuple(np.argwhere(~np.isfinite(values))[0])
        shown = ", ".join(map(str, place))
        raise LMMError(f"{name}[{shown}] is {values[place]}; it takes finite numbers")
    return values


# -- Z


def _named(Z):
    """The (name, matrix) of each term."""
    if isinstance(Z, Mapping):
        return [(str(name), given) for name, given in Z.items()]
    if isinstance(Z, tuple) and len(Z) == 0:
        return []
    if not isinstance(Z, list):
        raise LMMError(
            f"ref is of type {type(Z).__name__} where y and X are matrices; {HOW_BLOCKS_ARE_GIVEN}"
        )
    return [(f"Z{j}", given) for j, given in enumerate(Z)]


def _blocks(name, given, n, index):
    """The blocks of one term: one for each of the effects that a level has."""
    # -- what was given: all columns of the term, the level of each, and the names of the effects
    levels = effects = None
    if isinstance(given, tuple):
        if not 1 < len(given) < 4:
            raise LMMError(
                f"block {name!r} is a tuple of {len(given)}; {HOW_BLOCKS_ARE_GIVEN}"
            )
        given, levels, effects = (*given, None)[:3]
    given = _of_pandas(given)
    if isinstance(given, pd.DataFrame):
        _check_index(index, given, name)
        levels = _columns_of(given) if levels is None else levels
    Z = _sparse(name, given, n)
    codes, labels = _levels(name, levels, Z.shape[1])
    c = _effects_of_a_level(name, codes, labels)
    effects = _names_of_effects(name, effects, c)

    # -- row l of `by_level` holds the columns of level l's effects, in their order
    by_level = np.argsort(codes, kind="stable").reshape(-1, c)
    grouping = plain_grouping(name, list(labels))
    blocks = []
    for effect, columns in zip(effects, by_level.T):
        matrix = sparse.csr_array(Z[:, columns])
        matrix.sort_indices()
        _check_values(name, matrix)
        called = name if effect == "Intercept" else f"{name}:{effect}"
        blocks.append(Block((name,), (), effect, grouping, matrix, called))
    return blocks


def _columns_of(given):
    """The names of a DataFrame's columns, if they name levels; else None."""
    names = given.columns
    are_levels = names.is_unique and names.nlevels == 1 and not names.hasnans
    return list(names) if are_levels else None


def _refuse_residuals(name, blocks, structure, root_weights):
    """Raise an LMMError if each row is a level of its own, or its effects can be its residual."""
    together = sum(abs(block.matrix) for block in blocks)
    if (np.diff(sparse.csr_array(together).indptr) != 1).any():
        return                                          # of rows in several levels V decides
    values = np.column_stack([block.matrix.sum(axis=1) for block in blocks])
    n, c = values.shape
    if are_residuals(codes_of(blocks), values, structure, root_weights):
        of_each = "" if c == 1 else f" of {c} effects"
        raise LMMError(
            f"block {name!r} has {len(blocks[0].grouping)} levels{of_each} for {n} observations, "
            "so its variance and the residual's cannot be told apart, whatever the response; "
            "use a coarser grouping"
        )


def _sparse(name, given, n):
    """A matrix of n rows and some columns, finite, as a sparse one of floats."""
    if np.ndim(given) == 1 and not sparse.issparse(given):
        raise LMMError(
            f"block {name!r} has one dimension; it is a matrix with a column for each level, "
            "which for a grouping vector g is pd.get_dummies(g)"
        )
    if not sparse.issparse(given):
        Z = sparse.csr_array(_numbers(given, f"block {name!r}", 2))
    elif given.dtype.kind in "biuf" and given.ndim == 2:
        Z = sparse.csr_array(given.astype(float))
    else:
        raise LMMError(f"block {name!r} is no matrix; {HOW_BLOCKS_ARE_GIVEN}")
    if Z.shape[0] != n:
        raise LMMError(f"block {name!r} has {Z.shape[0]} rows for the {n} elements of y")
    if not np.isfinite(Z.data).all():
        infinite = Z.data[~np.isfinite(Z.data)]
        raise LMMError(f"block {name!r} holds {infinite[0]}; it takes finite numbers")
    if Z.shape[1] == 0:
        raise LMMError(f"block {name!r} has no columns; leave it out")
    return Z


def _levels(name, levels, p):
    """The number of the level of each of the p columns, and the levels: by default one each."""
    if levels is None:
        levels = np.arange(p)
    one_list = np.ndim(levels) == 1
    levels = pd.Series(levels) if one_list else pd.Series([], dtype=object)
    if levels.isna().any() or len(levels) != p:
        raise LMMError(
            f"block {name!r} has {p} columns, and {levels.notna().sum()} levels; "
            "it takes one for each column"
        )
    return pd.factorize(levels)


def _effects_of_a_level(name, codes, labels):
    """How many effects, columns, each of the levels has, which are several."""
    counts = np.bincount(codes)
    least, most = counts.argmin(), counts.argmax()
    if counts[least] != counts[most]:
        raise LMMError(
            f"block {name!r} has {counts[least]} columns of level {str(labels[least])!r} "
            f"and {counts[most]} of {str(labels[most])!r}; every level has the same effects"
        )
    if len(counts) == 1:
        raise LMMError(
            f"block {name!r} has one level, so its covariance cannot be estimated; "
            "a column that is a level of its own needs no levels"
        )
    return int(counts[0])


def _names_of_effects(name, effects, c):
    """The names of the c effects of a level: by default "Intercept", "2", "3", ..."""
    if effects is None:
        return ["Intercept", *(str(i) for i in range(2, c + 1))]
    if not isinstance(effects, (list, tuple)):
        raise LMMError(
            f"block {name!r} has the names {effects!r} of its effects; "
            "they are a list, with one for each"
        )
    effects = [str(effect) for effect in effects]
    if len(effects) != c or len(set(effects)) < c:
        raise LMMError(
            f"block {name!r} has {c} effects in each level, and the names {shorten(effects)}; "
            "it takes one for each"
        )
    return effects


def _check_values(name, matrix):
    """Raise an LMMError if an effect's values are all 0, or the squares of the largest 0 or inf."""
    largest = np.abs(matrix.data).max(initial=0.0)
    if not SMALLEST_VALUE < largest < LARGEST_VALUE:
        raise LMMError(
            f"block {name!r} is zero in every row, or reaches {largest:.3g}; "
            "leave it out, or rescale it"
        )
