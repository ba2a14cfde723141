"""One grouping, and rows of its own for each response: their designs, all at once.

With a mask M, (n,), of ones and zeros, the rows of a response are M Z, M X, M y. What Q_X, a basis
of X on all rows, is on them has the cross-products

    Q_X' M Q_X = L L',      so that M Q_X L'^-1 is a basis there, and R_X becomes L' R_X;

L is near to I, or X has nearly lost its rank. All else are sums over the rows by level, as in
families.py, products of sparse matrices with the masks.
"""

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from ..blocked.levels import in_Q1, in_Z1, triangles
from .by_level import ByLevel
from .profile import inverse_roots

LEAST_SHARE_LEFT = 1e-6     # of an effect's square in a level, left by those before: as difference
TINY_SQUARE = 1e-300        # in place of the square of what is zero
LEAST_PIVOT = 1e-6          # of a direction of X, what the rows leave of it: below, digits are lost


@dataclass(frozen=True, eq=False)
class Masked:
    """The responses of a block, each with its design.

    Attributes
    ----------
    design : ByLevel
        b is the number of responses.
    responses : tuple
    beta_0 : ndarray, shape (B, k)
    whole : ndarray, shape (B,)
        e'e.
    lost : ndarray of bool, shape (B,)
        Where digits are lost, or X its rank.
    R_X : ndarray, shape (B, k, k)
    E : ndarray, shape (n, B)
        The residuals e, zero where a value is missing.
    """

    design: ByLevel
    responses: tuple
    beta_0: np.ndarray
    whole: np.ndarray
    lost: np.ndarray
    R_X: np.ndarray
    E: np.ndarray


def masked(family, entries, Y, lost_beyond):
    """The `Masked` of responses Y, (n, B), nan where a value is missing.

    `family` is that of all rows; y is lost where it is so many times as long as e.
    """
    rows = family.rows
    Z = rows.blocks
    m = Z[0].shape[1]
    codes = Z[0].indices
    values = [block.data for block in Z]
    M = (~np.isnan(Y)).astype(float)
    Y = np.where(M > 0, Y - rows.known[:, None], 0.0)
    if rows.roots is not None:
        Y = Y * rows.roots[:, None]
    size = np.einsum("nb,nb->b", Y, Y)
    B = Y.shape[1]

    def sums(numbers, weights):
        """(B, m): the sums over the rows of each level of weights, (n,), times numbers, (n, B)."""
        by_level = sparse.csr_array((weights, codes, np.arange(len(codes) + 1)), (len(codes), m))
        return np.ascontiguousarray((by_level.T @ numbers).T)

    # -- X: L, and e = y - X beta_0
    Q = rows.X
    k = Q.shape[1]
    outer = (Q[:, :, None] * Q[:, None, :]).reshape(len(Q), k * k)
    with np.errstate(all="ignore"):
        inverse, _ = inverse_roots((M.T @ outer).reshape(B, k, k))      # L^-1
    without = ~np.isfinite(inverse).all(axis=(1, 2))
    inverse = np.where(without[:, None, None], np.eye(k), inverse)      # said to be lost, below
    pivots = 1 / np.einsum("bii->bi", inverse)
    along = 0.0
    E = Y
    for _ in range(2):
        more = _times(inverse, (Q.T @ E).T)
        E = E - M * (Q @ _times(inverse.swapaxes(1, 2), more).T)
        along = along + more
    R_X = np.linalg.solve(inverse.swapaxes(1, 2), np.broadcast_to(rows.R_X, (B, k, k)))
    beta_0 = np.linalg.solve(R_X, along[:, :, None])[:, :, 0]
    whole = np.einsum("nb,nb->b", E, E)

    # -- Z = Q1 R, X1 = Q1'X, y1 = Q1'e
    G = np.array([[sums(M, a * b) for b in values] for a in values])
    R = triangles(G)
    in_Z = np.array([
        np.stack([sums(M, z * q) for q in Q.T], axis=1) if k else np.zeros((B, 0, m))
        for z in values
    ])
    X1 = in_Q1(R[:, :, :, None], inverse @ in_Z)                        # (c, B, k, m)
    y1 = 0.0
    rest = E
    for _ in range(2):
        more = in_Q1(R, np.array([sums(rest, z) for z in values]))
        y1 = y1 + more
        fitted = in_Z1(R, more)
        for z, of_effect in zip(values, fitted):
            rest = rest - M * (z * of_effect[:, codes]).T
    Xy = _times(inverse, (Q.T @ rest).T)
    yy = np.einsum("nb,nb->b", rest, rest)
    XX = np.eye(k) - sum(one @ one.swapaxes(1, 2) for one in X1)

    # -- the design
    A = []
    for i, j in entries.pairs:
        products = R[:, None, i] * R[None, :, j]
        A.append(products if i == j else products + products.swapaxes(0, 1))
    n = M.sum(axis=0)
    constant = np.zeros(B)
    if rows.roots is not None:
        constant = -np.log(rows.roots) @ M
    reml = family.design.reml
    design = ByLevel(
        reml=reml,
        df=n - k if reml else n,
        constant=constant,
        log_root=np.log(np.abs(np.einsum("bii->bi", R_X))).sum(axis=1),
        A=np.array(A),
        R=R,
        relations=family.design.relations,
        counts=np.ones((B, m)),
        X1=X1,
        XX=XX,
    )
    lost = size > lost_beyond**2 * whole
    share = np.einsum("iibm->ibm", R) ** 2 / np.maximum(np.einsum("iibm->ibm", G), TINY_SQUARE)
    lost |= ((share > 0) & (share < LEAST_SHARE_LEFT)).any(axis=(0, 2))
    lost |= without | ~(pivots > np.sqrt(LEAST_PIVOT)).all(axis=1) | (n <= k + 1)
    return Masked(design, (y1, Xy, yy), beta_0, whole, lost, R_X, E)


def _times(A, v):
    """A v for each response, (B, k), for A (B, k, k)."""
    return np.einsum("bij,bj->bi", A, v)
