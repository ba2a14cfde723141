"""The practical's engine: factor Z = QR once, then one p x p Cholesky factor per theta.

The algebra is the practical's, equations (1) and (2). The n rows enter once, in `factor`; after that they
are represented by a triangle of p + m columns, m being the number of columns of U = [X y].
"""

from dataclasses import dataclass, field, replace
from functools import cached_property
from math import inf, log, sqrt
from typing import NamedTuple

import numpy as np
from scipy import linalg, sparse
from scipy.linalg.blas import dgemv, dsyrk, dtrsm
from scipy.linalg.lapack import dpotrf

from .pairs import Pairs, make_pairs
from .rotation import Rotation, centred

CHUNK = 1000            # rows at a time, of p numbers each


class NotPositiveDefinite(ArithmeticError):
    """A Cholesky factorisation failed: theta is so extreme that rounding made a matrix indefinite."""


class Evaluation(NamedTuple):
    """What the likelihood needs from V at one theta."""

    logdet: float       # log|V|
    cross: np.ndarray   # U' V^-1 U, (m, m), its upper triangle, and ...
    root: tuple         # ... W, S and sigma with W'W + S'S / sigma^2 = cross, or None
    state: object = None    # what a derivative can use again


class Factors(NamedTuple):
    """R psi R' + sigma^2 I = L'L, and W = L'^-1 (the first p rows of Q'U)."""

    sigma2: float
    L: np.ndarray
    W: np.ndarray

    def at(self, sigma2):
        """The same where sigma^2 is another, and psi in proportion."""
        ratio = sqrt(sigma2 / self.sigma2)
        return Factors(sigma2, self.L * ratio, self.W / ratio)


