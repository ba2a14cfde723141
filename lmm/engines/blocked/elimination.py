"""Which entries the cross-products of [Z U] have while one term after another is eliminated: found once, free of theta.

Two levels of the first term never meet in a row, so what their columns of Z share is block-diagonal, a block of c x c for each
level. Eliminating them leaves the cross-products of the other columns, Z2, in which two columns meet that met in a row, or in a
level of the first term. Where levels of another term still do not meet, as with classes after the pupils within them, that
term is eliminated next; what is left at the end is `Kept`, a full matrix.

A matrix of cross-products is held as one vector of its entries on and above the diagonal, by `places`.
"""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from scipy import sparse

from ...machine import refuse_too_large
from ..algebra import symmetric_times

MOST_PAIRS = 2_000_000  # pairs of columns that are looked up at a time
MOST_KEPT = 200         # columns up to which no further term is eliminated: one small factor costs less


@dataclass(frozen=True, eq=False)
class Kept:
    """Columns of which any two may meet: an entry for each pair, by rows (those below the diagonal are zero)."""

    terms: tuple            # (slice of blocks, number of levels) of each term, in the order of the columns

    @cached_property
    def q(self):
        """The number of columns."""
        return sum((b.stop - b.start) * m for b, m in self.terms)

    @property
    def kept(self):
        """The number of columns of the full matrix at the end."""
        return self.q

    @property
    def size(self):
        """The number of entries."""
        return self.q * self.q

    def places(self, i, j):
        """Where the entries of the columns i <= j are."""
        return i * self.q + j

    def times(self, values, v):
        """The matrix of these values times v, (q, r)."""
        return symmetric_times(values.reshape(self.q, self.q), v)


