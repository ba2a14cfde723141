"""The engine for many levels: the largest term is eliminated in closed form, then one dense Cholesky factor of the rest.

Let Z1 = Q1 R1 be the columns of the term with most levels, Z2 the others, A = Z1 psi1 Z1' + sigma^2 I, so that
V = A + Z2 psi2 Z2', psi2 = Lambda2 Lambda2'. As each row has one level of the first term, R1 and

    D = sigma^2 (R1 psi1 R1' + sigma^2 I)^-1

are block-diagonal, a block of c x c for each level. With R12 = Q1'Z2 and U = [Q_X e]:

    (1)  S = sigma^2 Z2' A^-1 Z2 = (Z2'Z2 - R12'R12) + R12' D R12,    likewise Z2' A^-1 U and U' A^-1 U
         K = Lambda2' S Lambda2 + sigma^2 I = L L'
         sigma^2 U' V^-1 U = sigma^2 U' A^-1 U - |L^-1 Lambda2' (sigma^2 Z2' A^-1 U)|^2
    (2)  log|V| = log|R1 psi1 R1' + sigma^2 I| + log|K| + (n - p) log sigma^2

Only the sum for S meets the levels of Z1, and its pattern does not depend on theta: the pairs of columns of Z2 that meet in a
level are found once, so that an evaluation is one sparse product with D and a Cholesky factorisation of p2 columns: O(p2^3 +
pairs), independent of n, with about 32 p2^2 bytes. Sources: the elimination of the largest factor first, Bates, Maechler,
Bolker and Walker (2015), section 5; average information in place of (7), Gilmour, Thompson and Cullis (1995).
"""

import os
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import inf, log

import numpy as np
from scipy import sparse
from scipy.linalg import cho_solve, solve_triangular
from scipy.linalg.lapack import dpotrf, dpotri

from .covariance import Covariance
from .dense import CHUNK, Evaluation, NotPositiveDefinite, make_pairs
from .errors import LMMError

MOST_EXACT = 1500       # columns of Z up to which second derivatives are exact
ROUNDING = 1e-12        # of a level's cross-product, below which what its effects before leave of one is zero


