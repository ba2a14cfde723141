"""The cross-products of [Z U], those with the term to be eliminated in orthogonal coordinates.

    Z1 = Q1 R1      R1 block-diagonal, (c, c) upper triangular for each level
    R12 = Q1'Z2     one row for each effect of each level
    R1U = Q1'U

The others are of what Z1 leaves, (I - Q1 Q1') [Z2 U]. So large standard deviations of the first
term cost no digits: what it leaves of the other columns is there before any theta is. Those of
other terms do, in the square of their ratio to sigma, as everywhere in a Cholesky factor. The
letters are those of engine.py.
"""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from scipy import sparse

from ..algebra import scaled_rows, transposed
from .layout import Eliminated

DEPENDENT = 1e-12           # of an effect's squared length in a level, below which what the effects
                            # before leave of it is zero
SMALL_MATRIX = 20_000       # numbers of a matrix that is better dense, however many are zero


@dataclass(frozen=True, eq=False)
class CrossProducts:
    """What stands for Z and U: their cross-products, free of theta.

    The remaining columns, q2, are those of Z but the first term's; U has r columns.
    """

    layout: Eliminated
    R1: np.ndarray              # (m, c, c)
    R12: tuple                  # for each effect a sparse matrix, (m, q2)
    pair_products: dict         # see `sum_over_levels`
    Z2Z2: np.ndarray            # Z2'Z2 - R12'R12, packed
    R1U: np.ndarray = None      # (m, c, r)
    Z2U: np.ndarray = None      # (q2, r) Z2'U - R12'R1U
    UU: np.ndarray = None       # (r, r) U'U - R1U'R1U

    # -- another U

    def with_products(self, Z1U, Z2U, UU):
        """The same with another U, known by Z1'U, (m, c, r), Z2'U and U'U."""
        R1U = in_Q1(self.R1, Z1U)
        return replace(
            self,
            R1U=R1U,
            Z2U=Z2U - self.R12_transposed_times(R1U),
            UU=UU - summed_products(R1U, R1U),
        )

    def with_rows(self, Z1, Z2, U):
        """The same with another U, (n, r), and the sparse blocks of the first term and the others.

        What Q1 leaves of U is found row by row: as a difference of squares it would lose the digits
        of a column that is nearly in the span of Z1, as X's constant is, and with them X'WX where a
        standard deviation is large beside sigma.
        """
        R1U = 0.0
        remainder = np.array(U, order="C")  # by rows, as products with sparse matrices are
        for _ in range(2):                  # the second pass removes what rounding left
            Z1U = np.stack([Z.T @ remainder for Z in Z1], axis=1)
            more = in_Q1(self.R1, Z1U)
            R1U = R1U + more
            coefficients = in_Z1(self.R1, more)
            for a, Z in enumerate(Z1):
                remainder -= Z @ coefficients[:, a]
        nothing = np.zeros((0, U.shape[1]))
        of_blocks = [Z.T @ remainder for Z in Z2]
        Z2U = np.concatenate([nothing, *of_blocks])
        UU = remainder.T @ remainder
        return replace(self, R1U=R1U, Z2U=Z2U, UU=UU)

    def combined(self, A):
        """The same with U A in place of U."""
        return replace(
            self,
            R1U=self.R1U @ A,
            Z2U=self.Z2U @ A,
            UU=A.T @ self.UU @ A,
        )

    # -- sums over the levels: of the pairs of remaining columns that meet in one

    def sum_over_levels(self, D):
        """R12' D R12, packed, for D block-diagonal, (m, c, c).

        Its entry at (i, j) is the sum of R12_a[l, i] D[l, a, b] R12_b[l, j] over the levels l and
        the pairs (a, b) of effects. For each (a, b) the products of the two entries of R12 are free
        of theta: ``pair_products[a, b]``, a sparse matrix of places by levels.
        """
        sums = (
            products @ np.ascontiguousarray(D[:, a, b])
            for (a, b), products in self.pair_products.items()
        )
        total = next(sums)
        for more in sums:
            total += more
        return total

    def within_levels(self, B):
        """R12 B R12' within each level, (m, c, c), for B symmetric, packed.

        A sum over all (i, j) is that over i <= j and its transpose, less the diagonal, which has
        been counted twice.
        """
        found = np.empty_like(self.R1)
        for (a, b), products in self.pair_products.items():
            found[:, a, b] = products.T @ B
        found = found + transposed(found)
        diagonal = B[self._diagonal_places]
        for a, b in self.pair_products:
            with_itself = self.R12[a].data * self.R12[b].data
            with_itself = self.layout.sparse(with_itself)
            found[:, a, b] -= with_itself @ diagonal
        return found

    def on_pattern(self, B):
        """The entries of R12 B on the pattern of R12, (c, nnz), for B symmetric, packed."""
        layout = self.layout
        entries = self._entries
        diagonal = B[self._diagonal_places]
        total = -entries * diagonal[layout.indices]     # a pair of an entry with itself comes twice
        for chunk, left, right in layout.meeting_pairs():
            of_pair = B[layout.pair_places[chunk]]
            for a, of_effect in enumerate(entries):
                to_right = of_pair * of_effect[left]
                to_left = of_pair * of_effect[right]
                total[a] += np.bincount(right, to_right, layout.nnz)
                total[a] += np.bincount(left, to_left, layout.nnz)
        return total

    @property
    def _entries(self):
        """(c, nnz) the entries of R12."""
        return np.array([R.data for R in self.R12])

    @cached_property
    def _diagonal_places(self):
        """Where the diagonal of the remaining columns is among the packed entries."""
        columns = np.arange(self.layout.remaining.q)
        return self.layout.remaining.places(columns, columns)

    # -- products with R12

    @cached_property
    def _R12_and_transposed(self):
        """R12 and R12' for each effect; dense where they are small, for then that is faster."""
        m, q2 = self.R12[0].shape
        of_effects = self.R12
        if m * q2 < SMALL_MATRIX:
            of_effects = [R.toarray() for R in self.R12]
        return of_effects, [R.T for R in of_effects]

    def R12_times(self, v2):
        """R12 v2, (m, c, r)."""
        of_effects, _ = self._R12_and_transposed
        products = [R @ v2 for R in of_effects]
        if len(products) == 1:
            return products[0][:, None]
        return np.stack(products, axis=1)

    def R12_transposed_times(self, v1):
        """R12' v1, (q2, r)."""
        _, of_effects = self._R12_and_transposed
        products = [R @ v1[:, a] for a, R in enumerate(of_effects)]
        if len(products) == 1:
            return products[0]
        return sum(products)

    def times_R12(self, W):
        """W R12, a matrix (m, q2) for each effect, for W block-diagonal, (m, c, c)."""
        of_effects, _ = self._R12_and_transposed
        if len(of_effects) == 1:
            scale = W[:, 0, 0]
            return [scaled_rows(of_effects[0], scale)]
        if isinstance(of_effects[0], np.ndarray):
            by_level = W @ np.stack(of_effects, axis=1)
            return list(by_level.transpose(1, 0, 2))
        entries = self._entries
        found = []
        for a in range(len(of_effects)):
            row_of_W = W[self.layout.level, a]                  # (nnz, c)
            products = np.einsum("eb,be->e", row_of_W, entries)
            found.append(self.layout.sparse(products))
        return found


