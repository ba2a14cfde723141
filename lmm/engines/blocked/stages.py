"""The elimination of one term after another at one theta: equations (1) and (2), and the variance of b given y.

The algebra and its letters are those of blocked.py. A `Stage` eliminates one term and leaves the cross-products of a smaller
model to the next one; a `Rest` factors what is left at the end. Both answer the same questions about their model: log|V| and
U' V^-1 U, Z' V^-1 u and b for any u, and entries of B, which times sigma^2 is the variance of b given y and beta. With sigma as
the unit, H = the diagonal blocks of R12 B2 R12', and E = (psi1^-1 + R1'R1)^-1, for the first term and the others:

    B11 = E + E R1' H R1 E  (diagonal blocks),    B12 = -E R1' R12 B2,    B22 = B2
    z' B z = z1' E z1 + (z2 - R12' R1 E z1)' B2 (z2 - R12' R1 E z1)
    Z1' V^-1 Z1 = R1' (D - D R12 B2 R12' D) R1,   Z1' V^-1 Z2 = R1' D R12 (I - psi2 Z2' V^-1 Z2)

Symmetric matrices are held by their upper triangle.
"""

from functools import cached_property
from typing import NamedTuple

import numpy as np
from scipy import sparse

from ..algebra import full, scaled_columns
from ..contract import NotPositiveDefinite
from .elimination import Kept
from .gram import gram_of, in_Q1, product
from .rest import Rest


class Point(NamedTuple):
    """A theta as the stages need it: sigma is the unit, so that sigma^2 = 1 in their formulas."""

    psi: np.ndarray     # (J, J) the covariance of the random effects in one level of each term, over sigma^2
    T: np.ndarray       # (J, J) psi = T T'


def stage_of(layout, point, values, ZU, UU):
    """The `Stage` or `Rest` of cross-products by places: [values ZU; ZU' UU]."""
    if isinstance(layout, Kept):
        return Rest(layout, point, values.reshape(layout.q, layout.q), ZU, UU)
    Z1U, Z2U = layout.split(ZU)
    G, C, rest = layout.divided(values)
    return Stage(gram_of(layout, G, C, rest).with_products(Z1U, Z2U, UU), point)


