"""Whether an optimum is global: branch and bound over all variances, relative to sigma^2.

With sigma and beta profiled out the criterion is

    nll = 1/2 (h + df log q) + constant,

    h = log|V|, for REML log|V| + log|X'V^-1 X| = log|K'VK|:    concave, increasing in V
    q = min over beta of (y - X beta)' V^-1 (y - X beta):       convex, decreasing in V

V being linear in psi. So at a point c of a cell q lies above its tangent there, q >= T; log T is
concave where T > 0, and so is h + df log T: it is least at a vertex of any polytope that holds the
cell. That is a lower bound whose error is of second order in the cell's size:

    (a)  nll >= 1/2 min over the vertices v of  h(v) + df log T(v).

Another one, of first order, is there always, with psi(low) <= psi <= psi(up) in the cell:

    (b)  nll >= 1/2 (h(low) + df log q(up)),

q(up) being that of the terms at infinity, their columns projected out, where a cell has no end. A
cell whose bound is above the optimum less the tolerance holds nothing better; the others are split.
If the criterion is lower than that in the middle of one, the optimum is refuted.

Every bound is lowered by an allowance for rounding errors, see `Problem._allowances`.

Sources: branch and bound, Land and Doig (1960); concavity of log|V|, Boyd and Vandenberghe (2004),
section 3.1.5; that y'V^-1 y is convex in V, there, 3.1.7.
"""

from dataclasses import dataclass
from functools import cached_property
from itertools import product
from time import perf_counter

import numpy as np

from ..engines import Unsuitable, family_of, look, slopes, triangles_or_nan
from ..model import Unstructured, Variances
from .cells import TOP, Boxes, Sectors

AT_A_TIME = 2000            # cells
NUMBERS_AT_A_TIME = 1_000_000       # in matrices at sigma = 0
FEW_CELLS = 32              # up to which they are split once more before their bounds are looked at
MOST_IN_Z = 5_000_000    # in Z, up to which terms at infinity are projected out
MOST_DENSE_ROWS = 100             # up to which sigma = 0 is looked at
REPRODUCED = "the fixed and random effects together can reproduce the response"
PROJECTED = 1e-13           # of the largest singular value, above which one is no rounding
TINY = 1e-300               # in place of a zero that is rounding
NO_RESIDUAL = 1e-20             # of y'y, below which what X and Z leave of y is rounding
ALLOWED = 32.0             # times the rounding error of a float: what an operation may lose
PROVED, REFUTED, OPEN = "proved", "refuted", "open"


@dataclass(frozen=True, eq=False)
class Verdict:
    """What branch and bound found.

    Attributes
    ----------
    verdict : {"proved", "refuted", "open"}
    reason : str
        Why it is open; "" otherwise.
    lower_bound : float
        No theta has a smaller criterion, up to the allowance for rounding that is in it.
    theta : ndarray or None
        A better theta, where it is refuted.
    nll : float
        The criterion there, or at the optimum that was to be proved.
    boxes, evaluations : int
    seconds : float
    cells : ndarray
        The cells that were pruned, a row each, to be drawn.
    """

    verdict: str
    reason: str
    lower_bound: float
    theta: np.ndarray | None
    nll: float
    boxes: int
    evaluations: int
    seconds: float
    cells: np.ndarray


class Bounded:
    """Bounds (a) and (b) over cells, from h and q of what inherits.

    It has `chart`, `df`, `constant`; ``at(points, with_gradient)``, which returns h, q, how far
    rounding may take each, and the gradient of q if it is wanted; and ``q_at_infinity``.
    """

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


