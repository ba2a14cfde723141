"""The blocks of Z: from a random-effect term and the data to a sparse matrix with labelled columns."""

from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
from scipy import sparse

from ..errors import LMMError, shorten, warn

COLLINEAR = 1e-10       # what columns before it leave of one, relative to its length, below which it is their combination, ...
MOST_PER_LEVEL = 2      # (co)variances of a term per level, beyond which there is a warning
NEARLY = 2e-4           # ... and below which their covariances are lost to rounding, in the square of this


@dataclass(frozen=True, eq=False)
class Block:
    """One block of Z: one random effect, in each level of a grouping.

    Attributes
    ----------
    factors : tuple of str
        The variables whose combinations of levels are the grouping.
    predictors : tuple of str
        The variables that its values depend on.
    effect : str
        What each level has a random one of: ``"Intercept"``, or the slope in a variable, ``"Days"``.
    levels : tuple of str
        One label per column: an observed combination of the factors' levels.
    matrix : scipy.sparse.csr_array, shape (n, number of levels)
        Of a model by formula with at most one entry per row, so that its columns are orthogonal.
    name : str
        ``"Worker:Machine"``: the variables in the order of `ref`; or the grouping, and the effect if it is no intercept.
    """

    factors: tuple
    predictors: tuple
    effect: str
    levels: tuple
    matrix: sparse.csr_array = field(repr=False)
    name: str

    @property
    def group(self):
        """The factors' names joined by colons: ``"Subject"`` for ``"Subject:Days"``."""
        return ":".join(self.factors)

    @property
    def codes(self):
        """The number of the level of each row."""
        if (np.diff(self.matrix.indptr) != 1).any():
            raise LMMError(f"the rows of block {self.name!r} belong to no level, or to several, where one each is needed")
        return self.matrix.indices


