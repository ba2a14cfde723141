"""Rows that stand for many: sums that are merged, whatever the order, and lose no digits.

Rows of a *cell* have the same level of each grouping, so in them Z differs in the values of the
effects alone, E (rows, c), a constant among them. With U (rows, m) and an orthogonal Q of the cell,

    Q' [E U] = [ R  R_U ]       R (c, c) upper triangular,  R_U (c, m),
               [ 0  S   ]       S the rest, with the cross-products S'S.

The likelihood knows rows by their cross-products and their number. So c rows [R R_U] stand for
those of the cell, and m rows with E = 0 for the rest of all cells, whose S'S are added up. Of a
random intercept, c = 1, they are sqrt(N) times 1 and the means of U, and S is what is within cells.
Two such summaries are merged as rows are: [R_a R_aU ; R_b R_bU] takes the place of [E U]. What Q
leaves of U is found row by row, not as a difference of squares.
"""

from dataclasses import dataclass

import numpy as np

from .blocked.levels import in_Q1, in_Z1, times, transposed, triangles

MOST_CELLS_IN_PLACE = 4_000_000     # possible cells, of which each has its place, up to ...
DENSE = 4                   # ... so many times the rows
PASSES = 2                  # what rounding leaves once is gone when done twice


@dataclass(frozen=True, eq=False)
class Cells:
    """What stands for the rows of cells.

    Attributes
    ----------
    keys : ndarray of int64, shape (N,)
        The cells, sorted; a cell may be without rows.
    R : ndarray, shape (c, c, N)
    R_U : ndarray, shape (c, m, N)
    rest : ndarray, shape (m, m)
        S'S, summed over the cells.
    n : int
        How many rows there were.
    """

    keys: np.ndarray
    R: np.ndarray
    R_U: np.ndarray
    rest: np.ndarray
    n: int

    @property
    def nbytes(self):
        """The memory it takes."""
        return self.keys.nbytes + self.R.nbytes + self.R_U.nbytes

    def rows(self):
        """What stands for all rows, without those of zeros.

        Returns
        -------
        E : ndarray, shape (rows, c)
        U : ndarray, shape (rows, m)
        place : ndarray of int, shape (rows,)
            Of each row its cell's place among the keys; of the rest that of a cell with rows.
        """
        c = len(self.R)
        effect, place = np.nonzero(self.R.any(axis=1))
        E = self.R[effect, :, place]
        U = self.R_U[effect, :, place]
        S = triangles(self.rest[:, :, None])[:, :, 0]
        S = S[S.any(axis=1)]
        E = np.concatenate([E, np.zeros((len(S), c))])
        anywhere = place[:1] if len(place) else np.zeros(1, int)
        place = np.concatenate([place, np.repeat(anywhere, len(S))])
        return E, np.concatenate([U, S]), place


def cells_of(keys, size, E, U):
    """The `Cells` of rows.

    Parameters
    ----------
    keys : ndarray of int64, shape (rows,)
        The cell of each row, of `size` possible ones.
    size : int
    E : list of ndarray, each (rows,)
        The values of the effects.
    U : ndarray, shape (rows, m)

    Notes
    -----
    O(rows c (c + m)); not changed are E and U.
    """
    if size <= min(MOST_CELLS_IN_PLACE, DENSE * len(keys)):
        found = np.arange(size)
        place = keys
    else:
        found, place = np.unique(keys, return_inverse=True)
    N = len(found)

    def sums(values):
        """(N,): the sums over the rows of each cell."""
        return np.bincount(place, values, N)

    c, m = len(E), U.shape[1]
    G = np.empty((c, c, N))
    for i in range(c):
        for j in range(i, c):
            G[i, j] = G[j, i] = sums(E[i] * E[j])
    R = triangles(G)
    R_U = np.zeros((c, m, N))
    left = np.array(U.T, order="C")                             # (m, rows)
    for _ in range(PASSES):
        along = np.array([[sums(e * column) for column in left] for e in E]).reshape(c, m, N)
        more = in_Q1(R, along)
        R_U += more
        of_cell = in_Z1(R, more)                                # (c, m, N)
        for j in range(m):
            for i in range(c):
                left[j] -= E[i] * of_cell[i, j][place]
    return Cells(found, R, R_U, left @ left.T, len(keys))


def merged(a, b):
    """The `Cells` of the rows of both: O(cells)."""
    keys = a.keys
    if not np.array_equal(a.keys, b.keys):
        keys = np.union1d(a.keys, b.keys)
        a = _at(keys, a)
        b = _at(keys, b)
    if not len(a.R):                                            # no random effects
        return Cells(keys, a.R, a.R_U, a.rest + b.rest, a.n + b.n)
    parts = (a, b)
    R = triangles(sum(times(transposed(part.R), part.R) for part in parts))
    R_U = np.zeros(a.R_U.shape)
    left = [part.R_U.copy() for part in parts]
    for _ in range(PASSES):
        along = sum(times(transposed(part.R), rows) for part, rows in zip(parts, left))
        more = in_Q1(R, along)
        R_U += more
        of_cell = in_Z1(R, more)
        left = [rows - times(part.R, of_cell) for part, rows in zip(parts, left)]
    rest = a.rest + b.rest
    for rows in left:
        rest = rest + np.einsum("imn,iln->ml", rows, rows, optimize=True)
    return Cells(keys, R, R_U, rest, a.n + b.n)


def _at(keys, cells):
    """The same cells among more of them."""
    place = np.searchsorted(keys, cells.keys)
    c, m, _ = cells.R_U.shape
    R = np.zeros((c, c, len(keys)))
    R_U = np.zeros((c, m, len(keys)))
    R[:, :, place] = cells.R
    R_U[:, :, place] = cells.R_U
    return Cells(keys, R, R_U, cells.rest, cells.n)
