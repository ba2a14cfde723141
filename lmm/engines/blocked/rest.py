"""The columns of Z that are left when terms have been eliminated, at one theta: one dense Cholesky factor.

Answers what a `Stage` does, see stages.py; sigma is the unit. Symmetric matrices are held by their upper triangle.
"""

from functools import cached_property

import numpy as np
from scipy import sparse
from scipy.linalg.blas import dtrsm
from scipy.linalg.lapack import dpotrf, dpotri, dpotrs

from ...model import over_levels
from ..algebra import symmetric, symmetric_times
from ..contract import NotPositiveDefinite

CHUNK = 1000

LARGE = 1e-4            # a column's variance of the whole, relative to sigma^2, from which it is divided by without loss


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
    def _inverted(self):
        """The diagonal blocks of K^-1 of each term, (m, c, c), and B = Lambda K^-1 Lambda' by places, in the memory of K^-1."""
        inverse = dpotri(self.L, lower=1)[0] if len(self.L) else self.L     # its lower triangle; zeros above, as K has them
        blocks = []
        for at in self.columns:
            c, m = at.shape
            of_term = np.empty((m, c, c))
            for i, j in np.ndindex(c, c):
                of_term[:, i, j] = inverse[np.maximum(at[i], at[j]), np.minimum(at[i], at[j])]
            blocks.append(of_term)
        B, Lambda = inverse.T, self.Lambda
        if not isinstance(Lambda, np.ndarray):
            return blocks, _congruent(B, Lambda.T).ravel()
        B *= Lambda
        B *= Lambda[:, None]
        return blocks, B.ravel()

    @property
    def B(self):
        """B = Lambda K^-1 Lambda' by places."""
        return self._inverted[1]

    @cached_property
    def columns(self):
        """The columns of each term, (c, m)."""
        found, start = [], 0
        for b, m in self.layout.terms:
            found.append(start + m * np.arange(b.stop - b.start)[:, None] + np.arange(m))
            start += found[-1].size
        return found

    def whole(self):
        """B, I - psi Z' V^-1 Z and Z' V^-1 Z, (q, q).

        Z' V^-1 Z is S - S B S, and Lambda^-1 (I - K^-1) Lambda^-1: the one cancels where standard deviations are large, the
        other where they are small.
        """
        Lambda, S, eye = self.Lambda, symmetric(self.S), np.eye(self.layout.q)
        inverse = symmetric(dpotri(self.L, lower=1)[0]) if len(self.L) else self.L
        B = _times(Lambda, _times(Lambda, inverse).T)
        if not isinstance(Lambda, np.ndarray):
            shrunk = eye - B @ S
            return B, shrunk, S @ shrunk
        large = Lambda**2 * S.diagonal() > LARGE
        by = np.where(large, Lambda, 1.0)
        shrunk = np.where(large, Lambda[:, None] * inverse / by, eye - B @ S)
        return B, shrunk, np.where(large & large[:, None], (eye - inverse) / by / by[:, None], S @ shrunk)

    def levels(self):
        """The diagonal blocks of Z' V^-1 Z of each term: an iterator over its blocks and (m, c, c)."""
        for (b, _), at, inverse in zip(self.layout.terms, self.columns, self._inverted[0]):
            yield b, self._levels_of(at, self.T[b, b], inverse)

    def _levels_of(self, at, T, inverse):
        """The same of one term, its columns being `at`, (c, m), and the blocks of K^-1 there `inverse`; see `whole`."""
        c, m = at.shape
        S = self.S.diagonal()[at]
        if np.all(T.diagonal() ** 2 * S.mean(axis=1) > LARGE):              # T'MT = I - sigma^2 K^-1
            if c == 1:
                return (1 - inverse) / T**2
            half = np.linalg.solve(T.T, np.eye(c) - inverse)
            return np.linalg.solve(T.T, half.transpose(0, 2, 1))
        columns = at.ravel()
        S = self.S[:, columns] + self.S[columns].T
        S[columns, np.arange(len(columns))] *= 0.5
        V, M = self.half(S), np.empty((m, c, c))                            # S - S B S, without forming it
        for i, j in np.ndindex(c, c):
            one, other = slice(i * m, (i + 1) * m), slice(j * m, (j + 1) * m)
            M[:, i, j] = S[at[i], j * m + np.arange(m)] - np.einsum("kl,kl->l", V[:, one], V[:, other])
        return M

    def diagonal(self):
        """The diagonal of B, (q,)."""
        return self.B[:: self.layout.q + 1]

    def quadratic_forms(self, Z):
        """z' B z for each row of Z, sparse: (n,)."""
        B, total = self.B.reshape(self.S.shape), np.empty(Z.shape[0])
        B = symmetric(B)
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
