"""Columns of which few pairs meet, eliminated in rounds of such as do not meet each other.

K = Lambda' S Lambda + I is a sparse symmetric matrix: teachers meet where they have had the same
pupil. A set of columns no two of which meet is independent: within it K is diagonal, d, and with c
its entries beside the other columns,

    K = [ d   c ]       log|K| = sum of log d + log|K_next|,    K_next = N - c' d^-1 c
        [ c'  N ]

K_next is of the same kind, its columns meeting where those of N do, or through an eliminated one.
Which columns are eliminated in which round, and where each entry goes, is found once, free of theta
(`Rounds`); the numbers are gathers and sums (`SparseTriangle`). What is left when most columns meet
is a dense triangle.

Entries are *packed*: those on and above the diagonal that may be other than zero, row by row. Three
columns, of which 0 and 1 do not meet: {0, 1} is a round, and 2 is left.

                0   1   2
           0    0   .   1           own 0 2: the diagonal of the round
           1        2   3           between 1 3: its entries beside the others
           2            4           staying 4, which becomes entry 0 of what is next

Sources: independent sets in place of one column after another, Liu (1985), "Modification of the
minimum-degree algorithm by multiple elimination", ACM Trans. Math. Softw. 11; the inverse on the
pattern, Takahashi, Fagan and Chin (1973).
"""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from scipy import sparse
from scipy.linalg.blas import dtrsm
from scipy.linalg.lapack import dpotrf, dpotri

from ..algebra import row_of_entries
from ..contract import NotPositiveDefinite

SMALL_TRIANGLE = 128    # columns that are one small dense triangle
FULL = 0.35             # share of entries that are other than zero, from which dense is faster
MOST_SETS = 60          # rounds
GATHERED = 60.0         # products of a dense triangle that take the time of one pair of entries
LOW_DEGREE = 1.5        # times the median of how many others a column meets: what a round takes
SEED = 0                # of the order in which columns of like degree are taken


@dataclass(frozen=True, eq=False)
class Round:
    """One round of eliminations, free of theta: where entries are, and where they go."""

    gone: np.ndarray        # (g,) the numbers of the columns that are eliminated, ...
    staying: np.ndarray     # (s,) ... and of the others
    own: np.ndarray         # (g,) places of their diagonal
    between: np.ndarray     # (nnz,) places of their entries beside the others, by rows: ...
    indptr: np.ndarray      # ... where each eliminated column's begin, ...
    indices: np.ndarray     # ... and the others, numbered among the staying, that they are beside
    row: np.ndarray         # (nnz,) the eliminated column of each
    size: int               # packed entries of this round's matrix, ...
    size_next: int          # ... and of the next one's
    from_here: np.ndarray   # places of the entries among the staying columns, ...
    to_next: np.ndarray     # ... and their places in the next matrix
    left: np.ndarray        # (pairs,) two entries between, of one eliminated column, left <= right,
    right: np.ndarray
    place: np.ndarray       # (pairs,) where their product goes in the next matrix
    diagonal: np.ndarray    # (s,) places of the diagonal of the next matrix

    def sparse(self, entries):
        """The matrix (g, s) with these entries between."""
        shape = (len(self.gone), len(self.staying))
        return sparse.csr_array((entries, self.indices, self.indptr), shape)


@dataclass(frozen=True, eq=False)
class Rounds:
    """All rounds, and the packed places of what is left at the end."""

    rounds: tuple = field(repr=False)
    columns: np.ndarray = field(repr=False)     # (q,) the columns in the order of elimination
    end: int                                    # how many are left
    end_rows: np.ndarray = field(repr=False)    # row and column of the packed entries at the end
    end_columns: np.ndarray = field(repr=False)

    @property
    def work(self):
        """How many times as long as a product in a dense triangle it takes, about: a float."""
        pairs = sum(len(one.left) for one in self.rounds)
        return GATHERED * pairs + float(self.end) ** 3