@dataclass(frozen=True, eq=False)
class Blocked:
    """What stands for Z and U: cross-products, the first term's in the coordinates of Q1.

    m is the number of levels of the first term, c the number of its effects, p2 the number of columns of Z2, r that of U.
    Symmetric matrices are held by their upper triangle, zeros below.
    """

    covariance: Covariance
    first: slice = field(repr=False)        # the first term's blocks
    matrices: tuple = field(repr=False)     # the blocks of Z
    U: np.ndarray = field(repr=False)       # (n, r)
    R1: np.ndarray = field(repr=False)      # (m, c, c) upper triangular
    R12: tuple = field(repr=False)          # c sparse matrices, (m, p2)
    meetings: dict = field(repr=False)      # (a, b) to (p2 p2, m) sparse: its product with d is R12_a' diag(d) R12_b
    rest: np.ndarray = field(repr=False)    # (p2, p2) Z2'Z2 - R12'R12
    R1U: np.ndarray = field(repr=False)     # (m, c, r) Q1'U
    Z2U: np.ndarray = field(repr=False)     # (p2, r) Z2'U - R12'Q1'U
    UU: np.ndarray = field(repr=False)      # (r, r) U'U - U'Q1 Q1'U

    def __call__(self, phi):
        """log|V| and U' V^-1 U at `phi`: sigma^2, then the entries of psi."""
        return State(self, phi).evaluation

    @property
    def exact(self):
        """Whether second derivatives are those of nll, and not average information: O(p^3) work and p x p numbers."""
        return self.p <= MOST_EXACT

    @property
    def n(self):
        """The number of rows."""
        return len(self.U)

    @property
    def p(self):
        """The number of columns of Z."""
        return sum(Z.shape[1] for Z in self.matrices)

    @cached_property
    def lengths(self):
        """(J,): the mean squared length of the columns of Z of each block."""
        return np.array([np.sum(Z.data**2) / Z.shape[1] for Z in self.matrices])

    @property
    def spread(self):
        """e'e, e being the last column of U."""
        return float(self.U[:, -1] @ self.U[:, -1])

    def responding(self, e, low):
        """The same engine with e + low in place of the last column of U. O(n)."""
        return _with_U(replace(self, U=np.column_stack([self.U[:, :-1], e + low])))

    def combined(self, A):
        """The same engine for U A in place of U."""
        return replace(self, U=self.U @ A, R1U=self.R1U @ A, Z2U=self.Z2U @ A, UU=A.T @ self.UU @ A)

    def reordered(self, order, entries, old):
        """The same engine with the blocks in another order within their terms: block i is that of number order[i]."""
        return eliminate([self.matrices[j] for j in order], self.U, self.covariance)

    def information(self, phi, state, pulled, reml):
        """First derivatives of nll in phi by their two parts, and (7) or average information; see `Dense.information`."""
        state = state or State(self, phi)
        return state.exact_information(pulled, reml) if self.exact else state.information(pulled, reml)

    @cached_property
    def pairs(self):
        """The `Pairs` of all columns of Z, in the order of the blocks."""
        block = np.repeat(np.arange(len(self.matrices)), [Z.shape[1] for Z in self.matrices])
        return make_pairs(block, list(zip(self.covariance.rows, self.covariance.columns)))

    def posterior(self, phi, Lambda):
        """The variance of b given y and beta at `phi`: a `BlockedPosterior`."""
        return BlockedPosterior(State(self, phi))

    def products_with_U(self, phi):
        """Z' V^-1 U, (p, r), columns of Z in the order of the blocks."""
        return self.joined(*State(self, phi).solve(self.R1U, self.Z2U))

    def split(self, v):
        """(m, c, q) and (p2, q): the parts of v, (p, q), its rows in the order of the blocks."""
        parts = np.split(v, np.cumsum([Z.shape[1] for Z in self.matrices])[:-1])
        inside = parts[self.first]
        return np.stack(inside, axis=1), np.concatenate([*parts[: self.first.start], *parts[self.first.stop :], v[:0]])

    def joined(self, v1, v2):
        """The same back."""
        before = sum(Z.shape[1] for Z in self.matrices[: self.first.start])
        return np.concatenate([v2[:before], *v1.transpose(1, 0, 2), v2[before:]])

    def summed(self, D):
        """R12' D R12, (p2, p2), for D (m, c, c)."""
        total = sum(P @ np.ascontiguousarray(D[:, a, b]) for (a, b), P in self.meetings.items())
        return np.asarray(total).reshape(self.rest.shape)

    def gathered(self, B):
        """The diagonal blocks of R12 B R12', (m, c, c)."""
        half, H = B.ravel(), np.empty_like(self.R1)
        half[:: len(B) + 1] *= 0.5                                          # B's own diagonal; put back below
        for (a, b), P in self.meetings.items():
            H[:, a, b] = P.T @ half
        half[:: len(B) + 1] *= 2.0
        return H + H.transpose(0, 2, 1)

    def over_levels(self, v2):
        """R12 v2, (m, c, q)."""
        return np.stack([R @ v2 for R in self.R12], axis=1)

    def collected(self, v1):
        """R12' v1, (p2, q)."""
        return sum(R.T @ v1[:, a] for a, R in enumerate(self.R12))


