"""The blocks of Z: from a random-effect term and the data to a sparse matrix with labelled columns."""

from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from scipy import sparse

from .errors import LMMError, warn


@dataclass(frozen=True, eq=False)
class Block:
    """One block of Z.

    Attributes
    ----------
    factors, numbers : tuple of str
        The categorical and the numeric variables it is the interaction of.
    levels : tuple of str
        One label per column: an observed combination of the factors' levels.
    matrix : scipy.sparse.csr_array, shape (n, number of levels)
        At most one entry per row, so its columns are orthogonal: 1, or the product of the numeric variables.
    """

    factors: tuple
    numbers: tuple
    levels: tuple
    matrix: sparse.csr_array = field(repr=False)
    name: str                               # the variables, in the order of `ref`, joined by colons: "Worker:Machine"

    @property
    def group(self):
        """The factors' names joined by colons: ``"Subject"`` for ``"Subject:Days"``."""
        return ":".join(self.factors)

    @property
    def effect(self):
        """What each level has a random one of: ``"Intercept"``, or the slope in a variable, ``"Days"``."""
        return ":".join(self.numbers) or "Intercept"


def make_block(term, data):
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
    factors = tuple(name for name in term.variables if is_factor[name])
    numbers = tuple(name for name in term.variables if not is_factor[name])
    p = len(levels)
    if not factors:
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
        raise LMMError(f"block {term.name!r} reaches {np.abs(values).max():.3g}; rescale {':'.join(numbers)!r}")
    matrix = sparse.csr_array((values, codes, np.arange(n + 1)), shape=(n, p))
    labels = tuple(":".join(level) for level in levels) if factors else (":".join(numbers),)
    return Block(factors, numbers, labels, matrix, term.name)


def _warn_of_numbers(term, data):
    """A block without a factor is one column of Z: probably integers that label groups."""
    whole = all(data[name].dtype.kind == "i" for name in term.variables)
    groups = len(set(zip(*(data[name] for name in term.variables))))
    kinds = ", ".join(f'"{name}": "category"' for name in term.variables)
    warn(f"{term.name!r} holds {'integers' if whole else 'numbers'} and no factor, so it is one slope, not {groups} groups; "
         f"if it labels groups make it a category: dat = dat.astype({{{kinds}}})")


def check_distinct(blocks):
    """Raise an LMMError if two blocks are the same grouping."""
    for i, one in enumerate(blocks):
        for other in blocks[:i]:
            if same_grouping(one, other):
                raise LMMError(f"blocks {other.name!r} and {one.name!r} are the same grouping, so their variances "
                               "cannot be told apart; drop one of them")


def same_grouping(one, other):
    """Whether two blocks have the same Z Z', whatever their names and the order of their levels."""
    a, b = one.matrix, other.matrix
    if not np.array_equal(np.abs(a.data), np.abs(b.data)):
        return False
    used = a.data != 0
    i, j = a.indices[used].astype(np.int64), b.indices[used]
    pairs = len(np.unique((i * b.shape[1] + j) * 2 + (a.data * b.data > 0)[used]))
    return pairs == len(np.unique(i)) == len(np.unique(j))
