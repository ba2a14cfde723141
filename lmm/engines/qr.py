"""The practical's algebra: Z = QR once, then (1) and (2) by one Cholesky triangle for each theta.

`decompose` meets the n rows and leaves a triangle of p + m columns, m being those of U = [Q_X e],
which stands for [X y] (practical.py). Rows of zeros below S are not shown:

    Q' [Z U] = [ R  QtU ]     Q (n, n) orthogonal, never formed;  R (p, p) upper triangular;
               [ 0  S   ]     QtU (p, m);  S (m, m), whose S'S is that of the n - p rows below R.

If p > n rows of zeros fill up R and S: everything below holds as it stands.
"""

from dataclasses import dataclass, field
from math import inf, log, sqrt
from typing import NamedTuple

import numpy as np
from scipy import linalg, sparse
from scipy.linalg.blas import dgemv, dsyrk, dtrsm, dtrsv
from scipy.linalg.lapack import dormqr, dpotrf

from .contract import Evaluation, NotPositiveDefinite

LEAST_VARIANCE = 1e-307     # of sigma^2, below which its reciprocal overflows
LOST_DIGITS = 1e-6          # share of a column's square, what others leave of it, without digits
WORKSPACE = 64              # numbers, LAPACK's usual block size: enough for one column


class Triangles(NamedTuple):
    """R psi R' + sigma^2 I = L'L, L upper triangular, and B = L'^-1 QtU."""

    sigma2: float
    L: np.ndarray
    B: np.ndarray

    def rescaled(self, sigma2):
        """The same where sigma^2 is another, and psi in proportion."""
        ratio = sqrt(sigma2 / self.sigma2)
        return Triangles(sigma2, self.L * ratio, self.B / ratio)


@dataclass(frozen=True, eq=False)
class Decomposed:
    """Z and U after the decomposition: what stands for the n rows from here on."""

    n: int
    R: np.ndarray = field(repr=False)       # (p, p)
    QtU: np.ndarray = field(repr=False)     # (p, m)
    S: np.ndarray = field(repr=False)       # (m, m)
    parts: np.ndarray = field(repr=False)   # (p p, 1 + q) I and R_j R_j', flat, to be summed

    def __call__(self, phi):
        """log|V| and U'WU where phi is sigma^2 and the entries of psi. O(p^3), whatever n is."""
        sigma2 = phi[0]
        p = len(self.R)
        if not LEAST_VARIANCE < sigma2 < inf:
            raise OverflowError
        logdet = (self.n - p) * log(sigma2)
        cross = dsyrk(1 / sigma2, self.S, trans=1)              # S'S / sigma^2
        if not p:
            return Evaluation(logdet, cross, (self.QtU, self.S, sqrt(sigma2)))
        # R psi R' + sigma^2 I is linear in phi: one product of `parts`, made once, with phi
        A = dgemv(1.0, self.parts, phi).reshape(p, p, order="F")
        L = cholesky(A)                                         # A = L'L
        logdet += 2 * np.add.reduce(np.log(L.diagonal()))       # (2)
        B = dtrsm(1.0, L, self.QtU, trans_a=1)                  # L'^-1 QtU
        cross = dsyrk(1.0, B, trans=1, beta=1.0, c=cross)       # (1): U'WU = B'B + S'S / sigma^2
        return Evaluation(logdet, cross, (B, self.S, sqrt(sigma2)), Triangles(sigma2, L, B))


def cholesky(A):
    """The upper triangular L with L'L = A, from A's upper triangle."""
    L, failed = dpotrf(A, lower=0, clean=0, overwrite_a=1)
    if failed:
        raise NotPositiveDefinite
    return L


# -- small triangles: of C = U'WU and of X ---------------------------------------------------------


def triangle_of(found):
    """The upper triangular G with G'G = C = U'WU, of an `Evaluation`.

    C's Cholesky triangle; but where what the columns before leave of one, as X of y in (y - X
    beta)' W (y - X beta), is so small a part of C that squares have lost it, by QR of [B ; S /
    sigma], whose square C is.
    """
    G, failed = dpotrf(found.cross, lower=0)
    left = G.diagonal()
    if failed or not (left * left >= LOST_DIGITS * found.cross.diagonal()).all():       # or nan
        return triangle_by_qr(found)
    return G


def triangle_by_qr(found):
    """The same from a root A of C = A'A, which the evaluation or its state knows."""
    if found.root is not None:
        B, S, sigma = found.root
        A = np.vstack([B, S / sigma])
    else:
        with np.errstate(over="ignore", invalid="ignore"):
            A = found.state.root()
    if not np.isfinite(A).all():
        raise NotPositiveDefinite
    return np.linalg.qr(A)[1]


def back_substitute(R, b, trans=0):
    """The x with R x = b, or R' x = b if `trans`; R upper triangular.

    Not LAPACK's trtrs, which OpenBLAS hands to its threads however small R is: where another
    process keeps a core busy, each call waits for it.
    """
    if b.ndim == 1 and b.size:
        return dtrsv(R, b, trans=trans)
    return dtrsm(1.0, R, b, trans_a=trans) if b.size else b