class State:
    """An engine at one phi: equations (1) and (2)."""

    def __init__(self, engine, phi):
        self.engine, self.sigma2 = engine, phi[0]
        sigma2, covariance, first = phi[0], engine.covariance, engine.first
        if not (0 < sigma2 < inf and np.isfinite(phi).all()):
            raise OverflowError
        self.psi = psi = covariance.psi_of(phi)
        m, c = engine.R1.shape[:2]
        A = engine.R1 @ psi[first, first] @ engine.R1.transpose(0, 2, 1)
        A[:, range(c), range(c)] += sigma2                                  # R1 psi1 R1' + sigma^2 I
        self.D = sigma2 * (1 / A if c == 1 else np.linalg.solve(A, np.broadcast_to(np.eye(c), A.shape)))
        logdet = np.add.reduce(np.log(A), axis=None) if c == 1 else np.add.reduce(np.linalg.slogdet(A)[1])
        theta = covariance.theta(0.0, psi)
        self.T, self.others = covariance.root(theta), _others(engine)
        self.Lambda = _factor(self.T, self.others, engine.matrices)         # a vector where it is diagonal
        self.S = engine.rest + engine.summed(self.D)                        # (1)
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
        self.evaluation = Evaluation(float(logdet), cross / sigma2, None, self)

    def half(self, s):
        """L^-1 Lambda2' s."""
        s = _times(self.Lambda.T, s)
        return solve_triangular(self.L, s, lower=True, check_finite=False) if len(s) else s

    def solve(self, u1, z2u):
        """Z1' V^-1 u, (m, c, q), and Z2' V^-1 u, (p2, q), for u given by Q1'u and Z2'(I - Q1 Q1')u."""
        engine = self.engine
        s = z2u + engine.collected(self.D @ u1)                             # sigma^2 Z2' A^-1 u
        w = _times(self.Lambda.T, s)
        b = _times(self.Lambda, cho_solve((self.L, True), w, check_finite=False) if len(w) else w)
        inner = self.D @ (u1 - engine.over_levels(b))
        return engine.R1.transpose(0, 2, 1) @ inner / self.sigma2, (s - _symmetric_times(self.S, b)) / self.sigma2

    @cached_property
    def inverse(self):
        """K^-1, (p2, p2), its lower triangle; zeros above, as K has them."""
        return dpotri(self.L, lower=1)[0] if len(self.L) else self.L

    @cached_property
    def B(self):
        """Lambda2 K^-1 Lambda2', (p2, p2): sigma^2 times this is the variance of b2 given y and beta."""
        return _congruent(self.inverse.T, self.Lambda.T)

    def levels_of_first(self):
        """The diagonal blocks of Z1' V^-1 Z1, (m, c, c)."""
        D, R1 = self.D, self.engine.R1
        return R1.transpose(0, 2, 1) @ (D - D @ self.engine.gathered(self.B) @ D) @ R1 / self.sigma2

    def levels_of(self, start, blocks, m):
        """The diagonal blocks of Z2' V^-1 Z2 of one term, (m, c, c), its columns of Z2 beginning at `start`."""
        c, T = blocks.stop - blocks.start, self.T[blocks, blocks]
        at = start + m * np.arange(c)[:, None] + np.arange(m)
        M = np.empty((m, c, c))
        if np.all(T.diagonal() > 0):                                        # T'MT = I - sigma^2 K^-1
            for i in range(c):
                for j in range(i + 1):
                    M[:, i, j] = M[:, j, i] = (i == j) - self.sigma2 * self.inverse[np.maximum(at[i], at[j]), np.minimum(at[i], at[j])]
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
        engine = self.engine
        N = engine.joined(*self.solve(engine.R1U, engine.Z2U))
        v1, v2 = engine.split(np.eye(engine.p))
        M = engine.joined(*self.solve(engine.R1 @ v1 + engine.over_levels(v2), _symmetric_times(engine.rest, v2)))
        d, F = pulled(N)
        M_P = M - F.T @ F
        traced, pairs = M_P if reml else M, engine.pairs
        return pairs.traces(traced), pairs.forms(d), pairs.double_forms(d, M_P) - 0.5 * pairs.squares(traced), False

    def information(self, pulled, reml):
        """tr(W V_a), y'P V_a P y and y'P V_a P V_b P y / 2 for the entries a of psi; see `Dense.information`."""
        engine, covariance = self.engine, self.engine.covariance
        d, F = pulled(engine.joined(*self.solve(engine.R1U, engine.Z2U)))
        levels = [Z.shape[1] for Z in engine.matrices]
        starts = np.cumsum([0, *levels])
        traces = np.zeros((len(levels),) * 2)
        for b, _ in covariance.terms:
            m = levels[b.start]
            M = self.levels_of_first() if b == engine.first else self.levels_of(self.others[b.start], b, m)
            traces[b, b] = M.sum(axis=0)
            if reml:
                F_b = F[:, starts[b.start] : starts[b.stop]].reshape(len(F), b.stop - b.start, m)
                traces[b, b] -= np.einsum("kil,kjl->ij", F_b, F_b)
        by_block = [d[i:j] for i, j in zip(starts, starts[1:])]
        rows, columns = covariance.rows, covariance.columns
        twice = np.where(rows == columns, 1.0, 2.0)
        t = twice * traces[rows, columns]
        y_t = twice * [by_block[i] @ by_block[j] for i, j in zip(rows, columns)]
        v = np.zeros((len(d), len(rows)))                                   # V_a P y = Z v_a
        for a, (i, j) in enumerate(zip(rows, columns)):
            v[starts[i] : starts[i + 1], a] = by_block[j]
            v[starts[j] : starts[j + 1], a] = by_block[i]
        v1, v2 = engine.split(v)
        Mv = engine.joined(*self.solve(engine.R1 @ v1 + engine.over_levels(v2), _symmetric_times(engine.rest, v2)))
        return t, y_t, 0.5 * (v.T @ Mv - (F @ v).T @ (F @ v)), True


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
        ends = np.cumsum([0, *(block.shape[1] for block in engine.matrices)])
        i, j = ends[engine.first.start], ends[engine.first.stop]
        own, others = Z[:, i:j], sparse.csr_array(sparse.hstack([Z[:, :i], Z[:, j:]], format="csr"))
        z = np.stack([np.asarray(own[:, a * m : (a + 1) * m].sum(axis=1)).ravel() for a in range(c)], axis=1)
        has_level = abs(own[:, :m]) if c == 1 else sum(abs(own[:, a * m : (a + 1) * m]) for a in range(c))
        level = np.full(Z.shape[0], 0)
        has_level = sparse.csr_array(has_level)
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


