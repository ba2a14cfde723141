"""A small matrix for each of m levels, as one array (rows, columns, m): the level comes last.

    A[a, b]     (m,)    the entries of row a and column b, one for each level

So the few rows and columns are looped over, and the many levels are next to each other in memory:
for two levels of 2 x 2,

    | 1 2 |   | 5 6 |           A[0, 0] = [1 5]     A[0, 1] = [2 6]
    | 3 4 | , | 7 8 |           A[1, 0] = [3 7]     A[1, 1] = [4 8]

A stack of matrices, (m, rows, columns), goes through LAPACK one by one, some ten times as slow.
A matrix that is the same in every level is one of a single level, (rows, columns, 1).
"""

import numpy as np

from ..contract import NotPositiveDefinite

DEPENDENT = 1e-12           # of an effect's squared length in a level, below which what the effects
                            # before leave of it is zero


def transposed(A):
    """A' for each level."""
    return A.swapaxes(0, 1)


def times(A, B):
    """A B for each level, (c, r, m), for A (c, d, m) and B (d, r, m).

    Examples
    --------
    >>> A = np.array([[[1, 5], [2, 6]], [[3, 7], [4, 8]]])
    >>> times(A, A)[:, :, 0].tolist()
    [[7, 10], [15, 22]]
    """
    product = A[:, 0, None] * B[0]
    for d in range(1, len(B)):
        product += A[:, d, None] * B[d]
    return product


def above_and_diagonal(A):
    """A with zeros below the diagonal, for each level."""
    of_entry = np.triu(np.ones(A.shape[:2]))
    return A * of_entry[:, :, None]


def summed_products(u, v):
    """u v', (r, s), summed over effects and levels, for u (c, r, m) and v (c, s, m)."""
    of_effects = u @ v.transpose(0, 2, 1)
    return of_effects.sum(axis=0)


def inverse_root(A):
    """L^-1, (c, c, m), and the sum of log|I + A| over levels, for I + A = L L', L lower triangular.

    Raises NotPositiveDefinite where a pivot is not positive.
    """
    c, _, m = A.shape
    left = A.copy()
    pivots = np.empty((c, m))
    L = np.zeros(A.shape)
    # -- column j of L, and what is left of the columns after it
    for j in range(c):
        pivots[j] = 1.0 + left[j, j]
        below = slice(j + 1, c)
        L[below, j] = left[below, j] / pivots[j]
        left[below, below] -= L[below, j, None] * left[None, j, below]
    if not (pivots > 0).all():
        raise NotPositiveDefinite
    # -- L here has ones on its diagonal; row j of its inverse, by those before it
    inverse = np.zeros(A.shape)
    for j in range(c):
        inverse[j, j] = 1.0
        for b in range(j):
            inverse[j, : b + 1] -= L[j, b] * inverse[b, : b + 1]
    inverse /= np.sqrt(pivots)[:, None]
    return inverse, np.add.reduce(np.log(pivots), axis=None)


# -- triangles: R1, (c, c, m), with R1'R1 = Z1'Z1


def triangles(G):
    """The upper triangular R, (c, c, m), with R'R = G for each level, by rows.

    A row is zero where G has no more to give: where a level has too few rows for its effects, or
    the effects depend on each other in it.
    """
    R = np.zeros(G.shape)
    remainder = G.copy()
    for a in range(len(G)):
        squared = remainder[a, a]
        least = DEPENDENT * G[a, a]
        is_some = (squared > least) & (squared > 0)
        length = np.sqrt(np.where(is_some, squared, np.inf))
        R[a, a:] = remainder[a, a:] / length
        remainder -= R[a, :, None] * R[None, a]
    return R


def triangles_of_rows(values, codes, m):
    """The same R of Z = Q R in each level, from the rows: (c, c, m).

    Parameters
    ----------
    values : sequence of ndarray, each (n,)
        The values of the effects.
    codes : ndarray of int, shape (n,)
        The level of each row, of m.

    Notes
    -----
    As a difference of squares, what an intercept leaves of a slope in a variable that is far from
    zero would have lost its digits: (shift / spread)^2 times eps. Here it is shift / spread.
    """
    c = len(values)
    R = np.zeros((c, c, m))
    directions = []
    for j, column in enumerate(values):
        left = np.array(column, float)
        whole = np.bincount(codes, left**2, m)
        for _ in range(2 if j else 0):                  # what rounding leaves once is gone then
            for i, direction in enumerate(directions):
                along = np.bincount(codes, direction * left, m)
                R[i, j] += along
                left -= direction * along[codes]
        squared = np.bincount(codes, left**2, m) if j else whole
        is_some = (squared > DEPENDENT**2 * whole) & (squared > 0)
        R[j, j] = np.sqrt(np.where(is_some, squared, 0.0))
        if j + 1 < c:
            inverse = is_some / np.where(is_some, R[j, j], 1.0)
            directions.append(left * inverse[codes])
    return R


def in_Q1(R1, V):
    """The X with R1'X = V for each level, (c, r, m): Q1'u, of V = Z1'u.

    Zero where a row of R1 is.
    """
    X = np.zeros(V.shape)
    for a in range(len(V)):
        remainder = V[a].copy()
        for b in range(a):
            remainder -= R1[b, a] * X[b]
        pivot = R1[a, a]
        is_some = pivot > 0
        inverse = is_some / np.where(is_some, pivot, 1.0)
        np.multiply(remainder, inverse, out=X[a])
    return X


def in_Z1(R1, V):
    """The X with R1 X = V for each level, (c, r, m), so that Q1 V = Z1 X.

    Read backwards, R1 is the transpose of such a triangle.
    """
    backwards = R1[::-1, ::-1]
    X = in_Q1(transposed(backwards), V[::-1])
    return X[::-1]