@dataclass(frozen=True, eq=False)
class Dense:
    """The triangle that stands for Z and U.

    Q' [Z U] = [ R  QtU ]   with Q orthogonal, R (p, p) upper triangular, QtU (p, m) and
               [ 0  S   ]   S (m, m); if p > n, rows of zeros fill up R and S.
    """

    n: int
    R: np.ndarray = field(repr=False)
    QtU: np.ndarray = field(repr=False)
    S: np.ndarray = field(repr=False)
    block: np.ndarray = field(repr=False)   # (p,) the block of Z that each column of R belongs to
    parts: np.ndarray = field(repr=False)   # (p p, 1 + q) I and the R_i R_j' (+ R_j R_i'), flat: A is linear in phi
    pairs: Pairs = field(repr=False)        # which columns of R each element of psi relates
    rotation: Rotation = field(repr=False)  # applies Q'

    def __call__(self, phi):
        """log|V| and U' V^-1 U at `phi`: sigma^2, then the entries of psi. O(p^3), whatever n is.

        Raises an ArithmeticError where phi is too extreme for that.
        """
        sigma2 = phi[0]
        n, p = self.n, len(self.block)
        cross = dsyrk(1 / sigma2, self.S, trans=1)                # S'S / sigma^2
        logdet = (n - p) * log(sigma2)
        L, W = self.R, self.QtU
        if p:
            A = dgemv(1.0, self.parts, phi)                       # R psi R' + sigma^2 I
            L = cholesky(A.reshape(self.R.shape, order="F"))      # = L'L, L upper triangular
            # (2): log|V| = log|R psi R' + sigma^2 I| + (n - p) log sigma^2
            logdet += 2 * np.add.reduce(np.log(L.diagonal()))
            # (1): U'V^-1 U = (Q'U)' [ (R psi R' + sigma^2 I)^-1, 0 ; 0, sigma^-2 I ] Q'U
            W = dtrsm(1.0, L, self.QtU, trans_a=1)                # L'^-1 (the first p rows of Q'U)
            cross = dsyrk(1.0, W, trans=1, beta=1.0, c=cross)     # W'W + S'S / sigma^2
        if not logdet < inf:
            raise OverflowError
        return Evaluation(logdet, cross, (W, self.S, sqrt(sigma2)), Factors(sigma2, L, W))

    @cached_property
    def mean_squares(self):
        """(J,): the mean squared length of the columns of Z of each block."""
        return np.bincount(self.block, np.einsum("ij,ij->j", self.R, self.R)) / np.bincount(self.block)

    @property
    def p(self):
        """The number of columns of Z."""
        return len(self.block)

    exact = True            # second derivatives are those of nll

    @property
    def widest(self):
        """The number of columns of the widest matrix that BLAS gets to see."""
        return self.p

    def describe(self):
        """One line about its size."""
        return f"dense: QR of the {self.p} columns of Z"

    @property
    def residual_ss(self):
        """e'e, e being the last column of U."""
        return float(self.QtU[:, -1] @ self.QtU[:, -1] + self.S[:, -1] @ self.S[:, -1])

    def information(self, phi, state, pulled, reml):
        """tr(W V_a), y'P V_a P y and (7) for the entries a of psi, (q,), (q,), (q, q), and whether (7) is averaged: no.

        `pulled` takes Z'WU to d = Z'W (y - X beta), (p,), and F, (k, p), with Z'PZ = Z'WZ - F'F. O(p^3).
        """
        return self.pairs.information(*self.products(phi, state), pulled, reml)

    def products_with_U(self, phi):
        """Z' V^-1 U, (p, m), columns of Z in the order of the blocks."""
        return self.products(phi)[1][self.order]

    def products(self, phi, state=None):
        """Z' V^-1 Z, (p, p), and Z' V^-1 U, (p, m), columns of Z in the order of `block`: what (5)-(8) need. O(p^3)."""
        if not len(self.block):
            return self.R, self.QtU
        _, L, W = state or self(phi).state
        B = dtrsm(1.0, L, self.R, trans_a=1)                      # (1): Z'V^-1 Z = R' (L'L)^-1 R = B'B
        return B.T @ B, B.T @ W

    @property
    def order(self):
        """Where the columns of Z, in the order of its blocks, are among those of R."""
        return np.argsort(self.block, kind="stable")

    def conditional(self, phi, Lambda):
        """`products_with_U`, and the variance of b given y and beta, a `Posterior`; psi = Lambda Lambda', by blocks."""
        return self.products_with_U(phi), Posterior(self.root_of_variance(sqrt(phi[0]), Lambda))

    def root_of_variance(self, sigma, Lambda):
        """A, (p, p), with A'A = Var[b | y, beta] = psi - psi Z'WZ psi, equation (5); without that subtraction."""
        if not len(self.block):
            return self.R
        root = Lambda.T @ self.R[:, self.order].T                 # Lambda' R'
        K = root @ root.T                                         # Lambda' Z'Z Lambda
        K.flat[:: len(K) + 1] += sigma**2
        transposed = np.asfortranarray(Lambda.T.toarray())        # Lambda (Lambda' Z'Z Lambda / sigma^2 + I)^-1 Lambda'
        return dtrsm(sigma, cholesky(np.asfortranarray(K)), transposed, trans_a=1)

    def combined(self, A):
        """The same engine for U A in place of U."""
        return replace(self, **_fixed(QtU=np.asfortranarray(self.QtU @ A), S=np.asfortranarray(self.S @ A)))

    def reordered(self, order, entries):
        """The same engine with the blocks in another order within their terms: block i is that of number order[i].

        The `entries` of psi, by numbers of blocks, stay what they are.
        """
        block = np.argsort(order)[self.block]
        place = {frozenset(entry): a for a, entry in enumerate(entries)}
        columns = [0, *(1 + place[frozenset((order[i], order[j]))] for i, j in entries)]
        return replace(self, block=block, parts=np.asfortranarray(self.parts[:, columns]), pairs=make_pairs(block, entries))

    def responding(self, e, low):
        """The same engine with e in place of the last column of U; `low` is what rounding took from e. O(n p)."""
        column, length = self.rotation(e, low)
        QtU, S = self.QtU.copy(order="F"), self.S.copy(order="F")
        QtU[:, -1], S[:-1, -1], S[-1, -1] = column[: len(QtU)], column[len(QtU):], length
        return replace(self, **_fixed(QtU=QtU, S=S))