class Problem(Bounded):
    """The criterion of a set-up as h and q of the variances, or of a covariance, of a chart.

    Unsuitable where there is no chart, or the design is none for stacks.
    """

    def __init__(self, setup):
        self.setup = setup
        self.family = family_of(setup)
        self.design = self.family.design
        y = setup.design.y[:, None]
        self.responses, _, whole, self.lost = self.family.respond(y)
        self.whole = float(whole[0])                            # e'e
        self.df = float(self.design.df[0])
        self.constant = float(self.design.constant[0]) + 0.5 * self.df * (1 - np.log(self.df))
        if setup.reml:
            self.constant += float(self.design.log_root[0])
        self.chart = self._chart()
        self.evaluations = 0

    reference = 0                                               # what the variances are relative to

    def theta_of(self, point):
        """theta at a point of the chart, sigma being profiled out."""
        covariance = self.setup.covariance
        psi = covariance.entries.matrix(self.rho(point[None])[0])
        _, q, *_ = self.at(point[None])
        theta = covariance.turned(covariance.theta(0.0, psi), self.family.rows.turn)
        return covariance.rescaled(theta, 0.5 * np.log(q[0] / self.df))

    def _chart(self):
        """`Boxes` where all structures are linear in variances; `Sectors` of one 2 x 2 term."""
        setup = self.setup
        covariance = setup.covariance
        structures = covariance.structures
        squares = np.exp(-2 * self.family.rows.units)
        if all(isinstance(one, Variances) for one in structures):
            units = []
            for one, span in zip(structures, covariance.spans):
                shares = np.array([B.diagonal() / B.trace() for B in one.basis])
                units += (shares @ squares[span]).tolist()
            return Boxes(np.array(units), covariance.free_parts[1:, 1:])
        one = structures[0]
        if len(structures) == 1 and type(one) is Unstructured and one.c == 2:
            return self._sectors()
        raise Unsuitable(
            "its terms are neither independent effects nor one term of two correlated ones"
        )

    def _sectors(self):
        """The chart of one term with two effects, scaled so that the mean of Z_i'Z_i is I."""
        R = self.design.R[:, :, 0]                              # (2, 2, pieces)
        counts = self.design.counts[0]
        G = np.einsum("aim,ajm->mij", R, R)                     # Z_i'Z_i
        mean = np.einsum("m,mij->ij", counts, G) / counts.sum()
        C = np.linalg.cholesky(mean)
        inverse = np.linalg.inv(C)
        scaled = inverse @ G @ inverse.T
        columns = []
        for one in ([[1.0, 0.0], [0.0, 0.0]], [[0.0, 1.0], [1.0, 0.0]], [[0.0, 0.0], [0.0, 1.0]]):
            psi = inverse.T @ np.array(one) @ inverse           # psi = C'^-1 (chart's) C^-1
            columns.append(psi[[0, 1, 1], [0, 0, 1]])
        return Sectors(float(np.linalg.eigvalsh(scaled)[:, -1].max()), np.array(columns).T)

    # -- h and q

    def rho(self, points):
        """The entries of psi over sigma^2 at points of the chart, (N, s)."""
        return points @ self.chart.to_rho.T

    def at(self, points, with_gradient=False):
        """h and q, (N,) each, nan where V is not positive definite, and how far they may be off.

        With q's gradient, (N, s), if it is wanted.
        """
        self.evaluations += len(points)
        rho = self.rho(points)
        found = look(self.design, rho, self.responses)
        with np.errstate(invalid="ignore", divide="ignore"):
            bad = ~np.isfinite(found.nll)
            q = np.where(bad, np.nan, found.quadratic)
            h = 2 * (found.nll - self.constant) - self.df * np.log(q)
        h = np.where(bad, np.nan, h)
        off = self._allowances(rho, q)
        if not with_gradient:
            return h, q, *off
        of_rho = slopes(self.design, found, self.responses)
        forms = of_rho.forms * (found.quadratic / self.df)[:, None]     # -dq / d rho
        return h, q, *off, -forms @ self.chart.to_rho

    def _allowances(self, rho, q):
        """How far h and q may be off, (N,) each, by rounding errors.

        h is a sum of as many logarithms as Z and X have columns; a pivot is at least 1, and is off
        by eps times what it is a difference of, at most 1 + the size of V's parts. q is a
        difference from e'e.
        """
        eps = ALLOWED * np.finfo(float).eps
        size = np.abs(rho) @ self._sizes
        columns = self.setup.design.p + len(self.setup.beta_0) + 1
        return eps * columns * (1 + size), eps * columns * (self.whole + 0 * q)

    @cached_property
    def _sizes(self):
        """(q,): the largest squared length of a column of Z of the blocks of each entry."""
        largest = [float(np.max(_squares(Z), initial=0.0)) for Z in self.family.rows.blocks]
        entries = self.setup.covariance.entries
        return np.array([np.sqrt(largest[i] * largest[j]) for i, j in entries.pairs])

    # -- terms at infinity

    def q_at_infinity(self, infinite, points):
        """q, (N,), where the variances `infinite`, (s,) bool, are so, and others as in points.

        And how far rounding may take it; exactly 0 where X and these terms reproduce y.
        """
        known = self._projected.get(tuple(infinite))
        if known is None:
            known = self._projected[tuple(infinite)] = self._project(infinite)
        A, b, yy, owner = known
        off = ALLOWED * np.finfo(float).eps * (1 + len(self._columns[2])) * self.whole
        if not len(owner) or yy == 0.0:
            return np.full(len(points), yy), off
        self.evaluations += len(points)
        roots = np.sqrt(np.maximum(points, 0.0))[:, owner]
        K = A * roots[:, :, None] * roots[:, None, :]
        K[:, range(len(A)), range(len(A))] += 1.0
        L = triangles_or_nan(K)
        bad = np.isnan(L[:, 0, 0])
        L = np.where(bad[:, None, None], np.eye(len(A)), L)
        half = np.linalg.solve(L, (roots * b)[:, :, None])[:, :, 0]
        q = np.where(bad, TINY, yy - np.sum(half**2, axis=1))
        return np.maximum(q, TINY), off

    @cached_property
    def _projected(self):
        return {}

    @cached_property
    def _columns(self):
        """M [Z y], M = I - Q_X Q_X', and the variance of the chart that each column belongs to."""
        rows = self.family.rows
        Z, y, owner = self.dense
        both = np.column_stack([Z, y])
        for _ in range(2):
            both = both - rows.X @ (rows.X.T @ both)
        return both[:, :-1], both[:, -1], owner

    @cached_property
    def dense(self):
        """Z, (n, p), y less its offset, and the variance that each column of Z belongs to."""
        rows = self.family.rows
        design = self.setup.design
        y = design.weighted(design.y - design.offset)
        covariance = self.setup.covariance
        parts = []
        owner = []
        number = 0
        if isinstance(self.chart, Sectors):
            parts = [block.toarray() for block in rows.blocks]
            owner = np.zeros(sum(part.shape[1] for part in parts), int)
        else:
            for one, span in zip(covariance.structures, covariance.spans):
                blocks = [block.toarray() for block in rows.blocks[span]]
                for B in one.basis:
                    values, vectors = np.linalg.eigh(B)
                    for value, vector in zip(values, vectors.T):
                        if value > PROJECTED:
                            mixed = sum(v * block for v, block in zip(vector, blocks))
                            parts.append(np.sqrt(value) * mixed)
                            owner += [number] * mixed.shape[1]
                    number += 1
        return np.hstack([np.zeros((rows.n, 0)), *parts]), y, np.asarray(owner, int)

    def _project(self, infinite):
        """Z'PZ, Z'Py, y'Py of the finite terms, P the projection beside X and the infinite ones."""
        Z, y, owner = self._columns
        away = infinite[owner]
        U, sizes, _ = np.linalg.svd(Z[:, away], full_matrices=False)
        U = U[:, sizes > PROJECTED * sizes.max(initial=0.0)]
        kept = Z[:, ~away]
        both = np.column_stack([kept, y])
        for _ in range(2):
            both = both - U @ (U.T @ both)
        kept = both[:, :-1]
        left = both[:, -1]
        yy = left @ left
        if yy < NO_RESIDUAL * (y @ y):
            yy = 0.0
        return kept.T @ kept, kept.T @ left, yy, owner[~away]