def eliminate(blocks, U, covariance):
    """The engine of [blocks] and U, the term with most columns eliminated.

    Parameters
    ----------
    blocks : sequence of scipy.sparse.csr_array, each (n, p_j)
        The blocks of Z, one entry in each row.
    U : ndarray, shape (n, r)
    covariance : Covariance

    Returns
    -------
    Blocked

    Notes
    -----
    O(n + pairs): the pairs of columns of Z2 that meet in a level of Z1, at 12 bytes each, c^2 times.
    """
    first = max((b for b, _ in covariance.terms), key=lambda b: blocks[b.start].shape[1] * (b.stop - b.start))
    own = blocks[first]
    c, (n, m) = len(own), own[0].shape
    G = np.empty((m, c, c))
    for i in range(c):
        for j in range(c):
            G[:, i, j] = np.bincount(own[0].indices, own[i].data * own[j].data, m)
    R1 = _triangles(G)
    others = [Z for j, Z in enumerate(blocks) if not first.start <= j < first.stop]
    Z2 = sparse.csr_array(sparse.hstack([sparse.csr_array((n, 0)), *others], format="csr"))
    products = [sparse.csr_array(Z.T @ Z2) for Z in own]
    for product in products:
        product.sort_indices()
    pattern, p2 = products[0], Z2.shape[1]
    refuse_too_large(p2, int(np.sum(np.diff(pattern.indptr).astype(float) ** 2) / 2) * c * c)
    level = np.repeat(np.arange(m), np.diff(pattern.indptr))
    values = _in_Q1(R1[level], np.stack([product.data for product in products], axis=1)[:, :, None])[:, :, 0]
    R12 = tuple(sparse.csr_array((np.ascontiguousarray(values[:, a]), pattern.indices, pattern.indptr), (m, p2)) for a in range(c))
    meetings = _meetings(R12, p2)
    gram = sparse.coo_array(sparse.triu(Z2.T @ Z2))
    rest = np.zeros((p2, p2))
    rest[gram.coords if hasattr(gram, "coords") else (gram.row, gram.col)] = gram.data
    rest -= sum((np.asarray(meetings[a, a] @ np.ones(m)).reshape(p2, p2) for a in range(c)), np.zeros((p2, p2)))
    engine = Blocked(covariance, first, tuple(blocks), U, R1, R12, meetings, rest, None, None, None)
    return _with_U(engine)


