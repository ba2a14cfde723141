"""What the blocked engine finds at one theta: equations (1) and (2), derivatives, and the variance of b given y.

The algebra and its letters are those of blocked.py. Symmetric matrices are held by their upper triangle, zeros below.
"""

from functools import cached_property
from math import inf, log

import numpy as np
from scipy import sparse
from scipy.linalg import cho_solve, solve_triangular
from scipy.linalg.lapack import dpotrf, dpotri

from .covariance import over_levels
from .dense import CHUNK, Evaluation, NotPositiveDefinite


class State:
    """An engine at one phi: equations (1) and (2)."""

    def __init__(self, engine, phi):
        self.engine, self.sigma2 = engine, phi[0]
        sigma2, covariance, first = phi[0], engine.covariance, engine.first
        if not (0 < sigma2 < inf and np.isfinite(phi).all()):
            raise OverflowError
        psi = covariance.psi_of(phi)
        m, c = engine.R1.shape[:2]
        A = engine.R1 @ psi[first, first] @ engine.R1.transpose(0, 2, 1)
        A[:, range(c), range(c)] += sigma2                                  # R1 psi1 R1' + sigma^2 I
        self.D = sigma2 * (1 / A if c == 1 else np.linalg.solve(A, np.broadcast_to(np.eye(c), A.shape)))
        logdet = np.add.reduce(np.log(A), axis=None) if c == 1 else np.add.reduce(np.linalg.slogdet(A)[1])
        self.T = covariance.root(covariance.theta(0.0, psi))
        self.Lambda = _factor(self.T, [b for b, _ in covariance.terms if b != first], np.diff(engine.ends))
        self.S = engine.summed(self.D)
        self.S += engine.rest                                               # (1)
        K = _congruent(self.S, self.Lambda)
        p2 = len(K)
        K.flat[:: p2 + 1] += sigma2
        self.L, info = dpotrf(K.T, lower=1, overwrite_a=1) if p2 else (K, 0)
        if info:
            raise NotPositiveDefinite
        DU = self.D @ engine.R1U
        w = self.half(engine.Z2U + engine.collected(DU))                    # L^-1 Lambda2' sigma^2 Z2' A^-1 U
        cross = engine.UU + np.einsum("lai,laj->ij", engine.R1U, DU) - w.T @ w
        logdet += 2 * np.add.reduce(np.log(self.L.diagonal())) + (engine.n - m * c - p2) * log(sigma2)
        if not logdet < inf:
            raise OverflowError
        self.evaluation = Evaluation(float(logdet), cross / sigma2, None)

    def half(self, s):
        """L^-1 Lambda2' s."""
        s = _times(self.Lambda.T, s)
        return solve_triangular(self.L, s, lower=True, check_finite=False) if len(s) else s

    def solve(self, u1, z2u):
        """Z1' V^-1 u, (m, c, q), and Z2' V^-1 u, (p2, q), for u given by Q1'u and Z2'(I - Q1 Q1')u."""
        engine = self.engine
        s = z2u + engine.collected(self.D @ u1)                             # sigma^2 Z2' A^-1 u
        w = _times(self.Lambda.T, s)
        w = cho_solve((self.L, True), w, check_finite=False) if len(w) else w
        b = _times(self.Lambda, w)
        inner = self.D @ (u1 - engine.over_levels(b))
        if isinstance(self.Lambda, np.ndarray) and self.Lambda.all():
            N2 = w / self.Lambda[:, None]                                   # for Lambda2'(s - S b) = sigma^2 w
        else:
            N2 = (s - _symmetric_times(self.S, b)) / self.sigma2
        return engine.R1.transpose(0, 2, 1) @ inner / self.sigma2, N2

    def products_with_U(self):
        """Z' V^-1 U, (p, r)."""
        engine = self.engine
        return engine.joined(*self.solve(engine.R1U, engine.Z2U))

    def products_with_Z(self, v):
        """Z' V^-1 Z v, (p, q), for v (p, q)."""
        engine, (v1, v2) = self.engine, self.engine.split(v)
        return engine.joined(*self.solve(engine.R1 @ v1 + engine.over_levels(v2), _symmetric_times(engine.rest, v2)))

    @cached_property
    def inverse(self):
        """K^-1, (p2, p2), its lower triangle; zeros above, as K has them."""
        return dpotri(self.L, lower=1)[0] if len(self.L) else self.L

    @cached_property
    def B(self):
        """Lambda2 K^-1 Lambda2', (p2, p2): sigma^2 times this is the variance of b2 given y and beta. In the place of K^-1."""
        B = self.inverse.T
        del self.inverse
        if not isinstance(self.Lambda, np.ndarray):
            return _congruent(B, self.Lambda.T)
        B *= self.Lambda
        B *= self.Lambda[:, None]
        return B

    def levels_of_first(self):
        """The diagonal blocks of Z1' V^-1 Z1, (m, c, c)."""
        D, R1 = self.D, self.engine.R1
        return R1.transpose(0, 2, 1) @ (D - D @ self.engine.gathered(self.B) @ D) @ R1 / self.sigma2

    def levels_of(self, blocks, m):
        """The diagonal blocks of Z2' V^-1 Z2 of one term, (m, c, c)."""
        c, T, ends, first = blocks.stop - blocks.start, self.T[blocks, blocks], self.engine.ends, self.engine.first
        start = ends[blocks.start] - (ends[first.stop] - ends[first.start] if blocks.start > first.start else 0)     # in Z2
        at = start + m * np.arange(c)[:, None] + np.arange(m)
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

    def exact_information(self, pulled, reml):
        """As `Dense.information`, from Z'WZ whole."""
        M = self.products_with_Z(np.eye(self.engine.p))
        return self.engine.pairs.information(M, self.products_with_U(), pulled, reml)

    def information(self, pulled, reml):
        """tr(W V_a), y'P V_a P y and y'P V_a P V_b P y / 2 for the entries a of psi; see `Dense.information`."""
        engine, covariance = self.engine, self.engine.covariance
        d, F = pulled(self.products_with_U())
        starts = engine.ends
        levels = np.diff(starts)
        traces = np.zeros((len(levels),) * 2)
        for b, _ in sorted(covariance.terms, key=lambda term: term[0] == engine.first):     # the first last: B replaces K^-1
            m = levels[b.start]
            M = self.levels_of_first() if b == engine.first else self.levels_of(b, m)
            traces[b, b] = M.sum(axis=0)
            if reml:
                F_b = F[:, starts[b.start] : starts[b.stop]].reshape(len(F), b.stop - b.start, m)
                traces[b, b] -= np.einsum("kil,kjl->ij", F_b, F_b)
        by_block = np.split(d, starts[1:-1])
        rows, columns = covariance.rows, covariance.columns
        twice = np.where(rows == columns, 1.0, 2.0)
        t = twice * traces[rows, columns]
        y_t = twice * [by_block[i] @ by_block[j] for i, j in zip(rows, columns)]
        v = np.zeros((len(d), len(rows)))                                   # V_a P y = Z v_a
        for a, (i, j) in enumerate(zip(rows, columns)):
            v[starts[i] : starts[i + 1], a] = by_block[j]
            v[starts[j] : starts[j + 1], a] = by_block[i]
        return t, y_t, 0.5 * (v.T @ self.products_with_Z(v) - (F @ v).T @ (F @ v)), True