def rounds_of(pattern):
    """The `Rounds` for a symmetric pattern, (q, q), with its diagonal."""
    A = sparse.csr_array(pattern)
    A.sort_indices()
    rng = np.random.default_rng(SEED)
    numbers = np.arange(A.shape[0])
    rounds = []
    gone = []
    while not _is_full(A) and len(rounds) < MOST_SETS:
        chosen = independent_columns(A, rng)
        if not chosen.any():
            break
        round_, A = _round(A, chosen)
        rounds.append(round_)
        gone.append(numbers[round_.gone])
        numbers = numbers[round_.staying]
    rows, columns = upper_entries(A)
    in_order = np.concatenate([*gone, numbers])
    return Rounds(tuple(rounds), in_order, A.shape[0], rows, columns)


def _is_full(A):
    """Whether a dense triangle is better."""
    q = A.shape[0]
    return q <= SMALL_TRIANGLE or A.nnz > FULL * q * q


def independent_columns(A, rng):
    """Columns of low degree no two of which meet, (q,) of bool.

    A column is taken if it comes before all those that it meets, by degree, ties by lot; then once
    more among those that meet none that was taken.
    """
    q = A.shape[0]
    degree = np.diff(A.indptr) - 1
    rank = degree + 0.5 * rng.random(q)
    row = row_of_entries(A.indptr)
    beside = row != A.indices
    row = row[beside]
    other = A.indices[beside]
    is_low = degree <= LOW_DEGREE * np.median(degree)
    taken = np.zeros(q, bool)
    candidates = is_low
    for _ in range(3):
        own = np.where(candidates, rank, np.inf)
        first_beside = np.full(q, np.inf)
        np.minimum.at(first_beside, row, own[other])
        taken |= candidates & (own < first_beside)
        meets_taken = np.zeros(q, bool)
        meets_taken[other[taken[row]]] = True
        candidates = is_low & ~taken & ~meets_taken
    return taken


def upper_entries(A):
    """Rows and columns of the packed entries of a pattern."""
    row = row_of_entries(A.indptr)
    is_upper = row <= A.indices
    return row[is_upper].astype(np.int64), A.indices[is_upper].astype(np.int64)


def _round(A, chosen):
    """The `Round` that eliminates these columns, and the pattern of what is next."""
    q = A.shape[0]
    gone = np.flatnonzero(chosen)
    staying = np.flatnonzero(~chosen)
    C = sparse.csr_array(A[gone][:, staying])
    C.sort_indices()
    N = sparse.csr_array(A[staying][:, staying] + C.T @ C)
    N.sort_indices()
    N.data[:] = 1.0
    s = len(staying)

    # -- this matrix: the places of the round's diagonal, and of its entries beside the others
    rows, columns = upper_entries(A)
    keys = rows * q + columns
    row = row_of_entries(C.indptr)
    i = gone[row].astype(np.int64)
    j = staying[C.indices].astype(np.int64)
    between = np.searchsorted(keys, np.minimum(i, j) * q + np.maximum(i, j))

    # -- the next one: where entries among the staying columns go
    next_rows, next_columns = upper_entries(N)
    next_keys = next_rows * s + next_columns
    number = np.full(q, -1)
    number[staying] = np.arange(s)
    stays = (number[rows] >= 0) & (number[columns] >= 0)
    to_next = np.searchsorted(next_keys, number[rows[stays]] * s + number[columns[stays]])

    # -- the pairs of entries between of one eliminated column: with itself, and with those after it
    count = np.diff(C.indptr)
    partners = C.indptr[1:][row] - np.arange(C.nnz)
    starts = np.cumsum(partners) - partners
    left = np.repeat(np.arange(C.nnz), partners)
    right = np.arange(len(left)) - np.repeat(starts - np.arange(C.nnz), partners)
    place = np.searchsorted(next_keys, C.indices[left].astype(np.int64) * s + C.indices[right])
    diagonal = np.arange(s) * (s + 1)
    round_ = Round(
        gone=gone,
        staying=staying,
        own=np.searchsorted(keys, gone.astype(np.int64) * (q + 1)),
        between=between,
        indptr=C.indptr,
        indices=C.indices,
        row=np.repeat(np.arange(len(gone)), count),
        size=len(keys),
        size_next=len(next_keys),
        from_here=np.flatnonzero(stays),
        to_next=to_next,
        left=left.astype(np.int32),
        right=right.astype(np.int32),
        place=place.astype(np.int32),
        diagonal=np.searchsorted(next_keys, diagonal.astype(np.int64)),
    )
    return round_, N


