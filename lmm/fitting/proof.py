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

Every bound is lowered by an allowance for rounding errors, see `Problem.allowances`.

Sources: branch and bound, Land and Doig (1960); concavity of log|V|, Boyd and Vandenberghe (2004),
section 3.1.5; that y'V^-1 y is convex in V, there, 3.1.7.
"""

from dataclasses import dataclass
from functools import cached_property
from time import perf_counter

import numpy as np

from ..engines import Unsuitable, family_of, look, slopes
from ..model import Unstructured, Variances
from .cells import Boxes, Sectors

AT_A_TIME = 2000            # cells
MOST_DENSE = 5_000_000      # numbers in Z, up to which terms at infinity are projected out
PROJECTED = 1e-13           # of the largest singular value, above which a direction is projected out
NOTHING = 1e-20             # of y'y, below which what X and Z leave of y is rounding
ROUNDING = 32.0             # times the rounding error of a float: what an operation may lose
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


class Problem:
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

    def _chart(self):
        """`Boxes` where all structures are linear in variances; `Sectors` of one 2 x 2 term."""
        setup = self.setup
        covariance = setup.covariance
        structures = covariance.structures
        squares = np.exp(-2 * setup.units)
        if all(isinstance(one, Variances) for one in structures):
            units = []
            for one, span in zip(structures, covariance.spans):
                units += [float(np.sum(B.diagonal() * squares[span]) / B.trace()) for B in one.basis]
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
        basis = [np.array(one, float) for one in ([[1, 0], [0, 0]], [[0, 1], [1, 0]], [[0, 0], [0, 1]])]
        columns = []
        for one in basis:                                       # psi = C'^-1 (chart's) C^-1
            psi = inverse.T @ one @ inverse
            columns.append(psi[[0, 1, 1], [0, 0, 1]])
        return Sectors(float(np.linalg.eigvalsh(scaled)[:, -1].max()), np.array(columns).T)

    # -- h and q

    def rho(self, points):
        """The entries of psi over sigma^2 at points of the chart, (N, s)."""
        return points @ self.chart.to_rho.T

    def at(self, points, with_gradient=False):
        """h and q, (N,) each, nan where V is not positive definite, and q's gradient, (N, s)."""
        self.evaluations += len(points)
        rho = self.rho(points)
        found = look(self.design, rho, self.responses)
        with np.errstate(invalid="ignore", divide="ignore"):
            bad = ~np.isfinite(found.nll)
            q = np.where(bad, np.nan, found.quadratic)
            h = 2 * (found.nll - self.constant) - self.df * np.log(q)
        h = np.where(bad, np.nan, h)
        if not with_gradient:
            return h, q
        of_rho = slopes(self.design, found, self.responses)
        forms = of_rho.forms * (found.quadratic / self.df)[:, None]     # -dq / d rho
        return h, q, -forms @ self.chart.to_rho

    def criterion(self, points):
        """nll, (N,)."""
        h, q = self.at(points)
        return 0.5 * (h + self.df * np.log(q)) + self.constant

    def allowances(self, points, q):
        """How far h and q may be off, (N,) each, by rounding errors.

        h is a sum of as many logarithms as Z and X have columns; a pivot is at least 1, and is off
        by eps times what it is a difference of, at most 1 + the size of V's parts. q is a
        difference from e'e.
        """
        eps = ROUNDING * np.finfo(float).eps
        size = np.abs(self.rho(points)) @ self._sizes
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
        """q, (N,), where the variances `infinite`, (s,) bool, are so, and others as in points."""
        known = self._projected.get(tuple(infinite))
        if known is None:
            known = self._projected[tuple(infinite)] = self._project(infinite)
        A, b, yy, owner = known
        if not len(owner) or yy == 0.0:
            return np.full(len(points), yy)
        self.evaluations += len(points)
        roots = np.sqrt(np.maximum(points, 0.0))[:, owner]
        K = A * roots[:, :, None] * roots[:, None, :]
        K[:, range(len(A)), range(len(A))] += 1.0
        x = np.linalg.solve(K, (roots * b)[:, :, None])[:, :, 0]
        return np.maximum(yy - np.sum(x * roots * b, axis=1), 0.0)

    @cached_property
    def _projected(self):
        return {}

    @cached_property
    def _columns(self):
        """M [Z y], M = I - Q_X Q_X', and the variance of the chart that each column belongs to."""
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
        Z = np.hstack([np.zeros((rows.n, 0)), *parts])
        both = np.column_stack([Z, y])
        for _ in range(2):
            both = both - rows.X @ (rows.X.T @ both)
        return both[:, :-1], both[:, -1], np.asarray(owner, int)

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
        if yy < NOTHING * (y @ y):
            yy = 0.0
        return kept.T @ kept, kept.T @ left, yy, owner[~away]

    # -- bounds

    def bounds(self, cells):
        """Lower bounds of nll over the cells, (N,); -inf where there is none."""
        infinite = self.chart.infinite(cells)
        found = np.full(len(cells), -np.inf)
        ended = ~infinite.any(axis=1)
        with np.errstate(all="ignore"):
            if ended.any():
                found[ended] = self._bounds_of_ended(cells[ended])
            if not ended.all():
                found[~ended] = self._bounds_at_infinity(cells[~ended], infinite[~ended])
        return 0.5 * np.where(np.isnan(found), -np.inf, found) + self.constant

    def _bounds_of_ended(self, cells):
        """(a) and (b), the larger."""
        df = self.df
        V = self.chart.vertices(cells)
        N, count, s = V.shape
        h, q = self.at(V.reshape(-1, s))
        off_h, _ = self.allowances(V.reshape(-1, s), q)
        h = (h - off_h).reshape(N, count)

        # -- (a): the tangent of q in the middle
        c = self.chart.middle(cells)
        _, q_c, gradient = self.at(c, with_gradient=True)
        _, off_q = self.allowances(c, q_c)
        rise = np.einsum("nvs,ns->nv", V - c[:, None], gradient)
        size = np.einsum("nvs,ns->nv", np.abs(V - c[:, None]), np.abs(gradient))
        T = q_c[:, None] + rise - off_q[:, None] * (1 + size / q_c[:, None])
        by_tangent = np.where(T > 0, h + df * np.log(np.where(T > 0, T, 1.0)), -np.inf).min(axis=1)
        by_tangent = np.where(np.isnan(by_tangent), -np.inf, by_tangent)

        # -- (b)
        low = self._h_of_low(cells)
        up = self.chart.up(cells)
        _, q_up = self.at(up)
        _, off_q = self.allowances(up, q_up)
        by_order = low + df * np.log(q_up - off_q)
        return np.fmax(by_tangent, by_order)

    def _h_of_low(self, cells):
        """h at the points below, its allowance off, the least of several."""
        low = self.chart.low(cells)
        N, count, s = low.shape
        h, q = self.at(low.reshape(-1, s))
        off_h, _ = self.allowances(low.reshape(-1, s), q)
        return (h - off_h).reshape(N, count).min(axis=1)

    def _bounds_at_infinity(self, cells, infinite):
        """(b) where a cell has no end."""
        h = self._h_of_low(cells)
        up = self.chart.up(cells)
        found = np.full(len(cells), -np.inf)
        for kind in np.unique(infinite, axis=0):
            chosen = (infinite == kind).all(axis=1)
            points = up[chosen] if isinstance(self.chart, Boxes) else np.zeros((chosen.sum(), 1))
            points = np.where(np.isinf(points), 0.0, points)
            q = self.q_at_infinity(kind, points)
            off = ROUNDING * np.finfo(float).eps * (1 + len(self._columns[2])) * self.whole
            found[chosen] = h[chosen] + self.df * np.log(q - off)
        return found