@dataclass(frozen=True, eq=False)
class Eliminated:
    """A term that is eliminated, m levels with c columns each, and the layout of what is left.

    The entries are those of the levels, (m, c, c), those between a level and the columns it meets, (c, nnz), and the others.
    """

    blocks: slice                               # the term's
    m: int
    indptr: np.ndarray = field(repr=False)      # the columns that each level meets: a sparse pattern, (m, inner.q), by rows
    indices: np.ndarray = field(repr=False)
    inner: "Eliminated | Kept"

    @property
    def c(self):
        """The number of columns of each level."""
        return self.blocks.stop - self.blocks.start

    @property
    def q(self):
        """The number of columns."""
        return self.m * self.c + self.inner.q

    @property
    def kept(self):
        """The number of columns of the full matrix at the end."""
        return self.inner.kept

    @property
    def terms(self):
        """(slice of blocks, number of levels) of each term, in the order of the columns."""
        return ((self.blocks, self.m), *self.inner.terms)

    @property
    def size(self):
        """The number of entries."""
        return self.m * self.c**2 + self.c * len(self.indices) + self.inner.size

    @property
    def needed(self):
        """How many pairs of columns meet in a level, of this term and the inner ones, times the pairs of effects."""
        inner = self.inner.needed if isinstance(self.inner, Eliminated) else 0.0
        return inner + self.c**2 * _pairs(self.indptr)

    @cached_property
    def level(self):
        """The level of each entry of the pattern."""
        return np.repeat(np.arange(self.m), np.diff(self.indptr))

    def places(self, i, j):
        """Where the entries of the columns i <= j are."""
        m, c, own = self.m, self.c, self.m * self.c
        place = np.empty(len(i), np.int64)
        both, none = j < own, i >= own
        place[both] = i[both] % m * c * c + i[both] // m * c + j[both] // m
        one = ~both & ~none
        key = i[one] % m * self.inner.q + j[one] - own
        entries = len(self.indices)
        place[one] = own * c + i[one] // m * entries + np.searchsorted(self._keys, key)
        place[none] = own * c + c * entries + self.inner.places(i[none] - own, j[none] - own)
        return place

    @cached_property
    def _keys(self):
        """The entries of the pattern as numbers, sorted."""
        return self.level.astype(np.int64) * self.inner.q + self.indices

    def divided(self, values):
        """The entries of the levels, (m, c, c), those between levels and other columns, (c, nnz), and the others."""
        own, c = self.m * self.c**2, self.c
        G = np.triu(values[:own].reshape(self.m, c, c))
        G = G + np.triu(G, 1).transpose(0, 2, 1)
        return G, values[own : own + c * len(self.indices)].reshape(c, -1), values[own + c * len(self.indices) :]

    def joined(self, v1, v2):
        """(q, r), of the parts for the levels, (m, c, r), and for the other columns."""
        return np.concatenate([v1.transpose(1, 0, 2).reshape(self.m * self.c, -1), v2])

    def split(self, v):
        """The same back."""
        own = self.m * self.c
        return v[:own].reshape(self.c, self.m, -1).transpose(1, 0, 2), v[own:]

    def sparse(self, values):
        """The matrix (m, inner.q) with these entries on the pattern."""
        return sparse.csr_array((values, self.indices, self.indptr), (self.m, self.inner.q))

    def times(self, values, v):
        """The matrix of these values times v, (q, r)."""
        (G, C, rest), (v1, v2) = self.divided(values), self.split(v)
        C = [self.sparse(row) for row in C]
        return self.joined(G @ v1 + np.stack([one @ v2 for one in C], axis=1),
                           sum(one.T @ v1[:, a] for a, one in enumerate(C)) + self.inner.times(rest, v2))

    def pairs(self):
        """The pairs of entries of the pattern in one level, the left one before or the same as the right one.

        A few million at a time, for they take room: (slice of all pairs, left, right).
        """
        after = self.indptr[self.level + 1] - np.arange(len(self.indices))      # in the level: the entry, and those after it
        starts = np.concatenate([[0], np.cumsum(after, dtype=np.int64)])
        first = 0
        while first < len(self.indices):
            last = max(first + 1, int(np.searchsorted(starts, starts[first] + MOST_PAIRS, side="right")) - 1)
            left = np.repeat(np.arange(first, last), after[first:last])
            here = slice(starts[first], starts[last])
            yield here, left, np.arange(here.start, here.stop) - np.repeat(starts[first:last] - np.arange(first, last),
                                                                           after[first:last])
            first = last

    @cached_property
    def meetings(self):
        """The place among the inner layout's of each pair, and (m + 1,) where each level's pairs begin."""
        count = np.diff(self.indptr).astype(np.int64)
        ends = np.concatenate([[0], np.cumsum(count * (count + 1) // 2)])
        kind = np.int32 if max(self.inner.size, ends[-1]) < 2**31 else np.int64
        place = np.empty(ends[-1], kind)
        for here, left, right in self.pairs():
            place[here] = self.inner.places(self.indices[left].astype(kind), self.indices[right].astype(kind))
        return place, ends.astype(kind)


def layout_of(first, m, pattern, among, terms):
    """The layout of the columns of the term whose blocks are `first`, with m levels, and of the others.

    Parameters
    ----------
    first : slice
    m : int
    pattern : sparse array, (m, q)
        Which of the other columns each level meets.
    among : callable
        Gives the pattern, sparse (q, q), of which other columns meet each other in a row, where that is needed.
    terms : sequence of (slice, int)
        The other terms, in the order of their columns: blocks and number of levels.

    Returns
    -------
    Eliminated
        Its ``terms`` may be in another order than those given.
    """
    ends = np.cumsum([0, *((b.stop - b.start) * size for b, size in terms)])
    chosen = _next(terms, ends, pattern) if ends[-1] > MOST_KEPT else None
    if chosen is None:
        return Eliminated(first, m, pattern.indptr, pattern.indices, Kept(tuple(terms)))
    refuse_too_large(0, (first.stop - first.start) ** 2 * _pairs(pattern.indptr))
    own = np.arange(ends[chosen], ends[chosen + 1])
    others = np.delete(np.arange(ends[-1]), own)
    meet = sparse.csr_array(among() + pattern.T @ pattern)
    levels = sparse.csr_array((np.ones(len(own)), (np.arange(len(own)) % terms[chosen][1], own)), (terms[chosen][1], ends[-1]))
    coupling = sparse.csr_array((levels @ meet)[:, others])
    coupling.sort_indices()
    left = [term for i, term in enumerate(terms) if i != chosen]
    inner = layout_of(*terms[chosen], coupling, lambda: meet[others][:, others], left)
    place = {term[0].start: i for i, term in enumerate(terms)}
    order = np.concatenate([np.arange(ends[place[b.start]], ends[place[b.start] + 1]) for b, _ in inner.terms])
    pattern = sparse.csr_array(pattern[:, order])
    pattern.sort_indices()
    return Eliminated(first, m, pattern.indptr, pattern.indices, inner)


def _pairs(indptr):
    """How many pairs of columns meet in a level, each with itself among them."""
    count = np.diff(indptr).astype(float)
    return np.sum(count * (count + 1)) / 2


def _next(terms, ends, pattern):
    """The number of the largest term of which each row of the pattern has at most one level, or None."""
    row = np.repeat(np.arange(pattern.shape[0]), np.diff(pattern.indptr))
    found = []
    for i, (_, m) in enumerate(terms):
        of_term = (pattern.indices >= ends[i]) & (pattern.indices < ends[i + 1])
        level, rows, some = (pattern.indices[of_term] - ends[i]) % m, row[of_term], np.zeros(pattern.shape[0], int)
        some[rows] = level
        if (some[rows] == level).all():
            found.append(i)
    return max(found, key=lambda i: ends[i + 1] - ends[i], default=None)