def cross_products(layout, own, between, remaining):
    """The `CrossProducts`, without U, of Z'Z in the three parts of `Eliminated.unpacked`.

    O(pairs). `remaining` is used up.
    """
    R1 = triangles(own)

    # -- R12 = R1'^-1 Z1'Z2, its entries on the pattern for each effect, (c, nnz)
    by_entry = np.ascontiguousarray(between.T)
    R12 = in_Q1(R1[layout.level], by_entry[:, :, None])
    R12 = np.ascontiguousarray(R12[:, :, 0].T)

    # -- the products of two entries, for each pair of columns that meet in a level
    places = layout.pair_places
    effects = list(np.ndindex(layout.c, layout.c))
    products = {pair: np.empty(len(places)) for pair in effects}
    for chunk, left, right in layout.meeting_pairs():
        for a, b in effects:
            one = R12[a][left]
            other = R12[b][right]
            np.multiply(one, other, out=products[a, b][chunk])
    shape = (layout.remaining.size, layout.m)
    pair_products = {}
    for pair in effects:
        parts = (products[pair], places, layout.pair_starts)
        pair_products[pair] = sparse.csc_array(parts, shape)

    # -- Z2'Z2 - R12'R12
    ones = np.ones(layout.m)
    for a in range(layout.c):
        remaining -= pair_products[a, a] @ ones
    R12 = tuple(layout.sparse(entries) for entries in R12)
    return CrossProducts(layout, R1, R12, pair_products, remaining)


# -- each level's triangle: R1, (m, c, c), with R1'R1 = Z1'Z1


def triangles(G):
    """The upper triangular R, (m, c, c), with R'R = G for each level, by rows.

    A row is zero where G has no more to give: where a level has too few rows for its effects, or
    the effects depend on each other in it.
    """
    R = np.zeros_like(G)
    remainder = G.copy()
    for a in range(G.shape[1]):
        squared = remainder[:, a, a]
        least = DEPENDENT * G[:, a, a]
        is_some = (squared > least) & (squared > 0)
        length = np.sqrt(np.where(is_some, squared, np.inf))
        row = R[:, a]
        row[:, a:] = remainder[:, a, a:] / length[:, None]
        remainder -= row[:, :, None] * row[:, None, :]
    return R


def in_Q1(R1, V):
    """The X with R1'X = V for each level, (m, c, r): Q1'u, of V = Z1'u.

    Zero where a row of R1 is.
    """
    X = np.zeros_like(V)
    for a in range(V.shape[1]):
        column = R1[:, :a, a]
        before = np.einsum("lb,lbq->lq", column, X[:, :a])
        pivot = R1[:, a, a]
        is_some = pivot > 0
        inverse = 1 / np.where(is_some, pivot, 1.0)
        inverse = np.where(is_some, inverse, 0.0)
        remainder = V[:, a] - before
        X[:, a] = inverse[:, None] * remainder
    return X


def in_Z1(R1, V):
    """The X with R1 X = V for each level, (m, c, r), so that Q1 V = Z1 X.

    Read backwards, R1 is the transpose of such a triangle.
    """
    backwards = R1[:, ::-1, ::-1]
    X = in_Q1(transposed(backwards), V[:, ::-1])
    return X[:, ::-1]


def summed_products(u, v):
    """u'v, (r, s), summed over levels and effects, for (m, c, r) and (m, c, s)."""
    u = u.reshape(-1, u.shape[2])
    v = v.reshape(-1, v.shape[2])
    return u.T @ v