def _squares(Z):
    """The squared lengths of the columns of a sparse matrix."""
    return np.bincount(Z.indices, Z.data**2, Z.shape[1])


def proved(setup, nll, tolerance, seconds, keep=False):
    """The `Verdict` on a criterion's value nll: whether none is lower by more than the tolerance."""
    started = perf_counter()

    def said(verdict, reason="", lower=-np.inf, theta=None, value=nll, boxes=0, count=0, cells=()):
        taken = perf_counter() - started
        return Verdict(verdict, reason, lower, theta, value, boxes, count, taken, np.array(cells))

    try:
        if setup.design.p * len(setup.design.y) > MOST_DENSE:
            raise Unsuitable("it has too many rows and columns of Z")
        problem = Problem(setup)
    except Unsuitable as error:
        return said(OPEN, f"no proof is there for this design: {error}")
    if problem.lost[0]:
        return said(OPEN, "the response is so far from zero that digits are lost")
    chart = problem.chart
    target = nll - tolerance
    cells = chart.roots()
    of_parents = np.full(len(cells), -np.inf)
    boxes = 0
    lowest = np.inf                                     # of the bounds of pruned cells
    pruned = []
    while len(cells):
        # -- those first whose parents have the lowest bounds
        order = np.argsort(of_parents, kind="stable")
        now = order[:AT_A_TIME]
        later = order[AT_A_TIME:]
        chunk = cells[now]
        bounds = np.maximum(problem.bounds(chunk), of_parents[now])
        boxes += len(chunk)
        good = bounds >= target
        lowest = min(lowest, bounds[good].min(initial=np.inf))
        if keep:
            pruned.append(chunk[good])
        left = chunk[~good]
        bounds = bounds[~good]
        if len(left):
            middle = chart.middle(left)
            values = problem.criterion(middle)
            values = np.where(np.isnan(values), np.inf, values)
            best = int(values.argmin())
            if values[best] < target:
                theta = theta_of(problem, middle[best])
                lower = min(lowest, bounds.min(), of_parents[later].min(initial=np.inf))
                return said(
                    REFUTED, "", lower, theta, float(values[best]), boxes, problem.evaluations
                )
        children, parents = chart.split(left)
        repeated = bounds[parents]
        cells = np.concatenate([cells[later], children])
        of_parents = np.concatenate([of_parents[later], repeated])
        if len(cells) and perf_counter() - started > seconds:
            lower = min(lowest, of_parents.min())
            reason = f"{len(cells)} boxes are left after {seconds:g} seconds"
            if _reproduced(problem):
                reason = "the fixed and random effects together can reproduce the response"
            return said(OPEN, reason, lower, None, nll, boxes, problem.evaluations)
        if boxes > 10 * 2**chart.s and len(cells) and _reproduced(problem):
            lower = min(lowest, of_parents.min())
            reason = "the fixed and random effects together can reproduce the response"
            return said(OPEN, reason, lower, None, nll, boxes, problem.evaluations)
    kept = np.concatenate(pruned) if pruned else ()
    return said(PROVED, "", lowest, None, nll, boxes, problem.evaluations, kept)


def _reproduced(problem):
    """Whether X and Z together leave nothing of y."""
    s = problem.chart.infinite(problem.chart.roots()).shape[1]
    everything = np.ones(s, bool)
    return problem.q_at_infinity(everything, np.zeros((1, s)))[0] == 0.0


def theta_of(problem, point):
    """theta at a point of the chart, sigma being profiled out."""
    covariance = problem.setup.covariance
    rho = problem.rho(point[None])
    psi = covariance.entries.matrix(rho[0])
    _, q = problem.at(point[None])
    return covariance.rescaled(covariance.theta(0.0, psi), 0.5 * np.log(q[0] / problem.df))
