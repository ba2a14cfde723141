"""The cross-products of [Z U], those with the term to be eliminated in orthogonal coordinates.

    Z1 = Q1 R1      R1 block-diagonal, (c, c) upper triangular for each level
    R12 = Q1'Z2     one row for each effect of each level
    R1U = Q1'U

The others are of what Z1 leaves, (I - Q1 Q1') [Z2 U]. So large standard deviations of the first
term cost no digits: what it leaves of the other columns is there before any theta is. Those of
other terms do, in the square of their ratio to sigma, as everywhere in a Cholesky factor. The
letters are those of engine.py; matrices for each level have the level last, see levels.py.
"""

from dataclasses import dataclass, replace

import numpy as np

from .coupling import DenseCoupling, SparseCoupling, coupling_of
from .layout import Eliminated
from .levels import in_Q1, in_Z1, summed_products

ROWS_BY_LEVEL = 50_000       # of r numbers each


@dataclass(frozen=True, eq=False)
class CrossProducts:
    """What stands for Z and U: their cross-products, free of theta.

    The remaining columns, q2, are those of Z but the first term's; U has r columns.
    """

    layout: Eliminated
    R1: np.ndarray              # (c, c, m)
    coupling: DenseCoupling | SparseCoupling        # R12
    Z2Z2: np.ndarray            # Z2'Z2 - R12'R12, packed
    R1U: np.ndarray = None      # (c, r, m)
    Z2U: np.ndarray = None      # (q2, r) Z2'U - R12'R1U
    UU: np.ndarray = None       # (r, r) U'U - R1U'R1U

    def with_products(self, Z1U, Z2U, UU):
        """The same with another U, known by Z1'U, (c, r, m), Z2'U and U'U."""
        R1U = in_Q1(self.R1, Z1U)
        return replace(
            self,
            R1U=R1U,
            Z2U=Z2U - self.coupling.transposed_times(R1U),
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
            Z1U = np.array([(Z.T @ remainder).T for Z in Z1], order="C")
            more = in_Q1(self.R1, Z1U)
            R1U = R1U + more
            coefficients = in_Z1(self.R1, more)
            for Z, of_effect in zip(Z1, coefficients):
                _subtract(remainder, Z, np.ascontiguousarray(of_effect.T))
        nothing = np.zeros((0, U.shape[1]))
        of_blocks = [Z.T @ remainder for Z in Z2]
        Z2U = np.concatenate([nothing, *of_blocks])
        UU = remainder.T @ remainder
        return replace(self, R1U=R1U, Z2U=Z2U, UU=UU)

    def combined(self, A):
        """The same with U A in place of U."""
        return replace(
            self,
            R1U=A.T @ self.R1U,
            Z2U=self.Z2U @ A,
            UU=A.T @ self.UU @ A,
        )


def _subtract(rows, Z, coefficients):
    """Take Z times the coefficients from these rows, some at a time, in place."""
    for start in range(0, len(rows), ROWS_BY_LEVEL):
        chosen = slice(start, start + ROWS_BY_LEVEL)
        rows[chosen] -= Z[chosen] @ coefficients


def cross_products(layout, R1, between, remaining):
    """The `CrossProducts`, without U, of Z'Z in the three parts of `Eliminated.unpacked`.

    O(pairs), or O(m q2^2) where all columns meet. `remaining` is used up.
    """
    # -- R12 = R1'^-1 Z1'Z2, its entries on the pattern for each effect, (c, nnz)
    R12 = in_Q1(R1[:, :, layout.level], between[:, None])
    coupling = coupling_of(layout, R12[:, 0])

    # -- Z2'Z2 - R12'R12
    eyes = np.zeros(R1.shape)
    for a in range(layout.c):
        eyes[a, a] = 1.0
    remaining -= coupling.sum_over_levels(eyes, eyes)
    return CrossProducts(layout, R1, coupling, remaining)
