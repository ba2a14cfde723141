"""The blocks of Z of a term, at rows that stand for many."""

import numpy as np
import pandas as pd
from scipy import sparse

from ..errors import LMMError
from ..model import (
    Block,
    block_names,
    check_independent,
    effect_variables,
    is_factor,
    observed_levels,
    plain_grouping,
    structure_of,
    values_of,
)


def blocks_of(term, data, values, codes):
    """The blocks of a term, and its structure.

    Parameters
    ----------
    term : Term
    data : dict of Series
        The variables at some rows of the data, with all of their levels.
    values : ndarray, shape (rows, c)
        Of its effects, at the rows that stand for all.
    codes : dict of ndarray of int, each (rows,)
        There, by factor, the level.
    """
    n = len(values)
    factors = tuple(name for name in term.variables if is_factor(data[name]))
    numbers = tuple(name for name in term.variables if name not in factors)
    if factors:
        columns = [pd.Categorical.from_codes(codes[name], dtype=data[name].dtype)
                   for name in factors]
        of_rows, grouping = observed_levels(factors, columns)
    else:
        of_rows, grouping = np.zeros(n, np.int32), plain_grouping("level", [term.name])
    if factors and len(grouping) == 1:
        raise LMMError(
            f"block {term.name!r} has one level, {grouping.labels[0]!r}, so its variance cannot be "
            "estimated; leave it out"
        )
    some = next(iter(data.values()))
    _, effects = values_of(term, numbers, data, len(some))
    check_independent(term, values, effects)
    starts = np.arange(n + 1, dtype=np.int32)
    predictors = numbers + effect_variables(term)
    blocks = []
    for effect, name, column in zip(effects, block_names(term, effects), values.T):
        entries = (np.ascontiguousarray(column), of_rows, starts)
        matrix = sparse.csr_array(entries, shape=(n, len(grouping)))
        blocks.append(Block(factors, predictors, effect, grouping, matrix, name))
    return blocks, structure_of(term, len(effects))
