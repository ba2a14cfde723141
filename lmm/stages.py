"""The elimination of one term after another at one theta: equations (1) and (2), and the variance of b given y.

The algebra and its letters are those of blocked.py. A `Stage` eliminates one term and leaves the cross-products of a smaller
model to the next one; a `Rest` factors what is left at the end. Both answer the same questions about their model: log|V| and
U' V^-1 U, Z' V^-1 u and b for any u, and entries of B, which times sigma^2 is the variance of b given y and beta. Symmetric
matrices are held by their upper triangle.
"""

from functools import cached_property
from typing import NamedTuple

import numpy as np
from scipy import sparse
from scipy.linalg.blas import dtrsm
from scipy.linalg.lapack import dpotrf, dpotri, dpotrs

from .coordinates import coordinates, full, in_Q1, product
from .covariance import over_levels
from .dense import CHUNK, NotPositiveDefinite
from .elimination import Kept, symmetric, symmetric_times


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
    return Stage(coordinates(layout, G, C, rest).with_U(Z1U, Z2U, UU), point)


class Stage:
    """A term that is eliminated, and what it leaves to the `inner` one."""

    def __init__(self, known, point):
        self.known, self.layout = known, known.layout
        b, R1 = known.layout.blocks, known.R1
        c = R1.shape[1]
        self.psi, self.T = point.psi[b, b], point.T[b, b]
        A = R1 @ self.psi @ R1.transpose(0, 2, 1)
        A[:, range(c), range(c)] += 1.0                                     # R1 psi1 R1' + sigma^2 I
        half, logs = _half_inverse(A)
        self.D = half.transpose(0, 2, 1) @ half
        S = known.summed(self.D)
        S += known.rest                                                     # (1)
        DU = self.D @ known.R1U
        self.inner = stage_of(known.layout.inner, point, S, known.Z2U + known.collected(DU),
                              known.UU + product(known.R1U, DU))
        self.logdet = logs + self.inner.logdet                              # (2), without n log sigma^2
        self.cross = self.inner.cross                                       # sigma^2 U' V^-1 U

    def solve(self, u1, z2u):
        """Z1' V^-1 u, (m, c, q), Z2' V^-1 u and b2, (q2, q), for u given by Q1'u and Z2'(I - Q1 Q1')u."""
        known = self.known
        b2, N2 = self.inner.modes(z2u + known.collected(self.D @ u1))       # of sigma^2 Z2' A^-1 u
        N1 = known.R1.transpose(0, 2, 1) @ (self.D @ (u1 - known.over_levels(b2)))
        return N1, N2, b2

    def modes(self, zu):
        """b = psi Z' V^-1 u and Z' V^-1 u, (q, r), for u given by Z'u."""
        z1u, z2u = self.layout.split(zu)
        u1 = in_Q1(self.known.R1, z1u)
        N1, N2, b2 = self.solve(u1, z2u - self.known.collected(u1))
        return self.layout.joined(self.psi @ N1, b2), self.layout.joined(N1, N2)

    def traces(self, entries, rest):
        """tr(M Z_a), (q,), and tr(M Z_a M Z_b), (q, q), for M = Z' V^-1 Z, where nothing but a `Rest` is left.

        For the entries of psi of this term, pairs of its effects, and then the others, whose `Pairs` are `rest`. M is
        block-diagonal but for a part of rank q2, so that no matrix larger than (q2, q2) is needed: with
        X = sigma^2 Z1' A^-1 Z2, M11 = own - X B X' and M12 = X (I - psi2 M22). O(q2^3 + pairs).
        """
        B, shrunk, M22 = self.inner.whole()                                 # before its B takes the place of K^-1
        W = self.known.R1.transpose(0, 2, 1) @ self.D
        own, X = W @ self.known.R1, self.known.weighted(W)
        if isinstance(X[0], np.ndarray):
            low = np.stack([[np.einsum("mq,mq->m", X_i @ B, X_j) for X_j in X] for X_i in X]).transpose(2, 0, 1)
        else:
            low = W @ self.H @ W.transpose(0, 2, 1)                         # the diagonal blocks of X B X'
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
        return self.known.gathered(self.inner.B)

    @cached_property
    def E(self):
        """T (T'R1'R1 T + sigma^2 I)^-1 T', (m, c, c): the variance of b1 given the others, over sigma^2."""
        RT = self.known.R1 @ self.T
        A = RT.transpose(0, 2, 1) @ RT
        A[:, range(len(self.T)), range(len(self.T))] += 1.0
        half = _half_inverse(A)[0] @ self.T.T
        return half.transpose(0, 2, 1) @ half

    @cached_property
    def RE(self):
        """R1 E: how the others shift b1."""
        return self.known.R1 @ self.E

    @cached_property
    def own(self):
        """The entries of B for the levels of this term, (m, c, c)."""
        return self.E + self.RE.transpose(0, 2, 1) @ self.H @ self.RE

    @cached_property
    def B(self):
        """The entries of B by places."""
        across = -np.einsum("eab,ae->be", self.RE[self.layout.level], self.known.crossed(self.inner.B))
        return np.concatenate([np.triu(self.own).ravel(), across.ravel(), self.inner.B])

    def levels(self):
        """The diagonal blocks of Z' V^-1 Z of each term: an iterator over its blocks and (m, c, c), the last term first."""
        yield from self.inner.levels()
        D, R1 = self.D, self.known.R1
        yield self.layout.blocks, R1.transpose(0, 2, 1) @ (D - D @ self.H @ D) @ R1

    def diagonal(self):
        """The diagonal of B, (q,)."""
        return self.layout.joined(np.einsum("laa->la", self.own)[:, :, None], self.inner.diagonal()[:, None])[:, 0]

    def forms(self, Z):
        """z' B z for each row of Z, sparse: (n,)."""
        m, c = self.layout.m, self.layout.c
        Z1, total = [sparse.csr_array(Z[:, a * m : (a + 1) * m]) for a in range(c)], np.zeros(Z.shape[0])
        others = sparse.csr_array(Z[:, m * c :])
        for a, b in np.ndindex(c, c):
            total += np.asarray(_scaled(Z1[a], self.E[:, a, b]).multiply(Z1[b]).sum(axis=1)).ravel()
            others = others - _scaled(Z1[b], self.RE[:, a, b]) @ self.known.R12[a]
        return total + self.inner.forms(sparse.csr_array(others))