def relative_to_terms(problem, cell):
    """A cell without end in charts where a variance that goes to infinity is in sigma's place.

    The smallest of them is, so of each there is one: (its number, cells). All variances are divided
    by it, and sigma^2 = 1 becomes the smallest coordinate. Those that are infinite with it are
    larger than it, up to infinity; the finite ones are next to zero.
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
            values, vectors = np.linalg.eigh(self.parts[away].sum(axis=0))
            self._infinite[key] = vectors[:, values <= PROJECTED * values[-1]]
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
    """How far log|V| may be off by rounding, and q relative to itself, for V = L L'."""
    eps = ALLOWED * np.finfo(float).eps
    pivots = np.einsum("bii->bi", L) ** 2
    return eps * V.shape[1] * np.sum(np.einsum("bii->bi", V) / pivots, axis=1)


def _squares(Z):
    """The squared lengths of the columns of a sparse matrix."""
    return np.bincount(Z.indices, Z.data**2, Z.shape[1])


def criterion(problem, points):
    """nll, (N,), inf where it cannot be evaluated."""
    h, q, *_ = problem.at(points)
    with np.errstate(all="ignore"):
        values = 0.5 * (h + problem.df * np.log(q)) + problem.constant
    return np.where(np.isnan(values), np.inf, values)


def proved(setup, nll, tolerance, seconds, keep=False):
    """The `Verdict` on a value nll of the criterion: whether none is lower by the tolerance."""
    started = perf_counter()
    try:
        if setup.design.p * len(setup.design.y) > MOST_IN_Z:
            raise Unsuitable("it has too many rows and columns of Z")
        problem = Problem(setup)
        if problem.lost[0]:
            raise Unsuitable("its response is so far from zero that digits are lost")
        if not problem.chart.s:                         # the optimum is known in closed form
            return _at_once(PROVED, "", nll, nll, started)
    except Unsuitable as error:
        reason = f"no proof is there for this design: {error}"
        return _at_once(OPEN, reason, -np.inf, nll, started)
    search = _Search(problem, nll, nll - tolerance, started, keep)
    while search.goes_on():
        search.round()
        if search.verdict is None and perf_counter() - started > seconds:
            search.end(OPEN, f"{search.left} boxes are left after {seconds:g} seconds")
    return search.verdict


