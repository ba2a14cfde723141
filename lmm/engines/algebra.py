"""Matrices held in part: sparse ones, and symmetric ones by one of their triangles."""

from contextlib import suppress

import numpy as np
from scipy import sparse


def symmetric(S):
    """The whole of a symmetric matrix that is held by one triangle, the other being zero."""
    whole = S + S.T
    whole.flat[:: len(S) + 1] *= 0.5
    return whole


def symmetric_times(S, X):
    """S X, S being held by its upper triangle: the diagonal stands in both triangles."""
    diagonal = S.diagonal()[:, None]
    return S @ X + S.T @ X - diagonal * X


def full(A):
    """A as an array, sparse or not."""
    if isinstance(A, np.ndarray):
        return A
    return A.toarray()


def triangles_or_nan(A):
    """The lower triangles L with L L' = A of a stack, (B, m, m); nan where there is none."""
    try:
        return np.linalg.cholesky(A)
    except np.linalg.LinAlgError:
        found = np.full(A.shape, np.nan)
        for i, one in enumerate(A):
            with suppress(np.linalg.LinAlgError):
                found[i] = np.linalg.cholesky(one)
        return found


def scaled_rows(A, scale):
    """diag(scale) A, for an array or a matrix that is sparse by rows."""
    if isinstance(A, np.ndarray):
        return scale[:, None] * A
    of_entry = np.repeat(scale, np.diff(A.indptr))
    return with_entries(A, A.data * of_entry)


def scaled_columns(A, scale):
    """A diag(scale), for a matrix that is sparse by rows."""
    of_entry = scale[A.indices]
    return with_entries(A, A.data * of_entry)


def row_sums(A):
    """(n,) the sum of each row of a sparse matrix."""
    sums = np.asarray(A.sum(axis=1))
    return sums.ravel()


def with_entries(A, entries):
    """The matrix with these entries where A, sparse by rows, has its own."""
    parts = (entries, A.indices, A.indptr)
    return sparse.csr_array(parts, A.shape)


def row_of_entries(indptr):
    """(nnz,) the row of each entry of a matrix that is sparse by rows."""
    rows = np.arange(len(indptr) - 1)
    return np.repeat(rows, np.diff(indptr))


def ends_of(widths):
    """Where parts of these widths, one after the other, begin, and where the last one ends."""
    return np.cumsum([0, *widths])


def numbers_within(ends, parts):
    """The numbers from ends[j] up to ends[j + 1] for each j of `parts`, in this order."""
    starts = ends[:-1]
    stops = ends[1:]
    numbers = [np.arange(starts[j], stops[j]) for j in parts]
    return np.concatenate(numbers)
