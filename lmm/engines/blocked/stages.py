"""The elimination of one term after another at one theta: equations (1) and (2), and Var[b | y].

The algebra and its letters are those of engine.py. A `Stage` eliminates one term and leaves the
cross-products of a smaller model to the next one; a `LastStage`, or where few columns meet a
`SparseStage`, factors what is left at the end. All answer the same questions about their model:

    logdet, cross           log|V| without n log sigma^2, and U' V^-1 U
    modes                   b = psi Z' V^-1 u and Z' V^-1 u, for any u
    penalised               (Lambda' Z'Z Lambda + I)^-1 v; scaled, scaled_transposed: Lambda v
    within_levels           the entries of Z' V^-1 Z within each level of each term
    B, diagonal, quadratic_forms    of the variance of b given y and beta, B

sigma is the unit, so that sigma^2 = 1 in their formulas. With E = (psi1^-1 + R1'R1)^-1, and
H = R12 B22 R12' within each level of the first term,

    B11 = E + E R1' H R1 E  within levels
    B12 = -E R1' R12 B22
    B22 = the next stage's B
    z' B z = z1' E z1 + (z2 - R12' R1 E z1)' B22 (z2 - R12' R1 E z1)
    Z1' V^-1 Z1 = R1' (D - D R12 B22 R12' D) R1
    Z1' V^-1 Z2 = R1' D R12 (I - psi2 Z2' V^-1 Z2)

Symmetric matrices are held by their upper triangle.
"""

from functools import cached_property

import numpy as np
from scipy import sparse

from ..algebra import row_sums, scaled_columns
from .crossproducts import cross_products
from .last_stage import LastStage
from .layout import Kept, Sparse
from .levels import (
    above_and_diagonal,
    in_Q1,
    inverse_root,
    summed_products,
    times,
    transposed,
    triangles,
)
from .sparse_stage import SparseStage


def stage_of(layout, relative, packed, ZU, UU):
    """The stage of the cross-products [Z'Z ZU; ZU' UU], Z'Z packed, that its layout asks for."""
    if isinstance(layout, Sparse):
        return SparseStage(layout, relative, packed, ZU, UU)
    if isinstance(layout, Kept):
        ZZ = packed.reshape(layout.q, layout.q)
        return LastStage(layout, relative, ZZ, ZU, UU)
    Z1U, Z2U = layout.split(ZU)
    own, between, rest = layout.unpacked(packed)
    of_Z = cross_products(layout, triangles(own), between, rest)
    of_Z = of_Z.with_products(Z1U, Z2U, UU)
    return Stage(of_Z, relative)


