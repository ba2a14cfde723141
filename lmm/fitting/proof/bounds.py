"""Bounds of the criterion over cells, for whatever knows h and q: equations (a) and (b).

See the package's docstring for the argument.
"""

import numpy as np

ALLOWED = 32.0              # times the rounding error of a float: what an operation may lose
TINY = 1e-300               # in place of a zero that is rounding
NO_RESIDUAL = 1e-20         # of y'y, below which what X and Z leave of y is rounding
PROJECTED = 1e-13           # of the largest singular value of columns of length 1, above which one
                            # is no rounding


class Bounded:
    """Bounds (a) and (b) over cells, from h and q of what inherits.

    It has `chart`, `df`, `constant`; ``at(points, with_gradient)``, which returns h, q, how far
    rounding may take each, and the gradient of q if it is wanted; and ``q_at_infinity``.
    """

    @property
    def numbers_of_a_cell(self):
        """How many numbers the corners of a cell need, nearly."""
        return 2**self.chart.s * self.numbers_of_a_point

    def bounds(self, cells, target):
        """Lower bounds of nll over the cells, (N,), and where X and terms at infinity reproduce y.

        -inf where there is none. What is not below the target is not looked at more closely.
        """
        enough = 2 * (target - self.constant)
        infinite = self.chart.infinite(cells)
        found = np.full(len(cells), -np.inf)
        reproduced = np.zeros(len(cells), bool)
        ended = ~infinite.any(axis=1)
        with np.errstate(all="ignore"):
            if ended.any():
                found[ended] = self._bounds_of_ended(cells[ended], enough)
            if not ended.all():
                at_infinity = self._bounds_at_infinity(cells[~ended], infinite[~ended])
                found[~ended], reproduced[~ended] = at_infinity
        found = np.where(np.isnan(found), -np.inf, found)
        return 0.5 * found + self.constant, reproduced

    def _bounds_of_ended(self, cells, enough):
        """(a) and (b), the larger."""
        df = self.df
        V = self.chart.vertices(cells)
        N, count, s = V.shape
        h, _, off_h, _ = self.at(V.reshape(-1, s))
        h = (h - off_h).reshape(N, count)

        # -- (a): the tangent of q in the middle
        c = self.chart.middle(cells)
        _, q_c, _, off_q, gradient = self.at(c, with_gradient=True)
        rise = np.einsum("nvs,ns->nv", V - c[:, None], gradient)
        size = np.einsum("nvs,ns->nv", np.abs(V - c[:, None]), np.abs(gradient))
        T = q_c[:, None] + rise - off_q[:, None] * (1 + size / q_c[:, None])
        by_tangent = np.where(T > 0, h + df * np.log(np.where(T > 0, T, 1.0)), -np.inf).min(axis=1)
        by_tangent = np.where(np.isnan(by_tangent), -np.inf, by_tangent)

        # -- (b)
        left = np.flatnonzero(by_tangent < enough)
        if len(left):
            low = self._h_of_low(cells[left])
            _, q_up, _, off_q = self.at(self.chart.up(cells[left]))
            by_order = low + df * np.log(q_up - off_q)
            by_tangent[left] = np.fmax(by_tangent[left], by_order)
        return by_tangent

    def _h_of_low(self, cells):
        """h at the points below, its allowance off, the least of several."""
        low = self.chart.low(cells)
        N, count, s = low.shape
        h, _, off_h, _ = self.at(low.reshape(-1, s))
        return (h - off_h).reshape(N, count).min(axis=1)

    def _bounds_at_infinity(self, cells, infinite):
        """(b) where a cell has no end, and where q is 0 there."""
        h = self._h_of_low(cells)
        found = np.full(len(cells), -np.inf)
        reproduced = np.zeros(len(cells), bool)
        for kind in np.unique(infinite, axis=0):
            chosen = np.flatnonzero((infinite == kind).all(axis=1))
            up = self.chart.finite_up(cells[chosen])
            q, off = self.q_at_infinity(kind, up)
            found[chosen] = h[chosen] + self.df * np.log(q - off)
            reproduced[chosen] = q == 0.0
        return found, reproduced


def criterion(problem, points):
    """nll, (N,), inf where it cannot be evaluated."""
    return with_allowance(problem, points)[0]


def with_allowance(problem, points):
    """The same, and how far it may be off by rounding."""
    h, q, off_h, off_q = problem.at(points)
    with np.errstate(all="ignore"):
        values = 0.5 * (h + problem.df * np.log(q)) + problem.constant
        allowances = 0.5 * (off_h + problem.df * off_q / q)
    bad = np.isnan(values)
    return np.where(bad, np.inf, values), np.where(bad, 0.0, allowances)
