"""X = Q_X R_X, Q_X'Q_X = I, with its digits also where columns are nearly made by others."""

import numpy as np

from .qr import back_substitute

NEARLY_MADE = 1e-4      # of a column, what those before it leave, below which digits are at stake
MANY = 10               # columns from which Cholesky's way to Q R is tried: half of the time
ALMOST = 1e-8           # of an element of Q'Q, how far from I a second round mends to rounding


def decompose_X(design):
    """Q_X, (n, k), orthonormal, and R_X, (k, k), upper triangular, of X times the root weights.

    Rounding in QR is relative to a column's length, and so is that of the weights' product: where
    the columns before leave a share s of it, the direction that it adds has an error of eps / s.
    There the combination c of those columns, X_j = X_<j c + left, is subtracted first, in longer
    numbers, and c itself, as it was rounded, is part of R_X:

        X_j = X_<j c + left_j,    [X_<j left_j] = Q [R_<j r],    R_j = R_<j c + r.
    """
    X = design.X
    Q, R = _decomposed(design.weighted(X))
    lengths = np.sqrt(np.sum(R * R, axis=0))
    left = np.abs(R.diagonal())
    near = np.flatnonzero(left < NEARLY_MADE * lengths)
    if not len(near):
        return Q, R

    # -- left_j = X_j - X_<j c
    longer = X.astype(np.longdouble)
    reduced = X.copy()
    combinations = {}
    for j in near:
        before = R[:j, :j]
        c = back_substitute(before, R[:j, j])
        combinations[j] = c
        reduced[:, j] = longer[:, j] - longer[:, :j] @ c

    # -- R_j = R_<j c + r
    Q, R = np.linalg.qr(design.weighted(reduced))
    for j, c in combinations.items():
        R[:j, j] += R[:j, :j] @ c
    return Q, R


def _decomposed(X):
    """Q, R of X: by Householder's reflections, or of many columns by Cholesky's triangles twice.

    X'X = R1'R1 and Q1 = X R1^-1 is orthonormal but for eps times X's condition squared; where that
    is little, Q1'Q1 = R2'R2 makes Q = Q1 R2^-1 as orthonormal as any, and R = R2 R1.

    Source: Yamamoto, Nakatsukasa, Yanagisawa and Fukaya (2015), "Roundoff error analysis of the
    CholeskyQR2 algorithm".
    """
    k = X.shape[1]
    if k < MANY:
        return np.linalg.qr(X)
    try:
        L1 = np.linalg.cholesky(X.T @ X)
        Q1 = X @ np.linalg.inv(L1).T
        products = Q1.T @ Q1
        if not np.abs(products - np.eye(k)).max() < ALMOST:
            return np.linalg.qr(X)
        L2 = np.linalg.cholesky(products)
    except np.linalg.LinAlgError:
        return np.linalg.qr(X)
    return Q1 @ np.linalg.inv(L2).T, (L1 @ L2).T
