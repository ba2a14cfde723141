"""The levels of a grouping: the observed combinations of its factors' values, and their labels."""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import pandas as pd
from pandas.api import types

from .columns import source_of

QUOTED_WHERE_LABELS_COLLIDE = frozenset(":'\"")


@dataclass(frozen=True, eq=False)
class Grouping:
    """The levels, each a combination of one value of each factor.

    Attributes
    ----------
    names : tuple of str
        The columns whose values these are.
    values : tuple of pandas.Index
        Of each column its values.
    codes : tuple of ndarray of int, each (number of levels,)
        For each level which of these values it has.
    of_columns : bool
        Whether the names are those of columns of the data, or ``factor(...)`` of them.
    """

    names: tuple
    values: tuple = field(repr=False)
    codes: tuple = field(repr=False)
    of_columns: bool = True

    def __len__(self):
        return len(self.codes[0])

    def index(self, dtypes):
        """The levels by their values, of the `dtypes` of dat, by name, so that these find them.

        Of several columns a MultiIndex.
        """
        names = self.names
        values = self.values
        if self.of_columns:
            names = [source_of(name, dtypes) for name in names]
            values = [one.astype(dtypes[name]) for one, name in zip(values, names)]
        if len(values) == 1:
            return values[0][self.codes[0]].rename(names[0])
        return pd.MultiIndex(values, self.codes, names=names)

    @cached_property
    def labels(self):
        """A text for each level, ``"6:A"`` of the values 6 and A; no two are the same.

        Where the values' own colons would make two the same, values that hold one are quoted.
        """
        texts = [written(values) for values in self.values]
        labels = self._joined(texts)
        if len(set(labels)) < len(labels):
            texts = [list(map(_quoted, of_column)) for of_column in texts]
            labels = self._joined(texts)
        return tuple(labels)

    def _joined(self, texts):
        """The texts of each level's values, joined by colons."""
        parts = []
        for of_column, codes in zip(texts, self.codes):
            parts.append([of_column[code] for code in codes])
        return [":".join(of_level) for of_level in zip(*parts)]


def written(values):
    """The texts of an Index: dates without a time that is 0 in all of them, 3.0 as 3.

    Of columns of numbers, those with a missing value are of floats, though they were integers.
    """
    if types.is_float_dtype(values.dtype):
        return [str(int(value)) if value.is_integer() else str(value) for value in values]
    if types.is_datetime64_any_dtype(values.dtype):
        return list(values.astype(str))
    return list(map(str, values))


def _quoted(text):
    """A text in quotes if it holds what joins labels, or a quote."""
    return text if QUOTED_WHERE_LABELS_COLLIDE.isdisjoint(text) else repr(text)


def plain_grouping(name, values):
    """The `Grouping` whose levels are these values, each once."""
    values = pd.Index(values)
    codes = np.arange(len(values))
    return Grouping((name,), (values,), (codes,), of_columns=False)


def observed_levels(names, factors):
    """For each row the number of its combination of the factors' values, (n,); and the `Grouping`.

    The factors are categoricals without unused categories.
    """
    first, *others = factors
    number = first.codes.astype(np.int32)
    codes = [np.arange(len(first.categories))]
    for factor in others:
        m = len(factor.categories)
        combined = number.astype(np.int64) * m + factor.codes
        observed, number = np.unique(combined, return_inverse=True)
        coarser, finer = np.divmod(observed, m)
        codes = [of_column[coarser] for of_column in codes]
        codes.append(finer)
        number = number.astype(np.int32)
    values = tuple(factor.categories for factor in factors)
    return number, Grouping(tuple(names), values, tuple(codes))
