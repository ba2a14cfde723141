"""The cross-products of [Z U] with the columns of the term to be eliminated in orthogonal coordinates, Z1 = Q1 R1.

So large standard deviations of that term cost no digits: what Z1 leaves of the other columns is there before any theta is.
Those of other terms do, in the square of their ratio to sigma, as everywhere in a Cholesky factor. The letters are those of
blocked.py.
"""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from scipy import sparse

from ..algebra import scaled_rows
from .elimination import Eliminated

ROUNDING = 1e-12        # of a level's cross-product, below which what its effects before leave of one is zero
MOST_SMALL = 20_000     # numbers of a matrix that is better dense, however many of them are zero


@dataclass(frozen=True, eq=False)
class Gram:
    """The cross-products of [Z U], those of the first term's columns, Z1 = Q1 R1, in the coordinates of Q1. r columns of U."""

    layout: Eliminated
    R1: np.ndarray              # (m, c, c) upper triangular
    R12: tuple                  # Q1'Z2: for each effect a sparse matrix, (m, q2)
    meetings: dict              # (a, b) to (places, m) sparse: its product with d is R12_a' diag(d) R12_b, by places
    rest: np.ndarray            # Z2'Z2 - R12'R12, by places
    R1U: np.ndarray = None      # (m, c, r) Q1'U
    Z2U: np.ndarray = None      # (q2, r) Z2'U - R12'Q1'U
    UU: np.ndarray = None       # (r, r) U'U - U'Q1 Q1'U

    def with_products(self, Z1U, Z2U, UU):
        """The same with another U, known by Z1'U, (m, c, r), Z2'U and U'U."""
        R1U = in_Q1(self.R1, Z1U)
        return replace(self, R1U=R1U, Z2U=Z2U - self.collected(R1U), UU=UU - product(R1U, R1U))

    def with_rows(self, Z1, Z2, U):
        """The same with another U, (n, r), from the sparse matrices of each effect, and those of the other columns.

        What Q1 leaves of U is found row by row: as a difference of squares it would lose the digits of a column that is
        nearly in the span of Z1, as X's constant is, and with them X'WX where a standard deviation is large beside sigma.
        """
        R1U, U_left = 0.0, np.array(U, order="C")       # by rows, as products with sparse matrices are
        for _ in range(2):                              # the second pass removes what rounding left in the first
            more = in_Q1(self.R1, np.stack([Z.T @ U_left for Z in Z1], axis=1))
            of_level = back_in_R1(self.R1, more)
            R1U = R1U + more
            for a, Z in enumerate(Z1):
                U_left -= Z @ of_level[:, a]
        Z2U = np.concatenate([np.zeros((0, U.shape[1])), *(Z.T @ U_left for Z in Z2)])
        return replace(self, R1U=R1U, Z2U=Z2U, UU=U_left.T @ U_left)

    def combined(self, A):
        """The same with U A in place of U."""
        return replace(self, R1U=self.R1U @ A, Z2U=self.Z2U @ A, UU=A.T @ self.UU @ A)

    def summed(self, D):
        """R12' D R12 for D (m, c, c), by places."""
        total = np.zeros(self.layout.inner.size)
        for (a, b), P in self.meetings.items():
            total += P @ np.ascontiguousarray(D[:, a, b])
        return total

    def gathered(self, B):
        """The diagonal blocks of R12 B R12', (m, c, c), for B by places."""
        H, diagonal = np.empty_like(self.R1), B[self.diagonal_places]
        for (a, b), P in self.meetings.items():
            H[:, a, b] = P.T @ B
        H = H + H.transpose(0, 2, 1)
        for a, b in self.meetings:                                          # an entry with itself has been counted twice
            H[:, a, b] -= self.layout.sparse(self.R12[a].data * self.R12[b].data) @ diagonal
        return H

    @cached_property
    def diagonal_places(self):
        """Where the diagonal of the matrix by places is."""
        columns = np.arange(self.layout.inner.q)
        return self.layout.inner.places(columns, columns)

    def crossed(self, B):
        """R12 B on the pattern of R12, (c, nnz), for B by places."""
        place, _ = self.layout.meetings
        data = np.array([R.data for R in self.R12])
        total = -data * B[self.diagonal_places][self.layout.indices]        # the pairs of an entry with itself come twice
        for here, left, right in self.layout.pairs():
            of_pair = B[place[here]]
            for a, row in enumerate(data):
                total[a] += np.bincount(right, of_pair * row[left], len(row))
                total[a] += np.bincount(left, of_pair * row[right], len(row))
        return total

    def weighted(self, W):
        """W R12, a matrix (m, q2) for each effect, for W (m, c, c)."""
        parts, layout = self._by_effect[0], self.layout
        if len(parts) == 1:
            return [scaled_rows(parts[0], W[:, 0, 0])]
        if isinstance(parts[0], np.ndarray):
            return list((W @ np.stack(parts, axis=1)).transpose(1, 0, 2))
        data = np.array([R.data for R in parts])
        return [layout.sparse(np.einsum("ea,ae->e", W[layout.level, i], data)) for i in range(layout.c)]

    @cached_property
    def _by_effect(self):
        """Q1'Z2 for each effect and its transpose; dense where they are small, for then that is faster."""
        m, q2 = self.R12[0].shape
        parts = [R.toarray() for R in self.R12] if m * q2 < MOST_SMALL else self.R12
        return parts, [R.T for R in parts]

    def over_levels(self, v2):
        """R12 v2, (m, c, r)."""
        parts, _ = self._by_effect
        return (parts[0] @ v2)[:, None] if len(parts) == 1 else np.stack([R @ v2 for R in parts], axis=1)

    def collected(self, v1):
        """R12' v1, (q2, r)."""
        total = self._by_effect[1][0] @ v1[:, 0]
        for a, R in enumerate(self._by_effect[1][1:], start=1):
            total = total + R @ v1[:, a]
        return total


