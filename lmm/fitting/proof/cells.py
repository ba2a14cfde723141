"""How a proof cuts up the parameters: boxes of variances, or sectors of one 2 x 2 covariance.

Both are relative to sigma^2. A cell knows the vertices of a polytope that holds it, its middle, and
two points below and above it: psi(low) <= psi <= psi(up) in the sense of Loewner, everywhere in it.
"""

from dataclasses import dataclass
from functools import cached_property
from itertools import product

import numpy as np

TOP = 1e4               # of a variance times its unit: beyond it a box goes to infinity
FARTHER = 100.0         # where an infinite box is split, over where it begins
TOWARDS_UP = 1e-9       # in the matrices above and below a sector, that nothing is divided by 0


@dataclass(frozen=True, eq=False)
class Boxes:
    """Boxes [low, up] of variances v_k, V - I being linear in them; up may be infinite.

    A cell is a row [low_1 ... low_s up_1 ... up_s].
    """

    units: np.ndarray       # (s,) the size of V's part for v_k = 1
    to_rho: np.ndarray      # (q, s) the entries of psi, linear in v

    @property
    def s(self):
        """How many variances there are."""
        return len(self.units)

    def roots(self):
        """The cells that everything is in: of each v_k below TOP, and beyond it."""
        top = TOP / self.units
        parts = [((0.0, t), (t, np.inf)) for t in top]
        return np.array([[*(a for a, _ in one), *(b for _, b in one)] for one in product(*parts)])

    def ends(self, cells):
        """low and up, (N, s) each."""
        return cells[:, : self.s], cells[:, self.s :]

    def infinite(self, cells):
        """Which variances go to infinity, (N, s), bool."""
        return np.isinf(cells[:, self.s :])

    @cached_property
    def _corners(self):
        """(2^s, s): which corners are up in which variance."""
        return np.array(list(product((0.0, 1.0), repeat=self.s)))

    def vertices(self, cells):
        """The corners, (N, 2^s, s)."""
        low, up = self.ends(cells)
        return low[:, None] + self._corners * (up - low)[:, None]

    def middle(self, cells):
        """In the middle on the scale of log(1 + v unit)."""
        low, up = self.ends(cells)
        a = np.log1p(low * self.units)
        b = np.log1p(np.where(np.isinf(up), FARTHER * low, up) * self.units)
        return np.expm1(0.5 * (a + b)) / self.units

    def low(self, cells):
        """(N, 1, s)."""
        return cells[:, None, : self.s]

    def up(self, cells):
        """(N, s)."""
        return cells[:, self.s :]

    finite_up = up

    def split(self, cells):
        """Each in two, along its longest side, and the number of the cell that each was part of."""
        low, up = self.ends(cells)
        infinite = np.isinf(up)
        width = np.log1p(np.where(infinite, low, up) * self.units) - np.log1p(low * self.units)
        # an infinite box is first made smaller where it is finite
        is_wide = width.max(axis=1, keepdims=True) > 1.0
        width = np.where(infinite, np.where(is_wide, -1.0, 2.0), width)
        side = width.argmax(axis=1)
        row = np.arange(len(cells))
        at = self.middle(cells)[row, side]
        beyond = infinite[row, side]
        at = np.where(beyond, FARTHER * low[row, side], at)
        one = cells.copy()
        two = cells.copy()
        one[row, self.s + side] = at
        two[row, side] = at
        return np.concatenate([one, two]), np.concatenate([row, row])