class Stage:
    """A term that is eliminated, and what it leaves to the `inner` one."""

    def __init__(self, gram, point):
        self.gram, self.layout = gram, gram.layout
        b, R1 = gram.layout.blocks, gram.R1
        self.psi, self.T = point.psi[b, b], point.T[b, b]
        half, logs = _half_inverse(R1 @ self.psi @ R1.transpose(0, 2, 1))   # of R1 psi1 R1' + sigma^2 I
        self.D = half.transpose(0, 2, 1) @ half
        S = gram.summed(self.D)
        S += gram.rest                                                      # (1)
        DU = self.D @ gram.R1U
        self.inner = stage_of(gram.layout.inner, point, S, gram.Z2U + gram.collected(DU),
                              gram.UU + product(gram.R1U, DU))
        self.logdet = logs + self.inner.logdet                              # (2), without n log sigma^2
        self.cross = self.inner.cross                                       # sigma^2 U' V^-1 U

    def solve(self, u1, z2u):
        """Z1' V^-1 u, (m, c, q), Z2' V^-1 u and b2, (q2, q), for u given by Q1'u and Z2'(I - Q1 Q1')u."""
        gram = self.gram
        b2, N2 = self.inner.modes(z2u + gram.collected(self.D @ u1))        # of sigma^2 Z2' A^-1 u
        N1 = gram.R1.transpose(0, 2, 1) @ (self.D @ (u1 - gram.over_levels(b2)))
        return N1, N2, b2

    def modes(self, zu):
        """b = psi Z' V^-1 u and Z' V^-1 u, (q, r), for u given by Z'u."""
        z1u, z2u = self.layout.split(zu)
        u1 = in_Q1(self.gram.R1, z1u)
        N1, N2, b2 = self.solve(u1, z2u - self.gram.collected(u1))
        return self.layout.joined(self.psi @ N1, b2), self.layout.joined(N1, N2)

    def traces(self, entries, rest):
        """tr(M Z_a), (q,), and tr(M Z_a M Z_b), (q, q), for M = Z' V^-1 Z, where nothing but a `Rest` is left.

        For the entries of psi of this term, pairs of its effects, and then the others, whose `Pairs` are `rest`. M is
        block-diagonal but for a part of rank q2, so that no matrix larger than (q2, q2) is needed: with
        X = sigma^2 Z1' A^-1 Z2, M11 = own - X B X' and M12 = X (I - psi2 M22). O(q2^3 + pairs).
        """
        B, shrunk, M22 = self.inner.whole()
        W = self.gram.R1.transpose(0, 2, 1) @ self.D
        own, X = W @ self.gram.R1, self.gram.weighted(W)
        low = W @ self.gram.gathered(np.triu(B).ravel()) @ W.transpose(0, 2, 1)         # the diagonal blocks of X B X'
        G = {(i, j): full(X[i].T @ X[j]) for i, j in np.ndindex(len(X), len(X))}
        BG = {pair: B @ of_pair for pair, of_pair in G.items()}

        def inner(il, jk):                                                  # of the blocks M_il and M_jk
            (i, h), (j, k) = il, jk
            return own[:, i, h] @ (own[:, j, k] - low[:, j, k]) - low[:, i, h] @ own[:, j, k] + np.sum(BG[h, k] * BG[j, i].T)

        q1, both = len(entries), [{(i, j), (j, i)} for i, j in entries]
        t, S = np.empty(q1 + rest.owners.shape[1]), np.empty((q1 + rest.owners.shape[1],) * 2)
        diagonal = np.sum(own - low, axis=0)
        t[:q1], t[q1:] = [sum(diagonal[pair] for pair in of_entry) for of_entry in both], rest.traces(M22)
        for a, of_entry in enumerate(both):
            for b in range(a, q1):
                S[a, b] = S[b, a] = sum(inner((i, h), (j, k)) for i, j in of_entry for k, h in both[b])
            if rest.owners.size:
                S[a, q1:] = S[q1:, a] = sum(rest.traces(shrunk.T @ G[pair] @ shrunk) for pair in of_entry)
        S[q1:, q1:] = rest.squares(M22)
        return t, S

    @cached_property
    def H(self):
        """The diagonal blocks of R12 B2 R12', (m, c, c)."""
        return self.gram.gathered(self.inner.B)

    @cached_property
    def E(self):
        """T (T'R1'R1 T + sigma^2 I)^-1 T', (m, c, c): the variance of b1 given the others, over sigma^2."""
        RT = self.gram.R1 @ self.T
        half = _half_inverse(RT.transpose(0, 2, 1) @ RT)[0] @ self.T.T
        return half.transpose(0, 2, 1) @ half

    @cached_property
    def RE(self):
        """R1 E: how the others shift b1."""
        return self.gram.R1 @ self.E

    @cached_property
    def B1(self):
        """The entries of B for the levels of this term, (m, c, c)."""
        return self.E + self.RE.transpose(0, 2, 1) @ self.H @ self.RE

    @cached_property
    def B(self):
        """The entries of B by places."""
        across = -np.einsum("eab,ae->be", self.RE[self.layout.level], self.gram.crossed(self.inner.B))
        return np.concatenate([np.triu(self.B1).ravel(), across.ravel(), self.inner.B])

    def levels(self):
        """The diagonal blocks of Z' V^-1 Z of each term: an iterator over its blocks and (m, c, c), the last term first."""
        yield from self.inner.levels()
        D, R1 = self.D, self.gram.R1
        yield self.layout.blocks, R1.transpose(0, 2, 1) @ (D - D @ self.H @ D) @ R1

    def diagonal(self):
        """The diagonal of B, (q,)."""
        return self.layout.joined(np.einsum("laa->la", self.B1)[:, :, None], self.inner.diagonal()[:, None])[:, 0]

    def quadratic_forms(self, Z):
        """z' B z for each row of Z, sparse: (n,)."""
        m, c = self.layout.m, self.layout.c
        Z1, total = [sparse.csr_array(Z[:, a * m : (a + 1) * m]) for a in range(c)], np.zeros(Z.shape[0])
        others = sparse.csr_array(Z[:, m * c :])
        for a, b in np.ndindex(c, c):
            total += np.asarray(scaled_columns(Z1[a], self.E[:, a, b]).multiply(Z1[b]).sum(axis=1)).ravel()
            others = others - scaled_columns(Z1[b], self.RE[:, a, b]) @ self.gram.R12[a]
        return total + self.inner.quadratic_forms(sparse.csr_array(others))


def _half_inverse(A):
    """C^-1, (m, c, c), and log|I + A| summed, C C' = I + A being Cholesky's factors for each level."""
    A = A + np.eye(A.shape[1])
    if A.shape[1] == 1:
        return 1 / np.sqrt(A), np.add.reduce(np.log(A), axis=None)
    try:
        C = np.linalg.cholesky(A)
    except np.linalg.LinAlgError:
        raise NotPositiveDefinite from None
    return np.linalg.solve(C, np.broadcast_to(np.eye(len(A[0])), A.shape)), 2 * np.sum(np.log(np.einsum("laa->la", C)))