def gram_of(layout, G, C, rest):
    """The `Gram` of cross-products by `Eliminated.divided`, without U. O(pairs). `rest` is used up."""
    R1 = _triangles(G)
    values = in_Q1(R1[layout.level], np.ascontiguousarray(C.T)[:, :, None])[:, :, 0]
    values = [np.ascontiguousarray(values[:, a]) for a in range(layout.c)]
    place, ends = layout.meetings
    products = {(a, b): np.empty(len(place)) for a in range(layout.c) for b in range(layout.c)}
    for here, left, right in layout.pairs():
        for a, b in products:
            np.multiply(values[a][left], values[b][right], out=products[a, b][here])
    shape = layout.inner.size, layout.m
    meetings = {pair: sparse.csc_array((of_pair, place, ends), shape) for pair, of_pair in products.items()}
    for a in range(layout.c):
        rest -= meetings[a, a] @ np.ones(layout.m)
    return Gram(layout, R1, tuple(layout.sparse(row) for row in values), meetings, rest)


def back_in_R1(R1, V):
    """The X with R1 X = V for each level, (m, c, r); zeros where a row of R1 is zero. Read backwards, R1 is a transpose."""
    return in_Q1(R1[:, ::-1, ::-1].transpose(0, 2, 1), V[:, ::-1])[:, ::-1]


def product(u, v):
    """u'v, (r, s), summed over levels and effects, for (m, c, r) and (m, c, s)."""
    return u.reshape(-1, u.shape[2]).T @ v.reshape(-1, v.shape[2])


def _triangles(G):
    """Upper triangular R, (m, c, c), with R'R = G for each level; rows of zeros where G is singular."""
    R, left = np.zeros_like(G), G.copy()
    for a in range(G.shape[1]):
        pivot = np.where(left[:, a, a] > ROUNDING * G[:, a, a], left[:, a, a], 0.0)
        R[:, a, a:] = left[:, a, a:] / np.sqrt(np.where(pivot > 0, pivot, np.inf))[:, None]
        left -= R[:, a, :, None] * R[:, a, None, :]
    return R


def in_Q1(R1, V):
    """The X with R1'X = V for each level, (m, c, r): Q1'u for V = Z1'u; zeros where a row of R1 is zero."""
    X = np.zeros_like(V)
    for a in range(V.shape[1]):
        pivot = R1[:, a, a]
        remainder = V[:, a] - np.einsum("lb,lbq->lq", R1[:, :a, a], X[:, :a])
        X[:, a] = np.where(pivot > 0, 1 / np.where(pivot > 0, pivot, 1.0), 0.0)[:, None] * remainder
    return X