@dataclass(frozen=True, eq=False)
class Sectors:
    """Cells of a relative 2 x 2 covariance: eigenvalues a >= b, and the angle phi of the first.

    A cell is a row [a1 a2 b1 b2 phi d]: a in [a1, a2], b in [b1, b2], phi within d of phi. With m
    = (a + b) / 2 and r = (a - b) / 2,

        psi = m I + r (cos 2 phi, sin 2 phi),      (., .) being the traceless symmetric matrices.

    For a and b fixed that is an arc, within the triangle of its ends and the crossing of its
    tangents, at r / cos 2d; at a fixed angle psi is linear in a and b: so 4 corners times 3 points
    span the cell. Coordinates are the entries (11, 12, 22), of effects scaled so that the mean of
    Z_i'Z_i over the levels is I.
    """

    largest: float          # eigenvalue of any Z_i'Z_i, in these coordinates
    to_rho: np.ndarray      # (3, 3) the entries of psi, linear in the coordinates

    s = 3

    def roots(self):
        """The cells that everything is in."""
        angles = (np.arange(4) + 0.5) * np.pi / 4
        sizes = ((0.0, 1.0), (1.0, np.inf))
        cells = [[a1, a2, 0.0, a2, angle, np.pi / 8] for angle in angles for a1, a2 in sizes]
        return np.array(cells)

    def infinite(self, cells):
        """Which cells go to infinity, (N, 1), bool."""
        return np.isinf(cells[:, 1:2])

    def vertices(self, cells):
        """The points that span the cells, (N, 12, 3)."""
        a1, a2, b1, b2, angle, d = cells.T
        corners = [_arc(a, b, angle, d) for a in (a1, a2) for b in (b1, b2)]
        return np.concatenate(corners, axis=1)

    def middle(self, cells):
        """In the middle on the scale of log(1 + eigenvalue)."""
        a1, a2, b1, b2, angle, _ = cells.T
        a = _between(a1, np.where(np.isinf(a2), FARTHER * (1 + a1), a2))
        b = _between(b1, np.where(np.isinf(b2), 1 + b1, b2))
        return turned(a, np.minimum(a, b), angle)

    def low(self, cells):
        """Below: where the cell is infinite the three points of (a1, b1), else one thrice."""
        a1, a2, b1, _, angle, d = cells.T
        t = 1 / self.largest
        a = np.maximum(a1, b1)
        s = np.sin(d)
        x = 1 / (b1 + t) - 1 / (a + t)
        e = s * np.sqrt((a + t) / (b1 + t)) + TOWARDS_UP
        first = 1 / (1 / (a + t) + x * (1 + 1 / e) * s * s) - t
        second = 1 / (1 / (a + t) + x * (1 + e)) - t
        one = turned(first, second, angle)[:, None]
        at_infinity = _arc(a1, np.minimum(b1, a1), angle, d)
        return np.where(np.isinf(a2)[:, None, None], at_infinity, one)

    def up(self, cells):
        """Above; of infinite cells nothing."""
        _, a2, _, b2, angle, d = cells.T
        s = np.sin(d)
        with np.errstate(invalid="ignore"):
            e = s * np.sqrt(a2 / (b2 + 1)) + TOWARDS_UP
            x = np.maximum(a2 - b2, 0)
            return turned(b2 + x * (1 + e), b2 + x * (1 + 1 / e) * s * s, angle)

    def finite_up(self, cells):
        """Nothing is finite where the covariance is not."""
        return np.zeros((len(cells), 1))

    def split(self, cells):
        """The same, in the metric of (I + psi)^-1 d psi."""
        a1, a2, b1, b2, _, d = cells.T
        infinite = np.isinf(a2)
        A = np.where(infinite, a1, a2)
        sides = [
            np.where(infinite, 1.0, np.log((1 + A) / (1 + a1))),
            np.where(infinite, 0.0, np.log((1 + np.where(infinite, 0, b2)) / (1 + b1))),
            2 * np.sqrt(2) * d * (A - b1) / np.sqrt((1 + A) * (1 + b1)),
        ]
        side = np.argmax(sides, axis=0)
        one = cells.copy()
        two = cells.copy()
        for k, (low, up) in enumerate([(0, 1), (2, 3)]):
            row = np.flatnonzero(side == k)
            ends = cells[row, low], cells[row, up]
            at = np.where(np.isinf(ends[1]), 4 * ends[0] + 3, _between(*ends))
            one[row, up] = at
            two[row, low] = at
            if k == 0:
                one[row, 3] = np.minimum(one[row, 3], at)
        row = np.flatnonzero(side == 2)
        one[row, 5] /= 2
        two[row, 5] /= 2
        one[row, 4] -= d[row] / 2
        two[row, 4] += d[row] / 2
        # -- a >= b
        both = np.concatenate([one, two])
        both[:, 3] = np.minimum(both[:, 3], both[:, 1])
        both[:, 0] = np.maximum(both[:, 0], both[:, 2])
        there = both[:, 2] < both[:, 1]
        parents = np.tile(np.arange(len(cells)), 2)
        return both[there], parents[there]


def turned(first, second, angle):
    """The entries (11, 12, 22) of a matrix with these eigenvalues, the first along the angle."""
    m = 0.5 * (first + second)
    r = 0.5 * (first - second)
    c = r * np.cos(2 * angle)
    return np.stack([m + c, r * np.sin(2 * angle), m - c], axis=-1)


def _arc(a, b, angle, d):
    """The three points around the arc of the angles within d, (N, 3, 3)."""
    m = 0.5 * (a + b)
    r = 0.5 * (a - b) / np.cos(2 * d)
    ends = turned(a, b, angle - d), turned(a, b, angle + d), turned(m + r, m - r, angle)
    return np.stack(ends, axis=1)


def _between(low, up):
    """The middle of two eigenvalues on the scale of log(1 + eigenvalue)."""
    return np.expm1(0.5 * (np.log1p(low) + np.log1p(up)))
