"""X = Q_X R_X, Q_X'Q_X = I, with its digits also where columns are nearly made by others."""

import numpy as np

from .qr import back_substitute

NEARLY_MADE = 1e-4      # of a column, what those before it leave, below which digits are at stake


def decompose_X(design):
    """Q_X, (n, k), orthonormal, and R_X, (k, k), upper triangular, of X times the root weights.

    Rounding in QR is relative to a column's length, and so is that of the weights' product: where
    the columns before leave a share s of it, the direction that it adds has an error of eps / s.
    There the combination c of those columns, X_j = X_<j c + left, is subtracted first, in longer
    numbers, and c itself, as it was rounded, is part of R_X:

        X_j = X_<j c + left_j,    [X_<j left_j] = Q [R_<j r],    R_j = R_<j c + r.
    """
    X = design.X
    Q, R = np.linalg.qr(design.weighted(X))
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