class Rest:
    """The columns that are left at the end: K = Lambda' S Lambda + sigma^2 I = L L', S being their cross-products."""

    def __init__(self, layout, point, S, ZU, UU):
        self.layout, self.T, self.S = layout, point.T, S
        self.Lambda = _factor(point.T, layout.terms)
        K = _congruent(S, self.Lambda)
        q = len(K)
        K.flat[:: q + 1] += 1.0
        self.L, info = dpotrf(K.T, lower=1, overwrite_a=1) if q else (K, 0)
        if info:
            raise NotPositiveDefinite
        w = self.half(ZU)
        self.logdet = 2 * np.add.reduce(np.log(self.L.diagonal()))
        self.cross = UU - w.T @ w

    def half(self, s):
        """L^-1 Lambda' s."""
        s = _times(self.Lambda.T, s)
        return dtrsm(1.0, self.L, s, lower=1) if len(s) else s

    def modes(self, zu):
        """b = psi Z' V^-1 u and Z' V^-1 u, (q, r), for u given by Z'u."""
        w = _times(self.Lambda.T, zu)
        w = dpotrs(self.L, w, lower=1)[0] if len(w) else w
        b = _times(self.Lambda, w)
        if isinstance(self.Lambda, np.ndarray) and self.Lambda.all():
            return b, w / self.Lambda[:, None]                              # for Lambda'(Z'u - S b) = sigma^2 w
        return b, zu - symmetric_times(self.S, b)

    @cached_property
    def inverse(self):
        """K^-1, (q, q), its lower triangle; zeros above, as K has them."""
        return dpotri(self.L, lower=1)[0] if len(self.L) else self.L

    @cached_property
    def B(self):
        """Lambda K^-1 Lambda', by places. In the place of K^-1."""
        B = self.inverse.T
        del self.inverse
        if not isinstance(self.Lambda, np.ndarray):
            return _congruent(B, self.Lambda.T).ravel()
        B *= self.Lambda
        B *= self.Lambda[:, None]
        return B.ravel()

    def whole(self):
        """B, I - psi Z' V^-1 Z and Z' V^-1 Z, (q, q)."""
        full, Lambda, eye = symmetric(self.inverse), self.Lambda, np.eye(self.layout.q)
        if isinstance(Lambda, np.ndarray) and Lambda.all():
            B = full * Lambda * Lambda[:, None]
            return B, full * Lambda[:, None] / Lambda, (eye - full) / Lambda / Lambda[:, None]
        B, S = _times(Lambda, _times(Lambda, full).T), symmetric(self.S)
        shrunk = eye - B @ S
        return B, shrunk, S @ shrunk

    def levels(self):
        """The diagonal blocks of Z' V^-1 Z of each term: an iterator over its blocks and (m, c, c)."""
        start = 0
        for b, m in self.layout.terms:
            at = start + m * np.arange(b.stop - b.start)[:, None] + np.arange(m)
            yield b, self._levels_of(at, self.T[b, b])
            start += at.size

    def _levels_of(self, at, T):
        """The same of one term, its columns being `at`, (c, m)."""
        c, m = at.shape
        if c == 1 and T[0, 0] > 0:
            return (1 - self.inverse.diagonal()[at[0]])[:, None, None] / T**2
        M = np.empty((m, c, c))
        if np.all(T.diagonal() > 0):                                        # T'MT = I - sigma^2 K^-1
            for i in range(c):
                for j in range(i + 1):
                    below = np.maximum(at[i], at[j]), np.minimum(at[i], at[j])
                    M[:, i, j] = M[:, j, i] = (i == j) - self.inverse[below]
            half = np.linalg.solve(T.T, M)
            return np.linalg.solve(T.T, half.transpose(0, 2, 1))
        columns = at.ravel()
        S = self.S[:, columns] + self.S[columns].T
        S[columns, np.arange(len(columns))] *= 0.5
        V = self.half(S)                                                    # S - S B S, without forming it
        for i in range(c):
            for j in range(c):
                one, other = slice(i * m, (i + 1) * m), slice(j * m, (j + 1) * m)
                M[:, i, j] = S[at[i], j * m + np.arange(m)] - np.einsum("kl,kl->l", V[:, one], V[:, other])
        return M

    def diagonal(self):
        """The diagonal of B, (q,)."""
        return self.B[:: self.layout.q + 1]

    def forms(self, Z):
        """z' B z for each row of Z, sparse: (n,)."""
        B, total = self.B.reshape(self.S.shape), np.empty(Z.shape[0])
        B = symmetric(B)
        for start in range(0, len(total), CHUNK):
            rows = sparse.csr_array(Z[start : start + CHUNK])
            total[start : start + CHUNK] = np.asarray(rows.multiply(rows @ B).sum(axis=1)).ravel()
        return total


