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
from math import inf

import numpy as np
from scipy import sparse

from .blocked_state import BlockedPosterior, State
from .covariance import Covariance
from .dense import make_pairs
from .errors import LMMError

MOST_PAIRS = 2_000_000  # pairs of columns that are looked up at a time
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
        state = State(self, phi)
        return state.evaluation._replace(state=state)           # no cycle: its memory is free after the last use

    @property
    def exact(self):
        """Whether second derivatives are those of nll, and not average information: O(p^3) work and p x p numbers."""
        return self.p <= MOST_EXACT

    @property
    def factored(self):
        """The number of columns of the Cholesky factor."""
        return len(self.rest)

    def describe(self):
        """One line about its size."""
        second = "exact second derivatives" if self.exact else "average information"
        return f"blocked: {self.p - self.factored} of {self.p} columns of Z eliminated, {self.factored} factored; {second}"

    @property
    def n(self):
        """The number of rows."""
        return len(self.U)

    @property
    def p(self):
        """The number of columns of Z."""
        return int(self.ends[-1])

    @cached_property
    def ends(self):
        """Where each block's columns begin among those of Z, and where the last one ends."""
        return np.cumsum([0, *(Z.shape[1] for Z in self.matrices)])

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

    def reordered(self, order, entries):
        """The same engine with the blocks in another order within their terms: block i is that of number order[i]."""
        return eliminate([self.matrices[j] for j in order], self.U, self.covariance)

    def information(self, phi, state, pulled, reml):
        """First derivatives of nll in phi by their two parts, and (7) or average information; see `Dense.information`."""
        state = state or State(self, phi)
        return state.exact_information(pulled, reml) if self.exact else state.information(pulled, reml)

    @cached_property
    def pairs(self):
        """The `Pairs` of all columns of Z, in the order of the blocks."""
        block = np.repeat(np.arange(len(self.matrices)), np.diff(self.ends))
        return make_pairs(block, list(zip(self.covariance.rows, self.covariance.columns)))

    def conditional(self, phi, Lambda):
        """Z' V^-1 U, and the variance of b given y and beta, a `BlockedPosterior`; see `Dense.conditional`."""
        state = State(self, phi)
        return state.products_with_U(), BlockedPosterior(state)

    def products_with_U(self, phi):
        """Z' V^-1 U, (p, r), columns of Z in the order of the blocks."""
        return State(self, phi).products_with_U()

    def split(self, v):
        """(m, c, q) and (p2, q): the parts of v, (p, q), its rows in the order of the blocks."""
        parts = np.split(v, self.ends[1:-1])
        inside = parts[self.first]
        return np.stack(inside, axis=1), np.concatenate([*parts[: self.first.start], *parts[self.first.stop :], v[:0]])

    def joined(self, v1, v2):
        """The same back."""
        before = self.ends[self.first.start]
        return np.concatenate([v2[:before], *v1.transpose(1, 0, 2), v2[before:]])

    def summed(self, D):
        """R12' D R12, (p2, p2), for D (m, c, c)."""
        total = np.zeros(self.rest.size)
        for (a, b), P in self.meetings.items():
            total += P @ np.ascontiguousarray(D[:, a, b])
        return total.reshape(self.rest.shape)

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
    others = [*blocks[: first.start], *blocks[first.stop :]]
    Z2 = sparse.csr_array(sparse.hstack([sparse.csr_array((n, 0)), *others], format="csr"))
    pattern, Z1Z2 = _products(own, Z2)
    p2 = Z2.shape[1]
    refuse_too_large(p2, int(np.sum(np.diff(pattern.indptr).astype(float) ** 2) / 2) * c * c)
    level = np.repeat(np.arange(m), np.diff(pattern.indptr))
    values = _in_Q1(R1[level], Z1Z2[:, :, None])[:, :, 0]
    R12 = tuple(sparse.csr_array((np.ascontiguousarray(values[:, a]), pattern.indices, pattern.indptr), (m, p2))
                for a in range(c))
    meetings = _meetings(R12, p2)
    gram = sparse.coo_array(sparse.triu(Z2.T @ Z2))
    rest = np.zeros((p2, p2))
    rest[gram.coords if hasattr(gram, "coords") else (gram.row, gram.col)] = gram.data
    for a in range(c):
        rest -= (meetings[a, a] @ np.ones(m)).reshape(p2, p2)
    engine = Blocked(covariance, first, tuple(blocks), U, R1, R12, meetings, rest, None, None, None)
    return _with_U(engine)