def make_blocks(term, data):
    """The blocks of Z of one term: one for each of its effects, with one column per observed combination of its factors."""
    factors = tuple(name for name in term.variables if isinstance(data[name].dtype, pd.CategoricalDtype))
    numbers = tuple(name for name in term.variables if name not in factors)
    n = len(data[term.variables[0]])
    codes, levels = observed_levels(factors, data, n)
    values, effects = values_of(term, numbers, data, n)
    name = term.name
    if not factors:
        _warn_of_numbers(term, data)
    elif len(levels) == 1:
        raise LMMError(f"block {name!r} has one level, {levels[0]!r}, so its variance cannot be "
                       "estimated; leave it out")
    elif len(levels) >= n and len(effects) == 1 and np.all(np.abs(values) == abs(values[0])):
        raise LMMError(f"block {name!r} has {len(levels)} levels for {n} observations, so its variance cannot be told from "
                       "the residual's; use a coarser grouping")
    if (several := len(effects) * (len(effects) + 1) // 2) > MOST_PER_LEVEL * len(levels):
        warn(f"the {len(effects)} correlated effects of ({term.bar}) have {several} variances and covariances, for "
             f"{len(levels)} levels: the fit will be slow and singular; use fewer effects, or independent ones, with ||")
    labels = levels if factors else (":".join(numbers),)
    predictors = numbers if term.effects is None else term.effects.predictors
    blocks = []
    for column, effect in zip(values.T, effects):
        called = name if effect == "Intercept" or term.effects is None else f"{name}:{effect}"
        if not column.any():
            raise LMMError(f"block {called!r} is zero in every row; leave it out")
        if not 1e-100 < np.abs(column).max() < 1e100:
            raise LMMError(f"block {called!r} reaches {np.abs(column).max():.3g}; rescale {effect!r}")
        matrix = sparse.csr_array((np.ascontiguousarray(column), codes, np.arange(n + 1)), shape=(n, len(labels)))
        blocks.append(Block(factors, predictors, effect, labels, matrix, called))
    return blocks


def observed_levels(factors, data, n):
    """For each row the number of its combination of the factors' levels, and the labels of the combinations."""
    if len(factors) == 1:                                       # all categories are observed
        column = data[factors[0]].array
        return column.codes.astype(np.int32), tuple(str(label) for label in column.categories)
    codes, levels = np.zeros(n, np.int64), [()]
    for name in factors:
        column = data[name].array
        labels = [str(label) for label in column.categories]
        observed, codes = np.unique(codes * len(labels) + column.codes.astype(np.int64), return_inverse=True)
        levels = [levels[c // len(labels)] + (labels[c % len(labels)],) for c in observed]
    return codes, tuple(":".join(level) for level in levels)


def values_of(term, numbers, data, n):
    """The values of a term's effects by row, (n, c), and their names."""
    if term.effects is None:
        values = np.ones(n)
        with np.errstate(over="ignore"):
            for name in numbers:
                values = values * data[name].to_numpy(float)
        return values[:, None], [":".join(numbers) or "Intercept"]
    if "offset" in term.effects.functions:
        raise LMMError(f"({term.bar}) holds an offset, which belongs to the fixed effects")
    values, names, _ = term.effects.evaluate_right(data)
    if not names:
        raise LMMError(f"({term.bar}) holds no random effect; for a random intercept write (1 | g)")
    if not np.isfinite(values).all():
        row, column = np.argwhere(~np.isfinite(values))[0]
        raise LMMError(f"the random effect {names[column]!r} of {term.bar} is {values[row, column]} in some row; "
                       "a function in it is not defined for the values there")
    lengths = np.linalg.norm(values, axis=0)
    R = np.linalg.qr(values / np.where(lengths > 0, lengths, 1.0), mode="r")
    left = np.abs(R.diagonal()).min() if len(R) == len(names) else 0.0
    if lengths.all() and left < COLLINEAR:
        raise LMMError(f"the random effects of ({term.bar}), {shorten(names)}, are linear combinations of each other; "
                       "drop one of them")
    if lengths.all() and left < NEARLY:
        name = names[int(np.argmin(np.abs(R.diagonal())))]
        raise LMMError(f"the random effect {name!r} of ({term.bar}) is nearly a combination of those before it, its values "
                       f"being so far from zero beside their spread; write center({name}), or shift it")
    return values, list(names)


def _warn_of_numbers(term, data):
    """A block without a factor is one column of Z: probably integers that label groups."""
    whole = all(data[name].dtype.kind == "i" for name in term.variables)
    groups = len(set(zip(*(data[name] for name in term.variables))))
    kinds = ", ".join(f'"{name}": "category"' for name in term.variables)
    warn(f"{term.name!r} holds {'integers' if whole else 'numbers'} and no factor, so it is one slope, not {groups} groups; "
         f"if it labels groups make it a category: dat = dat.astype({{{kinds}}})")


def codes_of(blocks):
    """The number of the level of each row, of blocks with the same levels; an LMMError where a row has none, or several."""
    together = sum(abs(block.matrix) for block in blocks)
    return replace(blocks[0], matrix=sparse.csr_array(together)).codes


def check_distinct(blocks):
    """Raise an LMMError if two blocks are the same grouping."""
    for i, one in enumerate(blocks):
        for other in blocks[:i]:
            if same_grouping(one, other):
                twice = f"the effect {one.effect!r} of {one.group!r} comes twice" if one.name == other.name else (
                    f"blocks {other.name!r} and {one.name!r} are the same grouping")
                raise LMMError(f"{twice}, so their variances cannot be told apart; drop one of them")


def same_grouping(one, other):
    """Whether two blocks have the same Z Z', whatever their names and the order of their levels."""
    a, b = one.matrix, other.matrix
    if not np.array_equal(np.abs(a.data), np.abs(b.data)):
        return False
    used = a.data != 0
    i, j = a.indices[used].astype(np.int64), b.indices[used]
    pairs = len(np.unique((i * b.shape[1] + j) * 2 + (a.data * b.data > 0)[used]))
    return pairs == len(np.unique(i)) == len(np.unique(j))
