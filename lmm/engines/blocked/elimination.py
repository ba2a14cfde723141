"""Which terms are eliminated, in which order: found once, free of theta.

Two levels of the first term never meet in a row, so what their columns of Z share is
block-diagonal, a matrix c x c for each level. Eliminating them leaves the cross-products of the
remaining columns, Z2, in which two columns meet that met in a row, or in a level of the first
term. Where levels of another term still do not meet, as with classes after the pupils within them,
that term is eliminated next; the columns that are left at the end are kept, and any two of them may
meet.
"""

import numpy as np
from scipy import sparse

from ...machine import refuse_too_large
from ..algebra import ends_of, numbers_within, row_of_entries
from .coupling import SMALL_MATRIX
from .layout import Eliminated, Kept, Sparse, count_pairs
from .sparse_rest import rounds_of, upper_entries

PAIR = 15.0             # how many products by BLAS take the time of one pair of a sparse pattern
FEWEST_SPARSE = 300     # columns up to which a dense triangle, with exact second derivatives, is
                        # as fast as a sparse one
MOST_MEETING = 0.1      # of q^2, pairs that meet in a level: beyond, there is no sparse triangle
WORTH = 0.05            # of q^3, the products of a sparse triangle up to which it is faster
MOST_KEPT = 200         # columns up to which no further term is eliminated: one small triangle
                        # costs less


def layout_of(grouping, pattern, meeting_in_rows, others):
    """The layout of a term that is eliminated, and of all others.

    Parameters
    ----------
    grouping : Grouping
    pattern : sparse array, (m, q)
        Which of the other columns each of its levels meets.
    meeting_in_rows : callable
        Gives the pattern, sparse (q, q), of which other columns meet each other in a row, where
        that is needed.
    others : sequence of Grouping
        The other terms, in the order of their columns.

    Returns
    -------
    Eliminated
        Its ``groupings`` may be in another order than those given.
    """
    ends = ends_of(other.width for other in others)
    q = ends[-1]
    sparse_rest = _sparse_layout(pattern, meeting_in_rows, others, q)
    if sparse_rest is not None:
        return Eliminated(grouping, pattern.indptr, pattern.indices, sparse_rest)
    chosen = None
    if q > MOST_KEPT:
        chosen = _next_to_eliminate(others, ends, pattern)
    if chosen is None:
        kept = Kept(tuple(others))
        if is_nearly_full(pattern):
            pattern = filled(pattern)
        return Eliminated(grouping, pattern.indptr, pattern.indices, kept)
    held = grouping.c**2 * count_pairs(pattern.indptr)
    refuse_too_large(0, held)

    # -- what is left without this term: two columns meet in a row, or in a level of it
    meeting = _meeting(pattern, meeting_in_rows)

    # -- the next term: which of the columns besides it each of its levels meets
    next_one = others[chosen]
    own = numbers_within(ends, [chosen])
    besides = np.delete(np.arange(q), own)
    level = np.arange(len(own)) % next_one.m
    entries = (np.ones(len(own)), (level, own))
    of_level = sparse.csr_array(entries, shape=(next_one.m, q))
    met = of_level @ meeting
    remaining = layout_of(
        next_one,
        _chosen_columns(met, besides),
        lambda: meeting[besides][:, besides],
        [other for other in others if other is not next_one],
    )

    # -- this term's pattern, its columns in the order in which the others are now
    number = {other.blocks.start: i for i, other in enumerate(others)}
    in_order = [number[other.blocks.start] for other in remaining.groupings]
    columns = numbers_within(ends, in_order)
    pattern = _chosen_columns(pattern, columns)
    return Eliminated(grouping, pattern.indptr, pattern.indices, remaining)


def is_nearly_full(pattern):
    """Whether products with all of a pattern's matrix take less time than those with its pairs."""
    m, q = pattern.shape
    return m * q <= SMALL_MATRIX or m * float(q) ** 2 <= PAIR * count_pairs(pattern.indptr)


def filled(pattern):
    """The pattern with an entry everywhere, zero where it had none."""
    m, q = pattern.shape
    indices = np.tile(np.arange(q, dtype=np.int32), m)
    indptr = np.arange(m + 1) * q
    return sparse.csr_array((pattern.toarray().ravel(), indices, indptr), (m, q))


def _meeting(pattern, meeting_in_rows):
    """The pattern (q, q) of which remaining columns meet in a row, or in a level."""
    in_levels = pattern.T @ pattern
    return sparse.csr_array(meeting_in_rows() + in_levels)


def _sparse_layout(pattern, meeting_in_rows, others, q):
    """The `Sparse` layout of the remaining columns, or None where a dense triangle is better."""
    if q <= FEWEST_SPARSE or any(other.c > 1 for other in others):
        return None
    if count_pairs(pattern.indptr) > MOST_MEETING * q**2:
        return None
    meeting = _meeting(pattern, meeting_in_rows)
    meeting.sort_indices()
    rounds = rounds_of(meeting)
    if rounds.work > WORTH * float(q) ** 3:
        return None
    rows, columns = upper_entries(meeting)
    return Sparse(tuple(others), rows, columns, rounds)


def _chosen_columns(pattern, columns):
    """These columns of a sparse matrix, its entries sorted by row and column."""
    chosen = sparse.csr_array(pattern[:, columns])
    chosen.sort_indices()
    return chosen


def _next_to_eliminate(groupings, ends, pattern):
    """The number of the widest term of which each row of the pattern has one level at most."""
    row_of_entry = row_of_entries(pattern.indptr)
    column = pattern.indices
    found = []
    for i, grouping in enumerate(groupings):
        is_of_term = (ends[i] <= column) & (column < ends[i + 1])
        row = row_of_entry[is_of_term]
        level = (column[is_of_term] - ends[i]) % grouping.m
        last_level = np.zeros(pattern.shape[0], int)
        last_level[row] = level
        if (last_level[row] == level).all():
            found.append(i)
    return max(found, key=lambda i: groupings[i].width, default=None)
