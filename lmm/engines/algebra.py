"""Matrices held in part: sparse ones, and symmetric ones by one of their triangles."""

import numpy as np
from scipy import sparse


def symmetric(S):
    """The whole of a symmetric matrix that is held by one of its triangles, the other being zero."""
    whole = S + S.T
    whole.flat[:: len(S) + 1] *= 0.5
    return whole


def symmetric_times(S, X):
    """S X, S being held by its upper triangle."""
    return S @ X + S.T @ X - S.diagonal()[:, None] * X


def full(A):
    """A as an array, sparse or not."""
    return A if isinstance(A, np.ndarray) else A.toarray()


def scaled_rows(A, by):
    """A, sparse by rows or not, its rows multiplied by these numbers."""
    if isinstance(A, np.ndarray):
        return by[:, None] * A
    return sparse.csr_array((A.data * np.repeat(by, np.diff(A.indptr)), A.indices, A.indptr), A.shape)


def scaled_columns(A, by):
    """A, sparse by rows, its columns multiplied by these numbers."""
    return sparse.csr_array((A.data * by[A.indices], A.indices, A.indptr), A.shape)