def _at_once(verdict, reason, lower, nll, started):
    """A `Verdict` without a search."""
    taken = perf_counter() - started
    return Verdict(verdict, reason, lower, None, nll, 0, 0, taken, np.zeros((0, 0)))


class _Search:
    """Branch and bound: the cells that are left, by chart, and what is known so far."""

    def __init__(self, problem, nll, target, started, keep):
        self.problem = problem
        self.nll = nll
        self.target = target
        self.started = started
        self.keep = keep
        self.boxes = 0
        self.lowest = np.inf                            # of the bounds of pruned cells
        self.pruned = []
        self.verdict = None
        self.by_chart = {}
        self._put(problem, problem.chart.roots(), -np.inf)
        self.problems = {0: problem}                    # by what the variances are relative to

    def _put(self, problem, cells, bound):
        """More cells of a chart, their parents' bounds being these."""
        bounds = np.broadcast_to(bound, (len(cells),))
        if problem in self.by_chart:
            old, old_bounds = self.by_chart[problem]
            cells = np.concatenate([old, cells])
            bounds = np.concatenate([old_bounds, bounds])
        self.by_chart[problem] = cells, bounds

    @property
    def left(self):
        """How many cells are left."""
        return sum(len(cells) for cells, _ in self.by_chart.values())

    def goes_on(self):
        """Whether there is no verdict yet; that it is proved, where no cell is left."""
        if self.verdict is None and not self.left:
            self.end(PROVED)
        return self.verdict is None

    def end(self, verdict, reason="", theta=None, nll=None):
        """Keep the verdict."""
        bounds = [of_cells.min(initial=np.inf) for _, of_cells in self.by_chart.values()]
        lower = min([self.lowest, *bounds])
        cells = np.concatenate(self.pruned) if self.pruned else np.zeros((0, 0))
        self.verdict = Verdict(
            verdict,
            reason,
            float(lower),
            theta,
            self.nll if nll is None else nll,
            self.boxes,
            sum(problem.evaluations for problem in self.problems.values()),
            perf_counter() - self.started,
            cells,
        )

    def round(self):
        """The cells with the lowest bounds of one chart: prune them, or split them."""
        problem = next(one for one, (cells, _) in self.by_chart.items() if len(cells))
        cells, of_parents = self.by_chart[problem]
        chart = problem.chart
        order = np.argsort(of_parents, kind="stable")
        now = order[:AT_A_TIME]
        later = order[AT_A_TIME:]
        self.by_chart[problem] = cells[later], of_parents[later]
        chunk = cells[now]
        bounds, reproduced = problem.bounds(chunk, self.target)
        bounds = np.maximum(bounds, of_parents[now])
        self.boxes += len(chunk)
        good = bounds >= self.target
        self.lowest = min(self.lowest, bounds[good].min(initial=np.inf))
        if self.keep and problem is self.problem:
            self.pruned.append(chunk[good])
        left = chunk[~good]
        if not len(left):
            return
        bounds = bounds[~good]
        middle = chart.middle(left)
        values = criterion(problem, middle)
        best = int(values.argmin())
        if values[best] < self.target:
            self._put(problem, left, bounds)
            self.end(REFUTED, "", problem.theta_of(middle[best]), float(values[best]))
            return

        # -- where X and terms at infinity reproduce y: with one of these terms in sigma's place
        away = reproduced[~good]
        for cell, bound in zip(left[away], bounds[away]):
            if not self._put_at_zero(problem, cell, bound):
                self._put(problem, left, bounds)
                self.end(OPEN, REPRODUCED)
                return
        left = left[~away]
        bounds = bounds[~away]
        if not len(left):
            return
        children, parents = chart.split(left)
        bounds = bounds[parents]
        while 0 < len(children) < FEW_CELLS:            # a round costs as much for few as for many
            children, parents = chart.split(children)
            bounds = bounds[parents]
        self._put(problem, children, bounds)

    def _put_at_zero(self, problem, cell, bound):
        """The cell in charts with a term in sigma's place; whether there are such charts."""
        n = len(self.problem.setup.design.y)
        if not isinstance(problem.chart, Boxes) or n > MOST_DENSE_ROWS:
            return False
        for reference, cells in relative_to_terms(problem, cell):
            if reference not in self.problems:
                self.problems[reference] = AtZero(self.problem, reference)
            self._put(self.problems[reference], cells, bound)
        return True