@dataclass(frozen=True, eq=False)
class Posterior:
    """Var[b | y, beta] = A'A, by its root A, (p, p)."""

    root: np.ndarray

    def sds(self):
        """The standard deviations, (p,)."""
        return np.linalg.norm(self.root, axis=0)

    def quadratic_forms(self, Z):
        """z' Var z for each row of Z, sparse: (n,)."""
        root, total = np.ascontiguousarray(self.root.T), np.empty(Z.shape[0])
        for start in range(0, len(total), CHUNK):
            rows = slice(start, start + CHUNK)
            total[rows] = np.sum((Z[rows] @ root) ** 2, axis=1)
        return total


def cholesky(A):
    """The upper triangular L with L'L = A, from A's upper triangle; what is below the diagonal is left as it was."""
    L, info = dpotrf(A, lower=0, clean=0, overwrite_a=1)
    if info:
        raise NotPositiveDefinite
    return L


def factor(blocks, U, low, entries, first=None):
    """QR-factor Z = [blocks] and apply Q' to U.

    Parameters
    ----------
    blocks : sequence of scipy.sparse.csr_array, each (n, p_j)
        The blocks of Z.
    U : ndarray, shape (n, m)
    low : ndarray, shape (n,)
        What rounding took from the last column of U.
    entries : sequence of (int, int)
        The entries of psi, in the order of phi: which two blocks each relates.
    first : int, optional
        The block to factor first; by default that with most columns. One that has at most one entry in each row, so that
        its columns are orthogonal, if there is any.

    Returns
    -------
    Dense

    Notes
    -----
    No pivoting, and Q is never formed. As the columns of the first block are orthogonal, their part of R is the
    diagonal of their lengths, exactly, and projecting them out of the rest is centring within groups. What is left
    goes through Householder's QR. That is O(n p2 (p2 + p1)) for a first block of p1 columns and p2 others, and
    holds an n x p2 array.
    """
    n, m = U.shape
    single = [np.diff(Z.indptr).max(initial=0) <= 1 for Z in blocks]
    order = sorted(range(len(blocks)), key=lambda j: (not single[j], j != first, -blocks[j].shape[1]))  # stable: ties as in ref
    p = sum(Z.shape[1] for Z in blocks)
    block = np.repeat(order, [blocks[j].shape[1] for j in order]).astype(int)
    T = np.zeros((p + m, p + m), order="F")             # Q' [Z U], its rows of zeros left out
    Z1 = blocks[order[0]] if blocks and single[order[0]] else sparse.csr_array((n, 0))
    done = Z1.shape[1]
    length = np.sqrt(np.bincount(Z1.indices, Z1.data**2, done))
    Q1 = sparse.csr_array((Z1.data / np.where(length > 0, length, 1)[Z1.indices], Z1.indices, Z1.indptr), Z1.shape)
    T[:done, :done].flat[:: done + 1] = length
    rest = np.hstack([blocks[j].toarray() for j in (order[1:] if done else order)] + [U])
    Q1 = (Q1, Q1.T.tocsr())
    T[:done, done:], rest = centred(Q1, rest, low)
    (reflectors, tau), R2 = linalg.qr(rest, mode="raw", overwrite_a=True, check_finite=False)
    R2 = R2[: p - done + m]
    T[done : done + len(R2), done:] = R2
    R, QtU, S = (np.asfortranarray(part) for part in (T[:p, :p], T[:p, p:], T[p:, p:]))
    parts = [np.eye(p)]
    for i, j in entries:
        product = R[:, block == i] @ R[:, block == j].T
        parts.append(product if i == j else product + product.T)
    parts = np.reshape(parts, (len(parts), p * p)).T
    rotation = Rotation(Q1, **_fixed(reflectors=reflectors, tau=tau))
    return Dense(n, **_fixed(R=R, QtU=QtU, S=S, block=block, parts=parts), pairs=make_pairs(block, entries), rotation=rotation)


def _fixed(**arrays):
    """The arrays, made read-only."""
    for array in arrays.values():
        array.flags.writeable = False
    return arrays
