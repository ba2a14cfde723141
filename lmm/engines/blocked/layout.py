"""Where each entry of the cross-products of Z is held, while one term after another is eliminated.

A symmetric matrix of cross-products is *packed*: one vector of those entries on and above its
diagonal that can be other than zero. A *layout* is free of theta, and its `places` is the one owner
of their order. That of an `Eliminated` term holds that of the remaining columns, and so on to those
that are `Kept`. Which term comes when is found in elimination.py.
"""

from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import numpy as np
from scipy import sparse

from ..algebra import row_of_entries, symmetric_times
from .levels import times
from .sparse_rest import Rounds

MOST_PAIRS = 2_000_000  # pairs of columns that are looked up at a time


class Grouping(NamedTuple):
    """A term as the elimination sees it; its column number effect x m + level is of that level."""

    blocks: slice           # of its blocks among those of Z, one for each effect
    m: int                  # the number of levels

    @property
    def c(self):
        """The number of effects of each level."""
        return self.blocks.stop - self.blocks.start

    @property
    def numbers(self):
        """The numbers of its blocks as a range."""
        return range(self.blocks.start, self.blocks.stop)

    @property
    def width(self):
        """The number of columns of Z."""
        return self.c * self.m


@dataclass(frozen=True, eq=False)
class Kept:
    """Columns of which any two may meet: q^2 entries by rows, those below the diagonal zero."""

    groupings: tuple        # the terms, in the order of the columns

    @cached_property
    def q(self):
        """The number of columns."""
        return sum(grouping.width for grouping in self.groupings)

    @property
    def kept(self):
        """The number of columns that are kept to the end."""
        return self.q

    @property
    def size(self):
        """The number of packed entries."""
        return self.q * self.q

    def places(self, i, j):
        """Where the entries of the columns i <= j are among the packed ones."""
        return i * self.q + j

    def times(self, packed, v):
        """The matrix of these entries times v, (q, r)."""
        S = packed.reshape(self.q, self.q)
        return symmetric_times(S, v)

    def over_levels(self, T):
        """T x I over the levels of each term, sparse, for T (J, J) lower triangular."""
        i, j, row, column = self._triangles
        entries = (T[i, j], (row, column))
        return sparse.csr_array(entries, (self.q, self.q))

    @cached_property
    def _triangles(self):
        """The entries of `over_levels`: the block i and j of each, T_ij, its row and its column."""
        found = []
        start = 0
        for grouping in self.groupings:
            m = grouping.m
            for a, b in zip(*np.tril_indices(grouping.c)):
                level = np.arange(m)
                i = np.full(m, grouping.blocks.start + a)
                j = np.full(m, grouping.blocks.start + b)
                row = start + a * m + level
                column = start + b * m + level
                found.append((i, j, row, column))
            start += grouping.width
        return [np.concatenate(parts) for parts in zip(*found)]


@dataclass(frozen=True, eq=False)
class Sparse:
    """Columns of which few pairs meet: the entries of a pattern, row by row; terms are scalar."""

    groupings: tuple        # the terms, in the order of the columns
    rows: np.ndarray = field(repr=False)        # (size,) row and column of each packed entry, ...
    columns: np.ndarray = field(repr=False)     # ... row <= column
    rounds: Rounds = field(repr=False)          # in which rounds they are eliminated

    @cached_property
    def q(self):
        """The number of columns."""
        return sum(grouping.width for grouping in self.groupings)

    @property
    def kept(self):
        """The number of columns that are kept to the end."""
        return self.rounds.end

    @property
    def size(self):
        """The number of packed entries."""
        return len(self.rows)

    @cached_property
    def _keys(self):
        """(size,) row and column of each entry as one number: in order."""
        return self.rows * self.q + self.columns

    def places(self, i, j):
        """Where the entries of the columns i <= j are among the packed ones; they must be there."""
        return np.searchsorted(self._keys, np.asarray(i, np.int64) * self.q + j)

    @cached_property
    def diagonal(self):
        """(q,) the places of the diagonal."""
        columns = np.arange(self.q)
        return self.places(columns, columns)

    def symmetric(self, packed):
        """The matrix of these entries, (q, q), sparse, both triangles."""
        above = packed.copy()
        above[self.diagonal] *= 0.5
        half = sparse.coo_array((above, (self.rows, self.columns)), (self.q, self.q))
        return sparse.csr_array(half + half.T)

    def times(self, packed, v):
        """The matrix of these entries times v, (q, r)."""
        return self.symmetric(packed) @ v


