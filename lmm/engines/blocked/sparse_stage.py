"""The columns of Z that are left when few pairs of them meet, at one theta: a sparse triangle.

Answers what a `LastStage` does, see stages.py; sigma is the unit. Its terms are scalar, so that
Lambda is diagonal.
"""

from functools import cached_property

import numpy as np
from scipy import sparse

from ..algebra import row_sums
from .last_stage import (
    CANCELLED,
    EPSILON,
    LARGE_SHARE,
    refuse_rounding,
    root_over_levels,
)
from .sparse_rest import SparseTriangle

COLUMNS_AT_ONCE = 200       # of q numbers each


class SparseStage:
    """S are the cross-products of these columns, packed, ZU and UU those with U.

    K = Lambda S Lambda + I
    """

    def __init__(self, layout, relative, S, ZU, UU):
        self.layout = layout
        self.S = S
        self.Lambda = root_over_levels(relative, layout)
        i, j = layout.rows, layout.columns
        K = S * self.Lambda[i] * self.Lambda[j]
        K[layout.diagonal] += 1.0
        self.triangle = SparseTriangle(layout.rounds, K)

        # -- (2): log|K|
        self.logdet = self.triangle.logdet
        diagonal = K[layout.diagonal][layout.rounds.columns]
        refuse_rounding(self.triangle.pivots, diagonal)
        self.rounding = float(np.sum(EPSILON * diagonal / self.triangle.pivots))
        # -- (1): U' V^-1 U = U' A^-1 U - (Lambda Z2' A^-1 U)' K^-1 (Lambda Z2' A^-1 U)
        s = self.Lambda[:, None] * ZU
        self.cross = UU - s.T @ self.triangle.solve(s)
        self.cancels = bool((self.cross.diagonal() < CANCELLED * UU.diagonal()).any())

    def scaled(self, v):
        """Lambda v."""
        return self.Lambda[:, None] * v

    scaled_transposed = scaled

    def penalised(self, v):
        """K^-1 v."""
        return self.triangle.solve(v)

    def modes(self, zu):
        """b = psi Z' V^-1 u and Z' V^-1 u, (q, r), for u given by Z'u; see `LastStage.modes`."""
        Lambda = self.Lambda[:, None]
        w = self.triangle.solve(Lambda * zu)
        b = Lambda * w
        if self.Lambda.all():
            return b, w / Lambda
        return b, zu - self.layout.times(self.S, b)

    # -- the variance of b given y and beta, B = Lambda K^-1 Lambda

    @cached_property
    def inverse(self):
        """The entries of K^-1, packed."""
        return self.triangle.inverse()

    @cached_property
    def B(self):
        """B, packed."""
        return self.inverse * self.Lambda[self.layout.rows] * self.Lambda[self.layout.columns]

    def diagonal(self):
        """The diagonal of B, (q,)."""
        return self.B[self.layout.diagonal]

    def quadratic_forms(self, Z):
        """z' B z for each row of Z, sparse: (n,). Two columns of a row are two that meet."""
        B = self.layout.symmetric(self.B)
        products = Z.multiply(Z @ B)
        return row_sums(sparse.csr_array(products))

    def within_levels(self):
        """M = Z' V^-1 Z within each level: an iterator over the terms, (blocks, (1, 1, m)).

        By (1 - K^-1) / Lambda^2, but where that cancels S - S B S, which takes a solution for each
        column.
        """
        of_inverse = self.inverse[self.layout.diagonal]
        squares = self.S[self.layout.diagonal]
        start = 0
        for grouping in self.layout.groupings:
            of_term = slice(start, start + grouping.width)
            variance = self.Lambda[start] ** 2
            if variance * squares[of_term].mean() > LARGE_SHARE:
                M = (1 - of_inverse[of_term]) / variance
            else:
                M = squares[of_term] - self._explained(of_term)
            yield grouping.blocks, M[None, None]
            start = of_term.stop

    def _explained(self, of_term):
        """The diagonal of S B S for the columns of a term."""
        S = self.layout.symmetric(self.S)
        found = np.empty(of_term.stop - of_term.start)
        for start in range(0, len(found), COLUMNS_AT_ONCE):
            chosen = slice(start, min(start + COLUMNS_AT_ONCE, len(found)))
            numbers = np.arange(of_term.start + chosen.start, of_term.start + chosen.stop)
            s = self.Lambda[:, None] * S[:, numbers].toarray()
            found[chosen] = np.sum(s * self.triangle.solve(s), axis=0)
        return found
