"""Triangular factors of small matrices: those of C and of X, and what follows from them."""

import numpy as np
from scipy.linalg.blas import dtrsm, dtrsv
from scipy.linalg.lapack import dpotrf

LOST_DIGITS = 1e-6      # share of the residual in y'Wy below which its digits are lost to the square


def triangle(V):
    """The upper triangular G with G'G = C: C's Cholesky factor.

    Where (y - X beta)' W (y - X beta) is so small a part of C that squares have lost it, from the root of C by QR.
    """
    G, info = dpotrf(V.cross, lower=0)
    if info and V.root is None:
        raise ArithmeticError
    if V.root is not None and (info or G[-1, -1] ** 2 < LOST_DIGITS * V.cross[-1, -1]):
        W, S, sigma = V.root
        G = np.linalg.qr(np.vstack([W, S / sigma]))[1]
    return G


def covariance_of_beta(factor, setup):
    """(X' W X)^-1, (k, k), from the Cholesky factor of C that `LMMprof` leaves: X'WX = (G_XX R_X)' G_XX R_X."""
    k = len(setup.beta_0)
    root = back_substitute(setup.R_X, back_substitute(factor[:k, :k], np.eye(k)))
    return root @ root.T


def log_diagonal(R, S):
    """log|det R S|, both triangular."""
    return float(np.add.reduce(np.log(np.abs(R.diagonal() * S.diagonal()))))


def back_substitute(R, b, trans=0):
    """The x with R x = b, or R' x = b if `trans`; R upper triangular.

    Not LAPACK's trtrs, which OpenBLAS hands to its threads however small R is: where another process keeps a core busy,
    each call waits for it.
    """
    if not np.size(b):
        return b
    return dtrsv(R, b, trans=trans) if np.ndim(b) == 1 else dtrsm(1.0, R, b, trans_a=trans)
