"""Q' of Z = QR as it was found, to be applied to further columns."""

from dataclasses import dataclass

import numpy as np
from scipy import linalg
from scipy.linalg.lapack import dormqr

WORKSPACE = 64          # numbers, LAPACK's usual block size: enough for one column


@dataclass(frozen=True, eq=False)
class Rotation:
    """Q', as it was found: centring within the groups of the first block, then Householder's reflections."""

    first: tuple                    # (n, p1) and (p1, n) the columns of the first block, of length 1, and their transpose
    reflectors: np.ndarray          # (n, p - p1 + m) below the diagonal, as LAPACK leaves them
    tau: np.ndarray

    def __call__(self, e, low):
        """The part of Q'e along Z and the other columns of U, and the length of what is left of e."""
        part, rest = centred(self.first, np.array(e)[:, None], low)
        c = min(len(e), self.reflectors.shape[1] - 1)           # the last reflection was made for another e
        if c:
            rest = dormqr("L", "T", self.reflectors[:, :c], self.tau[:c], rest, WORKSPACE)[0]
        rest = rest[:, 0]
        column = np.zeros(self.first[0].shape[1] + self.reflectors.shape[1] - 1)
        column[: len(part)], column[len(part): len(part) + c] = part[:, 0], rest[:c]
        return column, linalg.norm(rest[c:])


def centred(first, columns, low):
    """Q1'columns, and what Q1 leaves of them; `first` is Q1 and Q1', and `low` belongs to the last column."""
    part, (Q1, transposed) = 0, first
    for digits in (0.0, low):                           # the second pass removes what rounding left in the first, and
        columns[:, -1] += digits                        # finds y's column small enough to take the digits it lost
        more = transposed @ columns
        part = part + more
        columns = columns - Q1 @ more
    return part, columns