class SparseTriangle:
    """K factored: by rounds, and a dense triangle at the end.

    Raises NotPositiveDefinite where a pivot is not positive.
    """

    def __init__(self, rounds, packed):
        self.rounds = rounds
        self.numbers = []                       # of each round: 1 / d, and w = d^-1 c
        pivots = []
        for one in rounds.rounds:
            d = packed[one.own]
            if not (d > 0).all():
                raise NotPositiveDefinite
            c = packed[one.between]
            inverse = 1 / d
            w = c * inverse[one.row]
            following = np.zeros(one.size_next)
            following[one.to_next] = packed[one.from_here]
            products = c[one.left] * w[one.right]
            following -= np.bincount(one.place, products, one.size_next)
            self.numbers.append((inverse, w))
            pivots.append(d)
            packed = following
        K = np.zeros((rounds.end, rounds.end), order="F")
        K[rounds.end_columns, rounds.end_rows] = packed         # its lower triangle
        self.L = K
        if rounds.end:
            self.L, failed = dpotrf(K, lower=1, overwrite_a=1)
            if failed:
                raise NotPositiveDefinite
        pivots.append(self.L.diagonal() ** 2)
        self.pivots = np.concatenate(pivots)    # (q,) by the order of elimination

    @cached_property
    def logdet(self):
        """log|K|."""
        return float(np.add.reduce(np.log(self.pivots)))

    def solve(self, b):
        """K^-1 b, (q, r)."""
        above = []
        for one, (_, w) in zip(self.rounds.rounds, self.numbers):
            W = one.sparse(w)
            of_gone = b[one.gone]
            above.append((W, of_gone))
            b = b[one.staying] - W.T @ of_gone
        x = b
        if self.rounds.end:
            x = dtrsm(1.0, self.L, dtrsm(1.0, self.L, b, lower=1), lower=1, trans_a=1)
        for one, (inverse, _), (W, of_gone) in zip(
            reversed(self.rounds.rounds), reversed(self.numbers), reversed(above)
        ):
            whole = np.empty((len(one.gone) + len(one.staying), x.shape[1]))
            whole[one.staying] = x
            whole[one.gone] = inverse[:, None] * of_gone - W @ x
            x = whole
        return x

    def inverse(self):
        """The entries of K^-1 where K may have any, packed, from the last round back.

        With w = d^-1 c, those beside the round's columns are -w N^-1 and its own 1 / d + w N^-1 w',
        and both need N^-1 only where two columns meet.
        """
        packed = np.zeros(0)
        if self.rounds.end:
            last, _ = dpotri(self.L, lower=1)
            packed = last[self.rounds.end_columns, self.rounds.end_rows]
        for one, (inverse, w) in zip(reversed(self.rounds.rounds), reversed(self.numbers)):
            nnz = len(w)
            of_pair = packed[one.place]
            # -- w N^-1 on the pattern: a pair of an entry with itself comes twice
            times = -w * packed[one.diagonal][one.indices]
            times += np.bincount(one.right, of_pair * w[one.left], nnz)
            times += np.bincount(one.left, of_pair * w[one.right], nnz)
            whole = np.empty(one.size)
            whole[one.from_here] = packed[one.to_next]
            whole[one.between] = -times
            whole[one.own] = inverse + np.bincount(one.row, w * times, len(inverse))
            packed = whole
        return packed
