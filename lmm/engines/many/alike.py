"""Pieces that are alike: a few of them stand for all, so that balanced designs take no time.

All that is asked of pieces with the same A_a and R is a sum over them of U1' Omega U1, the same
Omega in each, U1 = [X1 y1], (c, k + 1). Such a sum stays the same if the pieces are mixed by an
orthogonal matrix: so if O, (pieces, r), spans what X1 is over the pieces, r of the mixed ones hold
all of X1, and of the others only the matrix Y Y', (c, c), of y1 counts, which c more pieces hold as
its triangle. Traces count pieces, and are shared out.

    one-way, 50 groups of 4, k = 5      6 pieces for 50
    sleepstudy                          3 for 18

This is the reduction of balanced data to a few sums of squares, for any design that has it.
"""

from dataclasses import dataclass

import numpy as np

from ..blocked.levels import transposed, triangles

SAME = 1e-10            # of an element, differences that are rounding errors
NO_NUMBER = 1e-14       # of the largest element, below which one is zero
SPANNED = 1e-12         # of the largest singular value, below which one is zero


@dataclass(frozen=True, eq=False)
class Class:
    """Pieces that are alike, and how they are mixed."""

    members: np.ndarray     # (pieces,)
    mixing: np.ndarray      # O, (pieces, r), orthonormal; None where each stands for itself
    n_new: int


@dataclass(frozen=True, eq=False)
class Alike:
    """The classes of all pieces."""

    classes: tuple

    @property
    def n_new(self):
        """How many pieces stand for all."""
        return sum(one.n_new for one in self.classes)

    def representatives(self):
        """For each new piece an old one of its class, and how many it counts for."""
        places = []
        counts = []
        for one in self.classes:
            if one.mixing is None:
                places.append(one.members)
                counts.append(np.ones(len(one.members)))
            else:
                places.append(np.full(one.n_new, one.members[0]))
                counts.append(np.full(one.n_new, len(one.members) / one.n_new))
        return np.concatenate(places), np.concatenate(counts)

    def of_X(self, X1):
        """X1, (c, k, pieces), of the new pieces."""
        c, k, _ = X1.shape
        parts = []
        for one in self.classes:
            own = X1[..., one.members]
            if one.mixing is not None:
                nothing = np.zeros((c, k, one.n_new - one.mixing.shape[1]))
                own = np.concatenate([own @ one.mixing, nothing], axis=2)
            parts.append(own)
        return np.concatenate(parts, axis=2)

    def of_y(self, y1):
        """y1, (c, B, pieces), of the new pieces."""
        parts = []
        for one in self.classes:
            own = y1[..., one.members]
            if one.mixing is not None:
                mixed = own @ one.mixing
                rest = own - mixed @ one.mixing.T
                squares = np.einsum("ibm,jbm->ijb", rest, rest)
                R = triangles(squares)                          # rest rest' = R'R
                own = np.concatenate([mixed, transposed(R).transpose(0, 2, 1)], axis=2)
            parts.append(own)
        return np.concatenate(parts, axis=2)


def alike(kinds, X1):
    """The `Alike` of pieces with these numbers, (pieces, any), which are equal where alike."""
    c, k, _ = X1.shape
    rounded = rounded_numbers(kinds)
    _, numbers = np.unique(rounded, axis=0, return_inverse=True)
    numbers = np.asarray(numbers).reshape(-1)
    order = np.argsort(numbers, kind="stable")
    ends = np.flatnonzero(np.diff(numbers[order])) + 1
    classes = []
    for members in np.split(order, ends):
        mixing = None
        n_new = len(members)
        if len(members) > c:
            over_pieces = X1[..., members].reshape(c * k, len(members))
            _, sizes, basis = np.linalg.svd(over_pieces, full_matrices=False)
            r = int(np.sum(sizes > SPANNED * sizes.max(initial=0.0)))
            if r + c < len(members):
                mixing = basis[:r].T
                n_new = r + c
        classes.append(Class(members, mixing, n_new))
    return Alike(tuple(classes))


def rounded_numbers(kinds):
    """The numbers, (pieces, any), by ten digits each: those that differ by rounding are equal."""
    sizes = np.abs(kinds)
    largest = sizes.max(axis=0, initial=0.0)
    is_some = sizes > NO_NUMBER * largest
    with np.errstate(divide="ignore"):
        units = np.where(is_some, 10.0 ** np.ceil(np.log10(sizes)), 1.0) * SAME
    return np.where(is_some, np.round(kinds / units) * units, 0.0)