class BlockedPosterior:
    """Var[b | y, beta]: with E = (psi1^-1 sigma^2 + Z1'Z1)^-1, over sigma^2 that is E + E Z1'Z2 B Z2'Z1 E for the first term,
    B for the others, and -E Z1'Z2 B between them.
    """

    def __init__(self, state):
        self.state, engine = state, state.engine
        T, R1 = state.T[engine.first, engine.first], engine.R1
        A = T.T @ R1.transpose(0, 2, 1) @ R1 @ T
        A[:, range(len(T)), range(len(T))] += state.sigma2
        self.E = T @ np.linalg.solve(A, np.broadcast_to(T.T, A.shape))      # (m, c, c)
        self.RE = R1 @ self.E                                               # Q1'Z1 E

    def sds(self):
        """The standard deviations, (p,)."""
        state, engine = self.state, self.state.engine
        own = self.E + self.RE.transpose(0, 2, 1) @ engine.gathered(state.B) @ self.RE
        v1 = np.einsum("laa->la", own)[:, :, None]
        return np.sqrt(state.sigma2 * np.maximum(engine.joined(v1, state.B.diagonal()[:, None])[:, 0], 0.0))

    def forms(self, Z):
        """z' Var z for each row of Z, sparse, in the order of the blocks: (n,)."""
        state, engine = self.state, self.state.engine
        m, c = engine.R1.shape[:2]
        i, j = engine.ends[engine.first.start], engine.ends[engine.first.stop]
        own, others = Z[:, i:j], sparse.csr_array(sparse.hstack([Z[:, :i], Z[:, j:]], format="csr"))
        z = np.stack([np.asarray(own[:, a * m : (a + 1) * m].sum(axis=1)).ravel() for a in range(c)], axis=1)
        has_level = sparse.csr_array(sum(abs(own[:, a * m : (a + 1) * m]) for a in range(c)))
        level = np.zeros(Z.shape[0], int)
        level[np.diff(has_level.indptr) > 0] = has_level.indices
        total = np.einsum("na,nab,nb->n", z, self.E[level], z)
        coefficients = np.einsum("nab,nb->na", self.RE[level], z)
        for a, R in enumerate(engine.R12):
            others = others - sparse.csr_array(R[level].multiply(coefficients[:, a][:, None]))
        B = state.B + np.triu(state.B, 1).T
        for start in range(0, len(total), CHUNK):
            rows = sparse.csr_array(others[start : start + CHUNK])
            total[start : start + CHUNK] += np.asarray(rows.multiply(rows @ B).sum(axis=1)).ravel()
        return state.sigma2 * total


def _factor(T, terms, levels):
    """Lambda2: T x I over the levels of these terms; a vector where it is diagonal."""
    if any(np.tril(T[b, b], -1).any() for b in terms):
        return over_levels(T, terms, levels)
    return np.concatenate([np.zeros(0), *(np.repeat(T[b, b].diagonal(), levels[b]) for b in terms)])


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


def _symmetric_times(S, X):
    """S X, S being held by its upper triangle."""
    return S @ X + S.T @ X - S.diagonal()[:, None] * X
