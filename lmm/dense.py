"""The practical's engine: factor Z = QR once, then one p x p Cholesky factor per theta.

The algebra is the practical's, equations (1) and (2). The n rows enter once, in `factor`; after that they
are represented by a triangle of p + m columns, m being the number of columns of U = [X y].
"""

from dataclasses import dataclass, field, replace
from math import exp, inf
from typing import NamedTuple

import numpy as np
from scipy import linalg, sparse
from scipy.linalg.blas import dgemv, dsyrk, dtrsm
from scipy.linalg.lapack import dormqr, dpotrf

WORKSPACE = 64          # numbers, LAPACK's usual block size: enough for one column


class NotPositiveDefinite(ArithmeticError):
    """A Cholesky factorisation failed: theta is so extreme that rounding made a matrix indefinite."""


class Evaluation(NamedTuple):
    """What the likelihood needs from V at one theta."""

    logdet: float       # log|V|
    cross: np.ndarray   # U' V^-1 U, (m, m), its upper triangle, and ...
    root: tuple         # ... W, S and sigma with W'W + S'S / sigma^2 = cross


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
    members: np.ndarray = field(repr=False) # (p, J) 1 where it does, 0 elsewhere
    parts: np.ndarray = field(repr=False)   # (p p, 1 + J) I and the R_j R_j', flat: A is linear in the variances
    rotation: "Rotation" = field(repr=False)    # applies Q'

    def __call__(self, theta):
        """log|V| and U' V^-1 U at `theta`: log sigma, then the log sd of each block. O(p^3), whatever n is.

        Raises an ArithmeticError where theta is too extreme for that.
        """
        sigma2 = exp(2 * theta[0])
        n, p = self.n, len(self.block)
        logdet = 2 * (n - p) * theta[0]
        cross = dsyrk(1 / sigma2, self.S, trans=1)                # S'S / sigma^2
        W = self.QtU
        if p:
            L = self._factor(theta)                               # R psi R' + sigma^2 I = L'L, L upper triangular
            # (2): log|V| = log|R psi R' + sigma^2 I| + (n - p) log sigma^2
            logdet += 2 * np.add.reduce(np.log(L.diagonal()))
            # (1): U'V^-1 U = (Q'U)' [ (R psi R' + sigma^2 I)^-1, 0 ; 0, sigma^-2 I ] Q'U
            W = dtrsm(1.0, L, self.QtU, trans_a=1)                # L'^-1 (the first p rows of Q'U)
            cross = dsyrk(1.0, W, trans=1, beta=1.0, c=cross)     # W'W + S'S / sigma^2
        if not logdet < inf:
            raise OverflowError
        return Evaluation(logdet, cross, (W, self.S, exp(theta[0])))

    def products(self, theta):
        """Z' V^-1 Z, (p, p), and Z' V^-1 U, (p, m), columns of Z in the order of `block`: what (5)-(8) need. O(p^3)."""
        if not len(self.block):
            return self.R, self.QtU
        L = self._factor(theta)
        B = dtrsm(1.0, L, self.R, trans_a=1)                      # (1): Z'V^-1 Z = R' (L'L)^-1 R = B'B
        return B.T @ B, B.T @ dtrsm(1.0, L, self.QtU, trans_a=1)

    def root_of_variance(self, theta):
        """A, (p, p), with A'A = Var[b | y, beta] = psi - psi Z'WZ psi, equation (5); without that subtraction. O(p^3)."""
        if not len(self.block):
            return self.R
        s = np.exp(np.asarray(theta)[1:])[self.block]
        sigma = exp(theta[0])
        K = s[:, None] * (self.R.T @ self.R) * s
        K.flat[:: len(K) + 1] += sigma**2
        return dtrsm(sigma, cholesky(K), np.diag(s), trans_a=1)   # psi^1/2 (psi^1/2 Z'Z psi^1/2 / sigma^2 + I)^-1 psi^1/2

    def combined(self, A):
        """The same engine for U A in place of U."""
        return replace(self, **_fixed(QtU=np.asfortranarray(self.QtU @ A), S=np.asfortranarray(self.S @ A)))

    def responding(self, e, low):
        """The same engine with e in place of the last column of U; `low` is what rounding took from e. O(n p)."""
        column, length = self.rotation(e, low)
        QtU, S = self.QtU.copy(order="F"), self.S.copy(order="F")
        QtU[:, -1], S[:-1, -1], S[-1, -1] = column[: len(QtU)], column[len(QtU):], length
        return replace(self, **_fixed(QtU=QtU, S=S))

    def _factor(self, theta):
        A = dgemv(1.0, self.parts, [exp(2 * t) for t in theta])   # R psi R' + sigma^2 I
        return cholesky(A.reshape(self.R.shape, order="F"))