def _half_inverse(A):
    """C^-1, (m, c, c), and log|A| summed, C C' = A being Cholesky's factors for each level."""
    if A.shape[1] == 1:
        return 1 / np.sqrt(A), np.add.reduce(np.log(A), axis=None)
    try:
        C = np.linalg.cholesky(A)
    except np.linalg.LinAlgError:
        raise NotPositiveDefinite from None
    return np.linalg.solve(C, np.broadcast_to(np.eye(len(A[0])), A.shape)), 2 * np.sum(np.log(np.einsum("laa->la", C)))


def _factor(T, terms):
    """Lambda: T x I over the levels of these terms; a vector where it is diagonal."""
    if any(np.tril(T[b, b], -1).any() for b, _ in terms):
        levels = {j: m for b, m in terms for j in range(b.start, b.stop)}
        return over_levels(T, [b for b, _ in terms], levels)
    return np.concatenate([np.zeros(0), *(np.repeat(T[b, b].diagonal(), m) for b, m in terms)])


def _scaled(Z, by):
    """Z, sparse, its columns multiplied by these numbers."""
    return sparse.csr_array((Z.data * by[Z.indices], Z.indices, Z.indptr), Z.shape)


def _times(Lambda, X):
    """Lambda X."""
    return Lambda[:, None] * X if isinstance(Lambda, np.ndarray) else Lambda @ X


def _congruent(S, Lambda):
    """Lambda' S Lambda, its upper triangle, of S by its upper triangle."""
    if isinstance(Lambda, np.ndarray):
        product = S * Lambda
        product *= Lambda[:, None]
        return product
    return np.triu(Lambda.T @ (Lambda.T @ symmetric(S)).T)
