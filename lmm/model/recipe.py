"""What a model makes of a chunk of its data: first a survey of the levels, then y, X and effects.

A chunk is a part of the rows. Its factors get the levels of all chunks, which the survey has found,
in the order in which they are if all rows are in one frame.
"""

from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import pandas as pd

from ..errors import LMMError, shorten
from .blocks import values_of
from .columns import (
    complete_rows,
    finite,
    is_factor,
    numbers_by_row,
    root_of_weights,
    rows_without_missing,
)
from .design import (
    check_finite,
    check_not_response,
    column_given,
    groupings_alone,
    read,
    variables_of,
    with_factors,
)

REMEMBERED = 40             # rows of a chunk that are remembered, to code new data by ...
MOST_REMEMBERED = 2000      # ... of all
MOST_COUNTED = 100_000      # combinations of levels whose rows are counted


@dataclass(frozen=True, eq=False)
class Survey:
    """What is known after a first look at some chunks.

    Attributes
    ----------
    levels : dict
        By factor the observed levels, an Index, and the dictionary of categories that all chunks
        have in common, an Index or None.
    sums : dict
        By numeric variable its sum.
    n, n_dropped : int
    sample : DataFrame
        Some rows of the variables.
    counts : Series or None
        Rows by combination of levels of the fixed effects' factors; None if these are too many.
    dtypes : dict
    """

    levels: dict
    sums: dict
    n: int
    n_dropped: int
    sample: pd.DataFrame
    counts: object
    dtypes: dict

    def merged(self, other):
        """The survey of the chunks of both."""
        if not self.n or not other.n:
            some = self if self.n else other
            return replace(some, n_dropped=self.n_dropped + other.n_dropped)
        levels = {}
        for name, (known, dictionary) in self.levels.items():
            if name not in other.levels:
                raise _other_kind(name, "categories", "numbers")
            others, other_dictionary = other.levels[name]
            same = dictionary is not None and dictionary.equals(other_dictionary)
            levels[name] = known.union(others, sort=False), dictionary if same else None
        for name in other.levels:
            if name not in levels:
                raise _other_kind(name, "numbers", "categories")
        sample = self.sample
        if len(sample) < MOST_REMEMBERED:
            sample = pd.concat([sample, other.sample], ignore_index=True)[:MOST_REMEMBERED]
        return Survey(
            levels,
            {name: total + other.sums[name] for name, total in self.sums.items()},
            self.n + other.n,
            self.n_dropped + other.n_dropped,
            sample,
            added_counts(self.counts, other.counts),
            self.dtypes,
        )

    def categories(self):
        """By factor its levels in the order of one frame: sorted, or as in a common dictionary."""
        found = {}
        for name, (levels, dictionary) in self.levels.items():
            if dictionary is not None:
                found[name] = dictionary[dictionary.isin(levels)]
            else:
                found[name] = pd.Categorical(np.asarray(levels, object)).categories
        return found


def combinations(factors):
    """How many rows have each combination of levels, a Series, and the first row of each.

    `factors` are categoricals by name. None, and the first row of each level, if they are many.
    """
    sizes = [len(one.categories) for one in factors.values()]
    if not sizes:
        return None, np.zeros(0, int)
    if np.prod(sizes, dtype=float) > MOST_COUNTED:
        return None, np.concatenate([first_places(one.codes) for one in factors.values()])
    keys = np.ravel_multi_index([one.codes for one in factors.values()], sizes)
    counts = np.bincount(keys)
    observed = np.flatnonzero(counts)
    codes = np.unravel_index(observed, sizes)
    levels = [np.asarray(one.categories, object)[c] for one, c in zip(factors.values(), codes)]
    index = pd.MultiIndex.from_arrays(levels, names=list(factors))
    return pd.Series(counts[observed].astype(float), index), first_places(keys)


def first_places(codes):
    """Where each code comes first."""
    found = np.full(int(codes.max()) + 1, -1)
    found[codes[::-1]] = np.arange(len(codes))[::-1]
    return found[found >= 0]


def added_counts(one, other):
    """The counts of both; None where one is, or they are too many."""
    if one is None or other is None:
        return None
    total = one.add(other, fill_value=0)
    return total if len(total) <= MOST_COUNTED else None


def _other_kind(name, kind, other):
    """The LMMError about a column whose kind differs from chunk to chunk."""
    return LMMError(
        f"column {name!r} holds {kind} in one chunk and {other} in another; read it as one type, "
        "with dtype= of pandas' reader"
    )


def check_same_names(names, known):
    """Refuse columns of X that are others than those of all chunks."""
    if names != known:
        other = [name for name in (*names, *known) if (name in names) != (name in known)]
        raise LMMError(
            f"it makes other columns of X than all chunks together, {shorten(other or names)}; "
            "levels= says which levels a factor has"
        )