def cholesky(A):
    """The upper triangular L with L'L = A, from A's upper triangle; what is below the diagonal is left as it was."""
    L, info = dpotrf(A, lower=0, clean=0, overwrite_a=1)
    if info:
        raise NotPositiveDefinite
    return L


@dataclass(frozen=True, eq=False)
class Rotation:
    """Q', as it was found: centring within the groups of the first block, then Householder's reflections."""

    first: tuple                    # (n, p1) and (p1, n) the columns of the first block, of length 1, and their transpose
    reflectors: np.ndarray          # (n, p - p1 + m) below the diagonal, as LAPACK leaves them
    tau: np.ndarray

    def __call__(self, e, low):
        """The part of Q'e along Z and the other columns of U, and the length of what is left of e."""
        part, rest = centred(self.first, np.array(e)[:, None], low)
        c = min(len(e), self.reflectors.shape[1] - 1)           # the last reflection was made for another e
        if c:
            rest = dormqr("L", "T", self.reflectors[:, :c], self.tau[:c], rest, WORKSPACE)[0]
        rest = rest[:, 0]
        column = np.zeros(self.first[0].shape[1] + self.reflectors.shape[1] - 1)
        column[: len(part)], column[len(part): len(part) + c] = part[:, 0], rest[:c]
        return column, linalg.norm(rest[c:])


def centred(first, columns, low):
    """Q1'columns, and what Q1 leaves of them; `first` is Q1 and Q1', and `low` belongs to the last column."""
    part, (Q1, transposed) = 0, first
    for digits in (0.0, low):                           # the second pass removes what rounding left in the first, and
        columns[:, -1] += digits                        # finds y's column small enough to take the digits it lost
        more = transposed @ columns
        part = part + more
        columns = columns - Q1 @ more
    return part, columns


def factor(blocks, U, low, first=None):
    """QR-factor Z = [blocks] and apply Q' to U.

    Parameters
    ----------
    blocks : sequence of scipy.sparse.csr_array, each (n, p_j)
        The blocks of Z, at most one entry in each row, so that the columns of each are orthogonal.
    U : ndarray, shape (n, m)
    low : ndarray, shape (n,)
        What rounding took from the last column of U.
    first : int, optional
        The block to factor first; by default that with most columns.

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
    order = sorted(range(len(blocks)), key=lambda j: (j != first, -blocks[j].shape[1]))     # stable: ties as in ref
    p = sum(Z.shape[1] for Z in blocks)
    block = np.repeat(order, [blocks[j].shape[1] for j in order]).astype(int)
    T = np.zeros((p + m, p + m), order="F")             # Q' [Z U], its rows of zeros left out
    Z1 = blocks[order[0]] if blocks else sparse.csr_array((n, 0))
    done = Z1.shape[1]
    length = np.sqrt(np.bincount(Z1.indices, Z1.data**2, done))
    Q1 = sparse.csr_array((Z1.data / np.where(length > 0, length, 1)[Z1.indices], Z1.indices, Z1.indptr), Z1.shape)
    T[:done, :done].flat[:: done + 1] = length
    rest = np.hstack([blocks[j].toarray() for j in order[1:]] + [U])
    Q1 = (Q1, Q1.T.tocsr())
    T[:done, done:], rest = centred(Q1, rest, low)
    (reflectors, tau), R2 = linalg.qr(rest, mode="raw", overwrite_a=True, check_finite=False)
    R2 = R2[: p - done + m]
    T[done : done + len(R2), done:] = R2
    R, QtU, S = (np.asfortranarray(part) for part in (T[:p, :p], T[:p, p:], T[p:, p:]))
    parts = [np.eye(p)] + [R[:, block == j] @ R[:, block == j].T for j in range(len(blocks))]
    parts = np.reshape(parts, (len(parts), p * p)).T
    members = np.equal.outer(block, np.arange(len(blocks))) * 1.0
    rotation = Rotation(Q1, **_fixed(reflectors=reflectors, tau=tau))
    return Dense(n, **_fixed(R=R, QtU=QtU, S=S, block=block, members=members, parts=parts), rotation=rotation)


def _fixed(**arrays):
    """The arrays, made read-only."""
    for array in arrays.values():
        array.flags.writeable = False
    return arrays
