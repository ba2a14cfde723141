"""How the levels of the term that is eliminated and the remaining columns meet: R12 = Q1'Z2.

R12 has a row for each effect of each level, c m of them, and q2 columns. Where most of its entries
are other than zero, as where two factors are crossed completely, it is held in full, and products
are those of BLAS. Otherwise the pairs of columns that meet in a level are found once, and a sum
over levels is one sparse product. Both answer the same questions:

    sum_over_levels         R12' D R12, packed, for D block-diagonal
    within_levels           R12 B R12' within each level
    on_pattern              the entries of R12 B where R12 has any
    times                   R12 v2
    transposed_times        R12' v1
    times_R12               W R12 for each effect, W block-diagonal

Block-diagonal matrices and vectors of the eliminated term have the level last, see levels.py.
"""

from functools import cached_property

import numpy as np
from scipy import sparse
from scipy.linalg.blas import dsyrk

from ..algebra import scaled_rows, symmetric
from .layout import Kept
from .levels import times, transposed

SMALL_MATRIX = 20_000       # numbers of a matrix that is better dense, however many are zero


def coupling_of(layout, R12):
    """The `DenseCoupling` or `SparseCoupling` of R12, its entries on the pattern, (c, nnz)."""
    if layout.is_full and isinstance(layout.remaining, Kept):
        return DenseCoupling(layout, R12)
    return SparseCoupling(layout, R12)


class DenseCoupling:
    """R12 in full, (c, m, q2); two of the remaining columns may always meet."""

    def __init__(self, layout, R12):
        self.R12 = R12.reshape(layout.c, layout.m, layout.remaining.q)

    def sum_over_levels(self, D, root):
        """R12' D R12, packed, for D = root' root, (c, c, m)."""
        q2 = self.R12.shape[2]
        if not q2:
            return np.zeros(0)
        halves = np.concatenate(self.times_R12(root))           # (c m, q2)
        return dsyrk(1.0, halves.T, lower=1).T.ravel()

    def within_levels(self, B):
        """R12 B R12' within each level, (c, c, m), for B symmetric, packed."""
        c, m, q2 = self.R12.shape
        found = np.zeros((c, c, m))
        if q2:
            R12_B = self.R12 @ symmetric(B.reshape(q2, q2))
            for a, b in np.ndindex(c, c):
                np.einsum("lj,lj->l", R12_B[a], self.R12[b], out=found[a, b])
        return found

    def on_pattern(self, B):
        """The entries of R12 B, (c, m q2), for B symmetric, packed."""
        c, m, q2 = self.R12.shape
        R12_B = self.R12 @ symmetric(B.reshape(q2, q2))
        return R12_B.reshape(c, m * q2)

    def times(self, v2):
        """R12 v2, (c, r, m)."""
        return v2.T @ self.R12.transpose(0, 2, 1)

    def transposed_times(self, v1):
        """R12' v1, (q2, r), for v1 (c, r, m)."""
        of_effects = v1 @ self.R12
        return of_effects.sum(axis=0).T

    def times_R12(self, W):
        """W R12, a matrix (m, q2) for each effect, for W block-diagonal, (c, c, m)."""
        return [np.einsum("bl,blj->lj", row, self.R12) for row in W]


class SparseCoupling:
    """R12 as a sparse matrix (m, q2) for each effect, and the products of its pairs of entries."""

    def __init__(self, layout, R12):
        self.layout = layout
        self.entries = R12                      # (c, nnz)
        self.R12 = tuple(layout.sparse(of_effect) for of_effect in R12)
        self.pair_products = _pair_products(layout, R12)

    # -- sums over the levels: of the pairs of remaining columns that meet in one

    def sum_over_levels(self, D, root=None):
        """R12' D R12, packed, for D block-diagonal, (c, c, m).

        Its entry at (i, j) is the sum of R12_a[l, i] D[a, b, l] R12_b[l, j] over the levels l and
        the pairs (a, b) of effects. For each (a, b) the products of the two entries of R12 are free
        of theta: ``pair_products[a, b]``, a sparse matrix of places by levels.
        """
        sums = (products @ D[a, b] for (a, b), products in self.pair_products.items())
        total = next(sums)
        for more in sums:
            total += more
        return total

    def within_levels(self, B):
        """R12 B R12' within each level, (c, c, m), for B symmetric, packed.

        A sum over all (i, j) is that over i <= j and its transpose, less the diagonal, which has
        been counted twice.
        """
        layout = self.layout
        found = np.empty((layout.c, layout.c, layout.m))
        for (a, b), products in self.pair_products.items():
            found[a, b] = products.T @ B
        found = found + transposed(found)
        diagonal = B[self._diagonal_places]
        for a, b in self.pair_products:
            with_itself = layout.sparse(self.entries[a] * self.entries[b])
            found[a, b] -= with_itself @ diagonal
        return found

    def on_pattern(self, B):
        """The entries of R12 B on the pattern of R12, (c, nnz), for B symmetric, packed."""
        layout = self.layout
        diagonal = B[self._diagonal_places]
        total = -self.entries * diagonal[layout.indices]    # an entry's pair with itself counts 2
        for chunk, left, right in layout.meeting_pairs():
            of_pair = B[layout.pair_places[chunk]]
            for a, of_effect in enumerate(self.entries):
                to_right = of_pair * of_effect[left]
                to_left = of_pair * of_effect[right]
                total[a] += np.bincount(right, to_right, layout.nnz)
                total[a] += np.bincount(left, to_left, layout.nnz)
        return total

    @cached_property
    def _diagonal_places(self):
        """Where the diagonal of the remaining columns is among the packed entries."""
        columns = np.arange(self.layout.remaining.q)
        return self.layout.remaining.places(columns, columns)

    # -- products with R12

    @cached_property
    def _for_products(self):
        """R12 for each effect; dense where they are small, for then that is faster."""
        m, q2 = self.R12[0].shape
        if m * q2 < SMALL_MATRIX:
            return [R.toarray() for R in self.R12]
        return self.R12

    def times(self, v2):
        """R12 v2, (c, r, m)."""
        v2 = np.ascontiguousarray(v2)
        return np.array([(R @ v2).T for R in self._for_products], order="C")

    def transposed_times(self, v1):
        """R12' v1, (q2, r), for v1 (c, r, m)."""
        products = [R.T @ np.ascontiguousarray(v.T) for R, v in zip(self._for_products, v1)]
        if len(products) == 1:
            return products[0]
        return sum(products)

    def times_R12(self, W):
        """W R12, a matrix (m, q2) for each effect, for W block-diagonal, (c, c, m)."""
        if len(self.R12) == 1:
            return [scaled_rows(self._for_products[0], W[0, 0])]
        of_entries = times(W[:, :, self.layout.level], self.entries[:, None])
        return [self.layout.sparse(entries) for entries in of_entries[:, 0]]


def _pair_products(layout, R12):
    """The products of two entries of R12, for each pair of columns that meet in a level."""
    places = layout.pair_places
    effects = list(np.ndindex(layout.c, layout.c))
    products = {pair: np.empty(len(places)) for pair in effects}
    for chunk, left, right in layout.meeting_pairs():
        for a, b in effects:
            np.multiply(R12[a][left], R12[b][right], out=products[a, b][chunk])
    shape = (layout.remaining.size, layout.m)
    return {
        pair: sparse.csc_array((of_pair, places, layout.pair_starts), shape)
        for pair, of_pair in products.items()
    }