@dataclass(frozen=True, eq=False)
class Eliminated:
    """A term that is eliminated, m levels of c effects, and the layout of the remaining columns.

    Its own c m columns come first, effect by effect, then the q2 remaining ones, which levels meet
    in `nnz` places of the pattern (m, q2). The packed entries are, one part after the other,

        own         (c, c, m)   between two columns of one level; two levels never meet
        between     (c, nnz)    between an effect of a level and a remaining column that it meets
        remaining               between two remaining columns, packed by their own layout

    Examples
    --------
    Three levels with two effects: columns 0, 1, 2 are the first effect of levels 0, 1, 2, and
    columns 3, 4, 5 the second one. Of the four remaining columns, 6 to 9, level 0 meets 6 and 7,
    level 1 meets 7 and 9, and level 2 meets 8. So there are 3 x 4 + 2 x 5 + 16 = 38 places, here
    where they are in the matrix:

                0   1   2   3   4   5   6   7   8   9
           0    0   .   .   3   .   .  12  13   .   .
           1        1   .   .   4   .   .  14   .  15
           2            2   .   .   5   .   .  16   .
           3                9   .   .  17  18   .   .
           4                   10   .   .  19   .  20
           5                       11   .   .  21   .
           6                           22  23  24  25
           7                               27  28  29
           8                                   32  33
           9                                       37

    (A dot is an entry that is always zero; places 6, 7 and 8, and 26, 30, 31, ... are below the
    diagonal of a full matrix, and not used.)

    >>> layout = Eliminated(
    ...     Grouping(slice(0, 2), m=3),
    ...     indptr=np.array([0, 2, 4, 5]),
    ...     indices=np.array([0, 1, 1, 3, 2]),
    ...     remaining=Kept((Grouping(slice(2, 3), m=4),)),
    ... )
    >>> i = np.array([1, 1, 4, 1, 1, 4, 4, 7])
    >>> j = np.array([1, 4, 4, 7, 9, 7, 9, 9])
    >>> print(layout.places(i, j), layout.size)
    [ 1  4 10 14 15 19 20 29] 38
    """

    grouping: Grouping
    indptr: np.ndarray = field(repr=False)      # which remaining columns each level meets: a
    indices: np.ndarray = field(repr=False)     # sparse pattern (m, remaining.q), sorted, by rows
    remaining: "Eliminated | Kept | Sparse"

    @cached_property
    def m(self):
        """The number of levels."""
        return self.grouping.m

    @cached_property
    def c(self):
        """The number of columns of each level."""
        return self.grouping.c

    @property
    def q(self):
        """The number of columns."""
        return self.grouping.width + self.remaining.q

    @property
    def kept(self):
        """The number of columns that are kept to the end."""
        return self.remaining.kept

    @property
    def groupings(self):
        """The terms, in the order of the columns."""
        return (self.grouping, *self.remaining.groupings)

    # -- the packed entries

    @cached_property
    def parts(self):
        """The slices of the three parts."""
        end_of_own = self.m * self.c**2
        end_of_between = end_of_own + self.c * self.nnz
        own = slice(0, end_of_own)
        between = slice(end_of_own, end_of_between)
        remaining = slice(end_of_between, None)
        return own, between, remaining

    @property
    def size(self):
        """The number of packed entries."""
        *_, remaining = self.parts
        return remaining.start + self.remaining.size

    @property
    def nnz(self):
        """The number of entries of the pattern."""
        return len(self.indices)

    @property
    def is_full(self):
        """Whether each level meets all remaining columns, by its pattern."""
        return self.nnz == self.m * self.remaining.q

    @cached_property
    def level(self):
        """(nnz,) the level of each entry of the pattern."""
        return row_of_entries(self.indptr)

    @cached_property
    def _keys(self):
        """(nnz,) `_key` of each entry of the pattern: in order."""
        return self._key(self.level, self.indices)

    def _key(self, level, column):
        """A level and a remaining column as one number, level x q2 + column."""
        return level.astype(np.int64) * self.remaining.q + column

    def places(self, i, j):
        """Where the entries of the columns i <= j are among the packed ones; none may be a dot."""
        m = self.m
        c = self.c
        width = self.grouping.width
        own, between, remaining = self.parts
        is_own = j < width
        is_remaining = i >= width
        is_between = ~is_own & ~is_remaining
        found = np.empty(len(i), np.int64)

        # -- own: row and column effect in the matrix c x c of the level
        level = i[is_own] % m
        effect = i[is_own] // m
        other = j[is_own] // m
        entry = effect * c + other
        found[is_own] = own.start + entry * m + level

        # -- between: the pattern's entry of level and column, once for each effect
        level = i[is_between] % m
        effect = i[is_between] // m
        key = self._key(level, j[is_between] - width)
        entry = np.searchsorted(self._keys, key)
        found[is_between] = between.start + effect * self.nnz + entry

        # -- remaining: by their own layout
        row = i[is_remaining] - width
        column = j[is_remaining] - width
        place = self.remaining.places(row, column)
        found[is_remaining] = remaining.start + place
        return found

    def unpacked(self, packed):
        """The three parts: own, (c, c, m), both triangles; between, (c, nnz); remaining, packed."""
        own, between, remaining = (packed[part] for part in self.parts)
        both = own.reshape(self.c, self.c, self.m).copy()
        for a, b in zip(*np.triu_indices(self.c, 1)):
            both[b, a] = both[a, b]
        by_effect = between.reshape(self.c, -1)
        return both, by_effect, remaining

    def times(self, packed, v):
        """The matrix of these entries times v, (q, r)."""
        own, between, remaining = self.unpacked(packed)
        v1, v2 = self.split(v)
        # -- rows of the term: own v1 + between v2
        # -- rows of the remaining columns: between' v1 + remaining v2
        top = times(own, v1)
        bottom = self.remaining.times(remaining, v2)
        for a, entries in enumerate(between):
            C = self.sparse(entries)
            top[a] += (C @ v2).T
            bottom += C.T @ v1[a].T
        return self.joined(top, bottom)

    def sparse(self, entries):
        """The matrix (m, q2) with these entries on the pattern."""
        parts = (entries, self.indices, self.indptr)
        return sparse.csr_array(parts, shape=(self.m, self.remaining.q))

    # -- vectors

    def joined(self, v1, v2):
        """(q, r), from the part of the levels, (c, r, m), and the remaining columns', (q2, r)."""
        by_level = v1.swapaxes(1, 2)
        own = by_level.reshape(self.grouping.width, -1)
        return np.concatenate([own, v2])

    def split(self, v):
        """The two parts of (q, r), as `joined` takes them."""
        width = self.grouping.width
        by_level = v[:width].reshape(self.c, self.m, -1)
        return np.ascontiguousarray(by_level.swapaxes(1, 2)), v[width:]

    # -- pairs of remaining columns that meet in a level

    def meeting_pairs(self):
        """The pairs of entries of the pattern that are of one level, each with itself among them.

        In the example above, whose entries are 0 1 of level 0, 2 3 of level 1 and 4 of level 2,
        the pairs are 00 01 11, 22 23 33, 44. As they take room, some millions at a time: yields
        the slice of all pairs, the left entries and the right ones, left <= right.
        """
        # -- an entry's partners are itself and those after it; its pairs begin at starts[entry]
        end_of_level = self.indptr[self.level + 1]
        partners = end_of_level - np.arange(self.nnz)
        starts = np.zeros(self.nnz + 1, np.int64)
        np.cumsum(partners, out=starts[1:])
        first = 0
        while first < self.nnz:
            # -- the entries from first to last, whose pairs are MOST_PAIRS at most, or one entry
            most = starts[first] + MOST_PAIRS
            fitting = np.searchsorted(starts, most, side="right") - 1
            last = max(first + 1, int(fitting))
            chosen = slice(first, last)
            chunk = slice(starts[first], starts[last])
            # -- pair number starts[entry] is that with itself, the next one with the next entry
            entries = np.arange(first, last)
            left = np.repeat(entries, partners[chosen])
            behind = np.repeat(starts[chosen] - entries, partners[chosen])
            right = np.arange(chunk.start, chunk.stop) - behind
            yield chunk, left, right
            first = last

    @cached_property
    def pair_starts(self):
        """(m + 1,) where the pairs of each level begin, and where the last ones end."""
        count = np.diff(self.indptr).astype(np.int64)
        starts = np.zeros(self.m + 1, np.int64)
        np.cumsum(count * (count + 1) // 2, out=starts[1:])
        largest = max(self.remaining.size, starts[-1])
        if largest < 2**31:
            return starts.astype(np.int32)      # half the memory, also of `pair_places`
        return starts

    @cached_property
    def pair_places(self):
        """Where the entry of each pair's columns is among the packed remaining ones."""
        starts = self.pair_starts
        found = np.empty(starts[-1], starts.dtype)
        columns = self.indices.astype(starts.dtype)
        for chunk, left, right in self.meeting_pairs():
            i = columns[left]
            j = columns[right]
            found[chunk] = self.remaining.places(i, j)
        return found

    @property
    def products_held(self):
        """How many products the `CrossProducts` of this layout and the remaining ones hold.

        One for each pair of columns that meet in a level and each pair of effects.
        """
        if self.is_full and isinstance(self.remaining, Kept):
            return self.c * self.nnz
        held = self.c**2 * count_pairs(self.indptr)
        if isinstance(self.remaining, Eliminated):
            held += self.remaining.products_held
        return held


def count_pairs(indptr):
    """How many pairs of columns meet in a level, each with itself among them; a float."""
    count = np.diff(indptr).astype(float)
    twice = np.sum(count * (count + 1))
    return twice / 2