class ChunkRows:
    """What the model makes of a chunk: n rows."""

    def __init__(self, y, X, known, roots, codes, effects):
        self.y = y                  # (n,)
        self.X = X                  # (n, K), by all of its columns
        self.known = known          # (n,) the offset
        self.roots = roots          # (n,) of the weights, or None
        self.codes = codes          # by factor of a grouping: (n,)
        self.effects = effects      # a function that gives by term: (n, c)
        self.n = len(y)
        self.log_roots = 0.0 if roots is None else float(np.sum(np.log(roots)))
        self.lowest = float(y.min())
        self.highest = float(y.max())

    @property
    def square_of_y(self):
        """y'y, weighted."""
        weighted = self.y if self.roots is None else self.y * self.roots
        return float(weighted @ weighted)

    def relative_to(self, means, mean_y):
        """[X' y'], (n, K + 1), weighted: columns less their means, y less the offset and its mean.

        The constant has the mean 0 there, and stays as it is.
        """
        n, K = self.X.shape
        both = np.empty((n, K + 1), order="F")
        np.subtract(self.X, means, out=both[:, :K])
        np.subtract(self.y, self.known, out=both[:, K])
        both[:, K] -= mean_y
        if self.roots is not None:
            both *= self.roots[:, None]
        return both


class Recipe:
    """A model, ready to be made of chunks.

    Parameters
    ----------
    form, ref, weights, offset, bars
        As of `make_design`; weights and offset are names of columns.
    first : DataFrame
        A chunk with rows: from it the kinds of the columns are known.
    """

    categories = None               # by factor its levels, once there was a survey

    def __init__(self, form, first, ref=(), weights=None, offset=None, functions=(), bars=False):
        for name, given in (("weights", weights), ("offset", offset)):
            if given is not None and not isinstance(given, str):
                raise LMMError(f"{name} is of type {type(given).__name__}; of chunks it is the "
                               "name of a column")
        self.bars = bars
        self.ref = ref
        self.form = form
        self.given = {
            "weights": column_given(weights, first),
            "offset": column_given(offset, first),
        }
        given = tuple(self.given.values())
        self.formula, self.terms = read(form, first, ref, functions, bars, given)
        self.formula = self.formula.of_parts()
        check_not_response(self.formula, self.terms)
        self.used = variables_of(self.formula, self.terms)
        self.dates_are_groups = groupings_alone(self.formula, self.terms, bars)

    # -- a chunk

    def variables(self, frame):
        """The variables of a chunk, a dict of Series, and the rows without a missing one.

        The terms, too, with ``factor(x)`` for a grouping by numbers that are also used as such.
        None where no row is left.
        """
        by_row = {}
        for name, column in self.given.items():
            if column is not None:
                self._check_columns(frame, [column])
                by_row[name] = numbers_by_row(column, name, frame)
        self._check_columns(frame, self.used)
        columns = [frame[name] for name in self.used]
        kept = rows_without_missing([*columns, *map(pd.Series, by_row.values())], len(frame))
        if not len(kept):
            return None
        data, kept = complete_rows(frame, self.used, by_row, self.dates_are_groups)
        terms = self.terms
        if self.bars:
            terms, data = with_factors(self.formula, terms, data)
        return data, kept, by_row, terms

    def _check_columns(self, frame, names):
        """Refuse a chunk without one of these columns."""
        missing = [name for name in names if name not in frame.columns]
        if missing:
            raise LMMError(f"it has no column {missing[0]!r}; its columns are "
                           f"{shorten(list(frame.columns))}")

    def survey(self, frame):
        """The `Survey` of a chunk."""
        found = self.variables(frame)
        if found is None:
            return Survey({}, {}, 0, len(frame), pd.DataFrame(), None, {})
        data, kept, by_row, _ = found
        levels = {}
        sums = {}
        for name, column in data.items():
            if is_factor(column):
                kind = frame[name].dtype if name in frame.columns else None
                dictionary = kind.categories if isinstance(kind, pd.CategoricalDtype) else None
                levels[name] = column.array.categories, dictionary
            else:
                sums[name] = float(np.sum(column.to_numpy(float)))
        for name, values in by_row.items():
            sums[self.given[name]] = float(np.sum(values[kept]))
        n = len(kept)
        places = np.unique(np.linspace(0, n - 1, min(n, REMEMBERED)).astype(int))
        counts, first = combinations(
            {name: data[name].array for name in self.formula.predictors if is_factor(data[name])}
        )
        places = np.union1d(places, first[:MOST_REMEMBERED])
        sample = {}
        for name, column in data.items():
            part = column.iloc[places]
            sample[name] = np.asarray(part, object) if is_factor(column) else part.to_numpy()
        for name, values in by_row.items():
            sample[self.given[name]] = values[kept][places]
        dtypes = dict(zip(frame.columns, frame.dtypes))
        sample = pd.DataFrame(sample)
        return Survey(levels, sums, n, len(frame) - n, sample, counts, dtypes)

    def rows(self, frame):
        """The `ChunkRows` of a chunk, after the survey; None where no row is left."""
        found = self.variables(frame)
        if found is None:
            return None
        data, kept, by_row, terms = found
        data = {name: self._with_levels(name, column) for name, column in data.items()}
        y, X, names, known = self.formula.evaluate(data)
        if len(y) != len(kept):
            raise LMMError(f"the response {self.formula.response!r} is not one number per row")
        check_same_names(names, self.names)
        check_finite(y[:, None], (self.formula.response,), kept, "the response")
        check_finite(X, names, kept, "the column of X")
        if "offset" in by_row:
            known = known + finite(by_row["offset"], "offset", kept)
        roots = root_of_weights(by_row["weights"], kept) if "weights" in by_row else None
        codes = {name: data[name].array.codes for name in self.factors}
        effects = partial(self.effects_of, data, terms, len(y))
        return ChunkRows(y, X, known, roots, codes, effects)

    def effects_of(self, data, terms, n):
        """By term the values of its effects, (n, c)."""
        found = []
        for term in terms:
            numbers = tuple(name for name in term.variables if not is_factor(data[name]))
            found.append(values_of(term, numbers, data, n)[0])
        return found

    def _with_levels(self, name, column):
        """A factor with the levels of all chunks; numbers as they are."""
        if is_factor(column) != (name in self.categories):
            kinds = ("categories", "numbers")
            raise _other_kind(name, *(kinds if is_factor(column) else kinds[::-1]))
        if not is_factor(column):
            return column
        levels = self.categories[name]
        place = levels.get_indexer(column.array.categories)
        if (place < 0).any():
            new = column.array.categories[place < 0]
            raise LMMError(
                f"column {name!r} has a level that was not there before, {shorten(list(new))}: "
                "the source has changed between two passes"
            )
        codes = place[column.array.codes]
        return pd.Series(pd.Categorical.from_codes(codes, dtype=self.dtypes[name]), copy=False)

    # -- after the survey

    def surveyed(self, survey, levels=None):
        """The recipe with the levels that a survey has found, and some rows to remember.

        `levels` are those of some factors, by name, whether they are there or not.
        """
        if not survey.n:
            raise LMMError("no chunk has a row without a missing value; nothing is left to fit")
        self.categories = survey.categories()
        self.dictionaries = {name for name, (_, one) in survey.levels.items() if one is not None}
        for name, given in (levels or {}).items():
            self._give_levels(name, given)
        self.dtypes = {
            name: pd.CategoricalDtype(levels) for name, levels in self.categories.items()
        }
        data = {}
        for name, column in survey.sample.items():
            if name in self.categories:
                column = pd.Series(pd.Categorical(column, dtype=self.dtypes[name]))
            data[name] = column
        self.data = data
        terms = self.terms
        if self.bars:
            terms, _ = with_factors(self.formula, terms, data)
        self.named_terms = terms
        self.factors = list(dict.fromkeys(
            name for term in terms for name in term.variables if name in self.categories
        ))
        self._refuse_functions_of_all_rows()
        self.y, self.X, self.names, known = self.formula.evaluate(data)
        self.y = self.y - known
        self.remembered_effects = self.effects_of(data, terms, len(self.y))
        return self

    def _give_levels(self, name, levels):
        """Take the levels of a factor from what the user says."""
        if name not in self.categories:
            raise LMMError(f"levels names {name!r}, which is no factor of the model; these are "
                           f"{shorten(list(self.categories))}")
        levels = pd.Index(list(levels))
        others = self.categories[name][~self.categories[name].isin(levels)]
        if len(others):
            raise LMMError(f"levels has no {others[0]!r} of {name!r}, which the data have")
        self.categories[name] = levels
        self.dictionaries.add(name)

    def _refuse_functions_of_all_rows(self):
        """Refuse what is another value where other rows are there."""
        effects = [term.effects for term in self.terms if term.effects is not None]
        if not all(one.is_row_by_row(self.data) for one in (self.formula, *effects)):
            raise LMMError(
                "form holds a function whose values depend on all rows, such as center(x), "
                "scale(x), poly(x, 2) or C(x) of numbers, and chunks hold some of them each; "
                "compute the variable as a column first, or read all rows into one frame"
            )