class Stage:
    """A term that is eliminated, and what it leaves to the `next` stage."""

    def __init__(self, cross_products, relative):
        self.cross_products = cross_products
        self.relative = relative
        self.layout = cross_products.layout
        self.coupling = cross_products.coupling
        blocks = self.layout.grouping.blocks
        self.psi = relative.psi[blocks, blocks, None]

        # -- D = (R1 psi1 R1' + I)^-1
        R1 = cross_products.R1
        half = times(R1, self.psi)
        root, logdet = inverse_root(times(half, transposed(R1)))
        self.D = times(transposed(root), root)

        # -- (1): S = Z2' A^-1 Z2 = (Z2'Z2 - R12'R12) + R12' D R12, likewise with U
        S = self.coupling.sum_over_levels(self.D, root)
        S += cross_products.Z2Z2
        R1U = cross_products.R1U
        DU = times(self.D, R1U)
        SU = cross_products.Z2U + self.coupling.transposed_times(DU)
        UU = cross_products.UU + summed_products(R1U, DU)
        remaining = self.layout.remaining
        self.next = stage_of(remaining, relative, S, SU, UU)

        # -- (2): log|V| = log|A| + log|K|
        self.logdet = logdet + self.next.logdet
        self.cross = self.next.cross
        self.cancels = self.next.cancels
        self.rounding = self.next.rounding

    def solve(self, u1, z2u):
        """Z1' V^-1 u, (c, r, m), Z2' V^-1 u and b2, (q2, r).

        u is given by u1 = Q1'u and z2u = Z2'(I - Q1 Q1')u.
        """
        of_Z = self.cross_products
        # -- the remaining columns: of Z2' A^-1 u = Z2'(I - Q1 Q1')u + R12' D Q1'u
        SU = z2u + self.coupling.transposed_times(times(self.D, u1))
        b2, N2 = self.next.modes(SU)
        # -- the eliminated ones: R1' D (Q1'u - R12 b2)
        N1 = u1 - self.coupling.times(b2)
        N1 = times(self.D, N1)
        N1 = times(transposed(of_Z.R1), N1)
        return N1, N2, b2

    def modes(self, zu):
        """b = psi Z' V^-1 u and Z' V^-1 u, (q, r), for u given by Z'u."""
        of_Z = self.cross_products
        z1u, z2u = self.layout.split(zu)
        u1 = in_Q1(of_Z.R1, z1u)
        z2u = z2u - self.coupling.transposed_times(u1)               # Z2'(I - Q1 Q1')u
        N1, N2, b2 = self.solve(u1, z2u)
        b1 = times(self.psi, N1)
        b = self.layout.joined(b1, b2)
        return b, self.layout.joined(N1, N2)

    # -- random effects over Lambda, u: (Lambda' Z'Z Lambda + I)^-1 v

    @cached_property
    def _scaled_R1(self):
        """R1 T and ((R1 T)' R1 T + I)^-1, both (c, c, m)."""
        blocks = self.layout.grouping.blocks
        RT = times(self.cross_products.R1, self.relative.T[blocks, blocks, None])
        root, _ = inverse_root(times(transposed(RT), RT))
        return RT, times(transposed(root), root)

    def scaled(self, v):
        """Lambda v, (q, r)."""
        return self._over_levels(v, self.relative.T, self.next.scaled)

    def scaled_transposed(self, v):
        """Lambda' v, (q, r)."""
        return self._over_levels(v, self.relative.T.T, self.next.scaled_transposed)

    def _over_levels(self, v, T, of_next):
        """T within each level of this term, and what the next stage makes of the other columns."""
        blocks = self.layout.grouping.blocks
        v1, v2 = self.layout.split(v)
        return self.layout.joined(times(T[blocks, blocks, None], v1), of_next(v2))

    def penalised(self, v):
        """(Lambda' Z'Z Lambda + I)^-1 v, (q, r): the first term by levels, the others by their K.

            x2 = K^-1 (v2 - Lambda2' R12' R1 T H11^-1 v1),    H11 = (R1 T)' R1 T + I
            x1 = H11^-1 (v1 - (R1 T)' R12 Lambda2 x2)
        """
        RT, H11_inverse = self._scaled_R1
        v1, v2 = self.layout.split(v)
        x1 = times(H11_inverse, v1)
        met = self.coupling.transposed_times(times(RT, x1))
        x2 = self.next.penalised(v2 - self.next.scaled_transposed(met))
        met = self.coupling.times(self.next.scaled(x2))
        x1 = x1 - times(H11_inverse, times(transposed(RT), met))
        return self.layout.joined(x1, x2)

    def within_levels(self):
        """Z' V^-1 Z within each level: an iterator over terms, (blocks, (c, c, m)), last first."""
        yield from self.next.within_levels()
        R1 = self.cross_products.R1
        taken = times(times(self.D, self.H), self.D)
        M = times(times(transposed(R1), self.D - taken), R1)
        yield self.layout.grouping.blocks, M

    # -- the variance of b given y and beta, over sigma^2

    @cached_property
    def H(self):
        """R12 B22 R12' within each level, (c, c, m)."""
        return self.coupling.within_levels(self.next.B)

    @cached_property
    def E(self):
        """T (T'R1'R1 T + I)^-1 T', (c, c, m): the variance of b1 where b2 is known too."""
        blocks = self.layout.grouping.blocks
        T = self.relative.T[blocks, blocks, None]
        _, H11_inverse = self._scaled_R1
        return times(times(T, H11_inverse), transposed(T))

    @cached_property
    def RE(self):
        """R1 E, (c, c, m): b1 moves by -E R1' R12 b2 with b2."""
        return times(self.cross_products.R1, self.E)

    @cached_property
    def B11(self):
        """B within each level of this term, (c, c, m)."""
        RE = self.RE
        return self.E + times(times(transposed(RE), self.H), RE)

    @cached_property
    def B(self):
        """B, packed."""
        of_entry = self.RE[:, :, self.layout.level]             # (c, c, nnz)
        R12_B22 = self.coupling.on_pattern(self.next.B)         # (c, nnz)
        B12 = -times(transposed(of_entry), R12_B22[:, None])
        B11 = above_and_diagonal(self.B11)
        parts = [B11.ravel(), B12.ravel(), self.next.B]
        return np.concatenate(parts)

    def diagonal(self):
        """The diagonal of B, (q,)."""
        own = np.einsum("aal->al", self.B11)
        remaining = self.next.diagonal()
        column = self.layout.joined(own[:, None], remaining[:, None])
        return column[:, 0]

    def quadratic_forms(self, Z):
        """z' B z for each row of Z, sparse: (n,)."""
        m = self.layout.m
        c = self.layout.c
        Z1 = []
        for a in range(c):
            of_effect = Z[:, a * m : (a + 1) * m]
            Z1.append(sparse.csr_array(of_effect))
        Z2 = sparse.csr_array(Z[:, c * m :])
        total = np.zeros(Z.shape[0])
        for a, b in np.ndindex(c, c):
            # -- z1' E z1
            E_z1 = scaled_columns(Z1[a], self.E[a, b])
            total += row_sums(E_z1.multiply(Z1[b]))
            # -- z2 - R12' R1 E z1
            RE_z1 = scaled_columns(Z1[b], self.RE[a, b])
            Z2 = Z2 - RE_z1 @ self.coupling.R12[a]
        return total + self.next.quadratic_forms(sparse.csr_array(Z2))

