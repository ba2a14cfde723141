"""The elimination of one term after another at one theta: equations (1) and (2), and the variance of b given y.

The algebra and its letters are those of blocked.py. A `Stage` eliminates one term and leaves the cross-products of a smaller
model to the next one; a `Rest` factors what is left at the end. Both answer the same questions about their model: log|V| and
U' V^-1 U, Z' V^-1 u and b for any u, and entries of B, which times sigma^2 is the variance of b given y and beta. Symmetric
matrices are held by their upper triangle.
"""

from functools import cached_property
from math import log
from typing import NamedTuple

import numpy as np
from scipy import sparse
from scipy.linalg import cho_solve, solve_triangular
from scipy.linalg.lapack import dpotrf, dpotri

from .coordinates import coordinates, in_Q1
from .covariance import over_levels
from .dense import CHUNK, NotPositiveDefinite
from .elimination import Kept, symmetric_times


class Point(NamedTuple):
    """A theta as the stages need it."""

    sigma2: float
    psi: np.ndarray     # (J, J) the covariance of the random effects in one level of each term
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
        self.known, self.layout, self.sigma2 = known, known.layout, point.sigma2
        b, R1, sigma2 = known.layout.blocks, known.R1, point.sigma2
        m, c = R1.shape[:2]
        self.psi, self.T = point.psi[b, b], point.T[b, b]
        A = R1 @ self.psi @ R1.transpose(0, 2, 1)
        A[:, range(c), range(c)] += sigma2                                  # R1 psi1 R1' + sigma^2 I
        self.D = sigma2 * (1 / A if c == 1 else np.linalg.solve(A, np.broadcast_to(np.eye(c), A.shape)))
        logdet = np.add.reduce(np.log(A), axis=None) if c == 1 else np.add.reduce(np.linalg.slogdet(A)[1])
        S = known.summed(self.D)
        S += known.rest                                                     # (1)
        DU = self.D @ known.R1U
        self.inner = stage_of(known.layout.inner, point, S, known.Z2U + known.collected(DU),
                              known.UU + np.einsum("lai,laj->ij", known.R1U, DU))
        self.logdet = logdet - m * c * log(sigma2) + self.inner.logdet      # (2), without n log sigma^2
        self.cross = self.inner.cross                                       # sigma^2 U' V^-1 U

    def solve(self, u1, z2u):
        """Z1' V^-1 u, (m, c, q), Z2' V^-1 u and b2, (q2, q), for u given by Q1'u and Z2'(I - Q1 Q1')u."""
        known = self.known
        b2, N2 = self.inner.modes(z2u + known.collected(self.D @ u1))       # of sigma^2 Z2' A^-1 u
        N1 = known.R1.transpose(0, 2, 1) @ (self.D @ (u1 - known.over_levels(b2))) / self.sigma2
        return N1, N2, b2

    def modes(self, zu):
        """b = psi Z' V^-1 u and Z' V^-1 u, (q, r), for u given by Z'u."""
        z1u, z2u = self.layout.split(zu)
        u1 = in_Q1(self.known.R1, z1u)
        N1, N2, b2 = self.solve(u1, z2u - self.known.collected(u1))
        return self.layout.joined(self.psi @ N1, b2), self.layout.joined(N1, N2)

    @cached_property
    def H(self):
        """The diagonal blocks of R12 B2 R12', (m, c, c)."""
        return self.known.gathered(self.inner.B)

    @cached_property
    def E(self):
        """T (T'R1'R1 T + sigma^2 I)^-1 T', (m, c, c): the variance of b1 given the others, over sigma^2."""
        RT = self.known.R1 @ self.T
        A = RT.transpose(0, 2, 1) @ RT
        A[:, range(len(self.T)), range(len(self.T))] += self.sigma2
        return self.T @ np.linalg.solve(A, np.broadcast_to(self.T.T, A.shape))

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
        yield self.layout.blocks, R1.transpose(0, 2, 1) @ (D - D @ self.H @ D) @ R1 / self.sigma2

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
        self.layout, self.sigma2, self.T, self.S = layout, point.sigma2, point.T, S
        self.Lambda = _factor(point.T, layout.terms)
        K = _congruent(S, self.Lambda)
        q = len(K)
        K.flat[:: q + 1] += self.sigma2
        self.L, info = dpotrf(K.T, lower=1, overwrite_a=1) if q else (K, 0)
        if info:
            raise NotPositiveDefinite
        w = self.half(ZU)
        self.logdet = 2 * np.add.reduce(np.log(self.L.diagonal())) - q * log(self.sigma2)
        self.cross = UU - w.T @ w

    def half(self, s):
        """L^-1 Lambda' s."""
        s = _times(self.Lambda.T, s)
        return solve_triangular(self.L, s, lower=True, check_finite=False) if len(s) else s

    def modes(self, zu):
        """b = psi Z' V^-1 u and Z' V^-1 u, (q, r), for u given by Z'u."""
        w = _times(self.Lambda.T, zu)
        w = cho_solve((self.L, True), w, check_finite=False) if len(w) else w
        b = _times(self.Lambda, w)
        if isinstance(self.Lambda, np.ndarray) and self.Lambda.all():
            return b, w / self.Lambda[:, None]                              # for Lambda'(Z'u - S b) = sigma^2 w
        return b, (zu - symmetric_times(self.S, b)) / self.sigma2

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
        M = np.empty((m, c, c))
        if np.all(T.diagonal() > 0):                                        # T'MT = I - sigma^2 K^-1
            for i in range(c):
                for j in range(i + 1):
                    below = np.maximum(at[i], at[j]), np.minimum(at[i], at[j])
                    M[:, i, j] = M[:, j, i] = (i == j) - self.sigma2 * self.inverse[below]
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
        return M / self.sigma2

    def diagonal(self):
        """The diagonal of B, (q,)."""
        return self.B[:: self.layout.q + 1]

    def forms(self, Z):
        """z' B z for each row of Z, sparse: (n,)."""
        B, total = self.B.reshape(self.S.shape), np.empty(Z.shape[0])
        B = B + np.triu(B, 1).T
        for start in range(0, len(total), CHUNK):
            rows = sparse.csr_array(Z[start : start + CHUNK])
            total[start : start + CHUNK] = np.asarray(rows.multiply(rows @ B).sum(axis=1)).ravel()
        return total


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
    full = S + np.triu(S, 1).T
    return np.triu(Lambda.T @ (Lambda.T @ full).T)