def _products(own, Z2):
    """Z1'Z2: where it may have entries, a sparse matrix (m, p2), and what these are for each effect of Z1, (entries, c)."""
    if len(own) == 1:
        product = sparse.csr_array(own[0].T @ Z2)
        product.sort_indices()
        return product, product.data[:, None]
    ones = [sparse.csr_array((np.ones(Z.nnz), Z.indices, Z.indptr), Z.shape) for Z in (own[0], Z2)]
    pattern = sparse.csr_array(ones[0].T @ ones[1])                 # of ones: none of its sums is zero by chance
    pattern.sort_indices()
    p2 = Z2.shape[1]

    def places(matrix):
        return np.repeat(np.arange(matrix.shape[0], dtype=np.int64), np.diff(matrix.indptr)) * p2 + matrix.indices

    values, known = np.zeros((pattern.nnz, len(own))), places(pattern)
    for a, Z in enumerate(own):
        product = sparse.csr_array(Z.T @ Z2)
        values[np.searchsorted(known, places(product)), a] = product.data
    return pattern, values


def memory():
    """How many GiB of memory this machine, or container, has; inf if that is not known."""
    try:
        sizes = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    except (AttributeError, ValueError, OSError):
        return inf
    for limit in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        if os.path.exists(limit):
            with open(limit) as file:
                sizes += [int(text) for text in [file.read().strip()] if text.isdigit()]
    return min(sizes) / 2**30


def refuse_too_large(p2, pairs):
    """Raise an LMMError if the memory of this machine does not hold what a fit needs."""
    needed, present = (32 * float(p2) ** 2 + 24 * float(pairs)) / 2**30, memory()
    if needed > present:
        raise LMMError(f"{p2} columns of Z remain beside the largest term, which takes {needed:.1f} GiB of memory; this "
                       f"machine has {present:.1f}. Use fewer or coarser blocks")


def _with_U(engine):
    """The engine with what depends on U computed anew."""
    own, U, first = engine.matrices[engine.first], engine.U, engine.first
    R1U = _in_Q1(engine.R1, np.stack([Z.T @ U for Z in own], axis=1))
    others = [Z.T @ U for Z in (*engine.matrices[: first.start], *engine.matrices[first.stop :])]
    Z2U = np.concatenate([np.zeros((0, U.shape[1])), *others]) - engine.collected(R1U)
    return replace(engine, R1U=R1U, Z2U=Z2U, UU=U.T @ U - np.einsum("lai,laj->ij", R1U, R1U))


def _triangles(G):
    """Upper triangular R, (m, c, c), with R'R = G for each level; rows of zeros where G is singular."""
    R, left = np.zeros_like(G), G.copy()
    for a in range(G.shape[1]):
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
    pattern, (m, _), pairs = R12[0], R12[0].shape, [(a, b) for a in range(len(R12)) for b in range(len(R12))]
    after = np.repeat(pattern.indptr[1:], np.diff(pattern.indptr)) - np.arange(pattern.nnz)     # an entry, and those after it
    starts = np.concatenate([[0], np.cumsum(after, dtype=np.int64)])
    kind = np.int32 if max(p2 * p2, starts[-1]) < 2**31 else np.int64
    place, values = np.empty(starts[-1], kind), {pair: np.empty(starts[-1]) for pair in pairs}
    first = 0
    while first < pattern.nnz:                                          # so many entries at a time, for their pairs take room
        last = max(first + 1, int(np.searchsorted(starts, starts[first] + MOST_PAIRS, side="right")) - 1)
        left = np.repeat(np.arange(first, last), after[first:last])
        here = slice(starts[first], starts[last])
        right = np.arange(here.start, here.stop) - np.repeat(starts[first:last] - np.arange(first, last), after[first:last])
        place[here] = pattern.indices[left].astype(kind) * kind(p2) + pattern.indices[right]
        for a, b in pairs:
            values[a, b][here] = R12[a].data[left] * R12[b].data[right]
        first = last
    ends = starts[pattern.indptr].astype(kind)
    return {pair: sparse.csc_array((values[pair], place, ends), (p2 * p2, m)) for pair in pairs}