def refuse_too_large(p2, pairs):
    """Raise an LMMError if the memory of this machine does not hold what a fit needs."""
    needed = (32 * float(p2) ** 2 + 24 * float(pairs)) / 2**30
    try:
        present = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    except (AttributeError, ValueError, OSError):               # not known on this platform
        return
    if needed > present:
        raise LMMError(f"{p2} columns of Z remain beside the largest term, which takes {needed:.1f} GiB of memory; this machine has "
                       f"{present:.1f}. Use fewer or coarser blocks")


def _with_U(engine):
    """The engine with what depends on U computed anew."""
    own, U, first = engine.matrices[engine.first], engine.U, engine.first
    R1U = _in_Q1(engine.R1, np.stack([Z.T @ U for Z in own], axis=1))
    others = [Z.T @ U for j, Z in enumerate(engine.matrices) if not first.start <= j < first.stop]
    Z2U = np.concatenate([np.zeros((0, U.shape[1])), *others]) - engine.collected(R1U)
    return replace(engine, R1U=R1U, Z2U=Z2U, UU=U.T @ U - np.einsum("lai,laj->ij", R1U, R1U))


def _triangles(G):
    """Upper triangular R, (m, c, c), with R'R = G for each level; rows of zeros where G is singular."""
    m, c = G.shape[:2]
    R, left = np.zeros_like(G), G.copy()
    for a in range(c):
        pivot = np.where(left[:, a, a] > ROUNDING * G[:, a, a], left[:, a, a], 0.0)
        R[:, a, a:] = left[:, a, a:] / np.sqrt(np.where(pivot > 0, pivot, np.inf))[:, None]
        left -= R[:, a, :, None] * R[:, a, None, :]
    return R


def _in_Q1(R1, V):
    """The X with R1'X = V for each level, (m, c, q): Q1'u for V = Z1'u; zeros where a row of R1 is zero."""
    X = np.zeros_like(V)
    for a in range(V.shape[1]):
        pivot = R1[:, a, a]
        remainder = V[:, a] - np.einsum("lb,lbq->lq", R1[:, :a, a], X[:, :a])
        X[:, a] = np.where(pivot > 0, 1 / np.where(pivot > 0, pivot, 1.0), 0.0)[:, None] * remainder
    return X


def _meetings(R12, p2):
    """For each (a, b) the sparse matrix (p2 p2, m) whose product with d is R12_a' diag(d) R12_b, on and above the diagonal."""
    pattern, m = R12[0], R12[0].shape[0]
    count = np.diff(pattern.indptr)
    after = np.repeat(pattern.indptr[1:], count) - np.arange(pattern.nnz)           # of each entry: itself, and those after it
    left = np.repeat(np.arange(pattern.nnz, dtype=np.int32), after)
    starts = np.concatenate([[0], np.cumsum(after)])
    right = np.arange(len(left), dtype=np.int64) - np.repeat(starts[:-1] - np.arange(pattern.nnz), after)
    kind = np.int32 if p2 * p2 < 2**31 and len(left) < 2**31 else np.int64
    place = pattern.indices[left].astype(kind) * kind(p2) + pattern.indices[right].astype(kind)
    ends = starts[pattern.indptr].astype(kind)
    return {(a, b): sparse.csc_array((R12[a].data[left] * R12[b].data[right], place, ends), (p2 * p2, m))
            for a in range(len(R12)) for b in range(len(R12))}


def _others(engine):
    """By block where its columns begin in Z2; the first term's left out."""
    starts, at = {}, 0
    for j, Z in enumerate(engine.matrices):
        if not engine.first.start <= j < engine.first.stop:
            starts[j], at = at, at + Z.shape[1]
    return starts


def _factor(T, others, matrices):
    """Lambda2: T x I over the levels of the other terms, sparse; a vector where T is diagonal there."""
    blocks = list(others)
    T = T[np.ix_(blocks, blocks)]
    levels = [matrices[j].shape[1] for j in blocks]
    if not np.tril(T, -1).any():
        return np.repeat(T.diagonal(), levels)
    parts = [[sparse.identity(levels[i]) * T[i, j] if T[i, j] or i == j else None for j in range(len(T))] for i in range(len(T))]
    return sparse.csr_array(sparse.bmat(parts, format="csr"))


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