def log_diagonal(R, S):
    """log|det R S|, both triangular."""
    return float(np.add.reduce(np.log(np.abs(R.diagonal() * S.diagonal()))))


def covariance_of_beta(G, setup):
    """(X'WX)^-1, (k, k), from the triangle G of C: X'WX = (G_XX R_X)' G_XX R_X."""
    k = len(setup.beta_0)
    root = back_substitute(setup.R_X, back_substitute(G[:k, :k], np.eye(k)))
    return root @ root.T


# -- Z = QR ----------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Rotation:
    """Q' as it was found: centring within levels, then Householder's reflections."""

    first: tuple  # (n, p1) and (p1, n): the first block, its columns of length 1; its transpose
    reflectors: np.ndarray      # (n, p - p1 + m) below the diagonal, as LAPACK leaves them
    tau: np.ndarray

    def __call__(self, e, low):
        """The part of Q'e along Z and the other columns of U, and the length of what is left."""
        along_first, left = centred(self.first, np.array(e)[:, None], low)
        c = min(len(e), self.reflectors.shape[1] - 1)  # the last reflection was made for another e
        if c:
            left = dormqr("L", "T", self.reflectors[:, :c], self.tau[:c], left, WORKSPACE)[0]
        left = left[:, 0]
        p1 = len(along_first)
        column = np.zeros(p1 + self.reflectors.shape[1] - 1)
        column[:p1] = along_first[:, 0]
        column[p1 : p1 + c] = left[:c]
        return column, linalg.norm(left[c:])


def centred(first, columns, low):
    """Q1'columns, and what Q1 leaves of them.

    `first` is Q1 and Q1', and `low` belongs to the last column.

    The second pass removes what rounding left in the first, and finds y's column small enough to
    take the digits `low` that it lost.
    """
    Q1, transposed = first
    along = 0
    for digits in (0.0, low):
        columns[:, -1] += digits
        more = transposed @ columns
        along = along + more
        columns = columns - Q1 @ more
    return along, columns


def decompose(blocks, U, low, first=None):
    """Z = QR, and Q'U.

    Parameters
    ----------
    blocks : sequence of scipy.sparse.csr_array, each (n, p_j)
        The blocks of Z.
    U : ndarray, shape (n, m)
    low : ndarray, shape (n,)
        What rounding took from the last column of U.
    first : int, optional
        The block whose columns come first, if they are orthogonal; by default that with most
        columns.

    Returns
    -------
    (R, QtU, S), the block of each column of R, (p,), and the `Rotation` that applies Q'.

    Notes
    -----
    No pivoting, and Q is never formed. Where each row has at most one entry in the first block its
    columns are orthogonal, so their part of R is the diagonal of their lengths, exactly, and taking
    them out of the other columns is centring within levels. What is left goes through Householder's
    QR. That is O(n p2 (p2 + p1)) for a first block of p1 columns and p2 others, and holds n x p2.
    """
    n, m = U.shape
    orthogonal = [np.diff(Z.indptr).max(initial=0) <= 1 for Z in blocks]
    sizes = [Z.shape[1] for Z in blocks]

    def priority(j):
        return not orthogonal[j], j != first, -sizes[j]         # sorted is stable: ties as in ref

    order = sorted(range(len(blocks)), key=priority)
    p = sum(sizes)

    # -- the first block: R1 is the diagonal of its lengths, Q1 its columns of length 1
    p1 = 0
    Z1 = sparse.csr_array((n, 0))
    if order and orthogonal[order[0]]:
        Z1 = blocks[order[0]]
        p1 = sizes[order[0]]
    length = np.sqrt(np.bincount(Z1.indices, Z1.data**2, p1))
    scale = np.where(length > 0, length, 1)
    Q1 = sparse.csr_array((Z1.data / scale[Z1.indices], Z1.indices, Z1.indptr), Z1.shape)
    Q1 = (Q1, Q1.T.tocsr())
    T = np.zeros((p + m, p + m), order="F")                     # Q' [Z U] without its rows of zeros
    T[:p1, :p1].flat[:: p1 + 1] = length

    # -- what Q1 leaves of the others and of U: Householder's QR
    others = [blocks[j].toarray() for j in order[bool(p1) :]]
    T[:p1, p1:], left = centred(Q1, np.hstack([*others, U]), low)
    (reflectors, tau), R2 = linalg.qr(left, mode="raw", overwrite_a=True, check_finite=False)
    R2 = R2[: p - p1 + m]
    T[p1 : p1 + len(R2), p1:] = R2
    block_of = np.repeat(order, [sizes[j] for j in order]).astype(int)
    triangles = [np.asfortranarray(part) for part in (T[:p, :p], T[:p, p:], T[p:, p:])]
    return triangles, block_of, Rotation(Q1, reflectors, tau)


def parts_of(R, block_of, pairs):
    """What A sums, times phi: I and R_i R_j' (+ R_j R_i') for each entry of psi.

    Flat, (p p, 1 + q).
    """
    parts = [np.eye(len(R))]
    for i, j in pairs:
        product = R[:, block_of == i] @ R[:, block_of == j].T
        parts.append(product if i == j else product + product.T)
    return np.reshape(parts, (len(parts), len(R) ** 2)).T
