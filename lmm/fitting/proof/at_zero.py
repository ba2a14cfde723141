"""The criterion where sigma goes to zero: a term takes its place, and sigma = 0 is a point."""

from itertools import product

import numpy as np

from ...engines import triangles_or_nan
from .bounds import ALLOWED, NO_RESIDUAL, TINY, Bounded
from .cells import TOP, Boxes

NUMBERS_AT_A_TIME = 1_000_000       # in matrices of rows by rows


def relative_to_terms(problem, cell):
    """A cell without end in charts where a variance that goes to infinity is in sigma's place.

    The smallest of them is, each times its unit, so there is one: (its number, cells). All
    variances are divided by it, and sigma^2 = 1 becomes the smallest coordinate. Those that are
    infinite with it are larger than it, up to infinity; the finite ones are next to zero.
    """
    chart = problem.chart
    numbers = [number for number in range(chart.s + 1) if number != problem.reference]
    units = dict(zip(numbers, chart.units)) | {problem.reference: 1.0}
    low = dict(zip(numbers, cell[: chart.s])) | {problem.reference: 1.0}
    up = dict(zip(numbers, cell[chart.s :])) | {problem.reference: 1.0}
    infinite = [number for number in numbers if np.isinf(up[number])]
    for reference in infinite:
        sides = []
        for number in range(chart.s + 1):
            if number == reference:
                continue
            ratio = units[reference] / units[number]
            if number in infinite:
                sides.append([(ratio, TOP * ratio), (TOP * ratio, np.inf)])
            else:
                sides.append([(0.0, up[number] / low[reference])])
        cells = [[*(a for a, _ in one), *(b for _, b in one)] for one in product(*sides)]
        yield reference, np.array(cells)


class AtZero(Bounded):
    """The criterion where sigma^2 is small beside a term: all relative to that term's variance.

    V = V_r + sigma^2 I + the others, each with its coordinate, sigma's being one of them; so
    sigma = 0 is a point like others. By dense algebra beside X: for REML h = log|K'VK| of an
    orthonormal K with K'X = 0; q = y'K (K'VK)^-1 K'y is the same for both.
    """

    def __init__(self, problem, reference):
        self.of = problem
        self.reference = reference
        self.setup = problem.setup
        self.df = problem.df
        self.constant = problem.constant
        self.evaluations = 0
        self.numbers = [number for number in range(problem.chart.s + 1) if number != reference]
        units = np.array([1.0, *problem.chart.units])
        self.chart = Boxes(units[self.numbers] / units[reference], np.eye(len(self.numbers)))
        self._infinite = {}

        # -- K, and what V is linear in, beside X and for ML also with it
        Z, y, owner = problem.dense
        X = problem.family.rows.X
        n, k = X.shape
        self.K = np.linalg.qr(X, mode="complete")[0][:, k:] if k else np.eye(n)
        parts = [np.eye(n)]
        for number in range(problem.chart.s):
            of_term = Z[:, owner == number]
            parts.append(of_term @ of_term.T)
        self.whole_parts = np.array(parts)
        self.parts = self.K.T @ self.whole_parts @ self.K
        self.y = self.K.T @ y

    @property
    def numbers_of_a_point(self):
        """How many numbers an evaluation needs, nearly: of rows by rows, and for their triangle."""
        n = len(self.y)
        return n * n * max(1, n // 10)

    def _weighted(self, parts, points):
        """V at points, (N, d, d)."""
        d = parts.shape[1]
        others = points @ parts[self.numbers].reshape(len(self.numbers), d * d)
        return others.reshape(-1, d, d) + parts[self.reference]

    def at(self, points, with_gradient=False):
        """As `Problem.at`."""
        size = max(1, NUMBERS_AT_A_TIME // self.whole_parts[0].size)
        found = []
        for start in range(0, len(points), size):
            found.append(self._at(points[start : start + size], with_gradient))
        return tuple(np.concatenate(arrays) for arrays in zip(*found))

    def _at(self, points, with_gradient):
        self.evaluations += len(points)
        V = self._weighted(self.parts, points)
        L = triangles_or_nan(V)
        # an evaluation is off by eps times what its pivots are differences of, nearly
        lost = _lost(V, L)
        if self.setup.reml:
            h = 2 * np.log(np.einsum("bii->bi", L)).sum(axis=1)
            off_h = lost
        else:
            whole = self._weighted(self.whole_parts, points)
            L_whole = triangles_or_nan(whole)
            h = 2 * np.log(np.einsum("bii->bi", L_whole)).sum(axis=1)
            off_h = _lost(whole, L_whole)
        bad = np.isnan(L[:, 0, 0]) | np.isnan(h)
        L = np.where(bad[:, None, None], np.eye(L.shape[1]), L)
        half = np.linalg.solve(L, np.broadcast_to(self.y[:, None], (len(L), len(self.y), 1)))
        q = np.where(bad, np.nan, np.sum(half[:, :, 0] ** 2, axis=1))
        h = np.where(bad, np.nan, h)
        if not with_gradient:
            return h, q, off_h, q * lost
        r = np.linalg.solve(L.swapaxes(1, 2), half)[:, :, 0]            # V^-1 y
        gradient = -np.einsum("bi,aij,bj->ba", r, self.parts[self.numbers], r, optimize=True)
        return h, q, off_h, q * lost, gradient

    def q_at_infinity(self, infinite, points):
        """As `Problem.q_at_infinity`."""
        key = tuple(infinite)
        if key not in self._infinite:
            away = [number for number, is_so in zip(self.numbers, infinite) if is_so]
            scaled = [part / max(TINY, part.trace()) for part in self.parts[away]]
            values, vectors = np.linalg.eigh(np.sum(scaled, axis=0))
            beside = len(values) * np.finfo(float).eps * values[-1]     # rather more is taken out
            self._infinite[key] = vectors[:, values <= beside]
        B = self._infinite[key]
        y = B.T @ self.y
        if y @ y < NO_RESIDUAL * (self.y @ self.y):
            return np.zeros(len(points)), 0.0
        self.evaluations += len(points)
        parts = B.T @ self.parts @ B
        points = np.where(infinite, 0.0, points)
        V = self._weighted(parts, points)
        L = triangles_or_nan(V)
        bad = np.isnan(L[:, 0, 0])
        lost = np.where(bad, 1.0, _lost(V, L))
        L = np.where(bad[:, None, None], np.eye(L.shape[1]), L)
        half = np.linalg.solve(L, np.broadcast_to(y[:, None], (len(L), len(y), 1)))
        q = np.sum(half[:, :, 0] ** 2, axis=1)
        return np.where(bad, TINY, q), q * lost

    def theta_of(self, point):
        """theta there: relative to sigma again, if that is not zero."""
        relative = dict(zip(self.numbers, point)) | {self.reference: 1.0}
        sigma2 = max(relative[0], TINY)
        others = [relative[number] / sigma2 for number in range(1, len(relative))]
        return self.of.theta_of(np.array(others))


def _lost(V, L):
    """How far log|V| may be off by rounding, and q relative to itself, for V = L L'.

    V itself, a product with K on both sides, is off by eps times its largest element.
    """
    eps = ALLOWED * np.finfo(float).eps
    diagonals = np.einsum("bii->bi", V)
    pivots = np.einsum("bii->bi", L) ** 2
    return eps * np.sum((diagonals * V.shape[1] + diagonals.max(axis=1)[:, None]) / pivots, axis=1)
