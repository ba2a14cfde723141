"""Branch and bound: cells are pruned, or split, until none is left or one refutes the optimum."""

from dataclasses import dataclass
from time import perf_counter

import numpy as np

from ...engines import Unsuitable
from .at_zero import AtZero, relative_to_terms
from .bounds import criterion, with_allowance
from .cells import Boxes
from .problem import Problem

AT_A_TIME = 2000            # cells, and ...
NUMBERS_IN_A_ROUND = 20_000_000     # ... numbers that their corners need, at most
SURELY = 1e-12              # of nll, by which it is lower and not rounded so
AS_GOOD_AS = 1e-10          # of nll, and ...
AGREED = 0.1                # of the tolerance, how far the criterion may be from the engine's
TRIED = (0.0, 0.1, 1.0, 10.0)       # variances times their units, where the two are compared
FEW_CELLS = 32              # up to which they are split once more before their bounds are looked at
MOST_IN_Z = 5_000_000       # numbers, up to which terms at infinity are projected out
MOST_DENSE_ROWS = 100       # up to which sigma = 0 is looked at
REPRODUCED = "the fixed and random effects together can reproduce the response"
DIGITS = "the bounds' sums have lost digits that the likelihood has"
TOO_ROUGH = "rounding errors may be {:.1g} in nll, more than the tolerance of {:g}"
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


def proved(evaluate, setup, nll, tolerance, seconds, keep=False):
    """The `Verdict` on a value nll of the criterion: whether none is lower by the tolerance.

    ``evaluate(theta, setup)`` is the criterion itself, by which a better theta is confirmed.
    """
    started = perf_counter()
    try:
        if setup.design.p * setup.design.n > MOST_IN_Z:
            raise Unsuitable("it has too many rows and columns of Z")
        problem = Problem(setup)
        if problem.lost[0]:
            raise Unsuitable("its response is so far from zero that digits are lost")
        if not problem.chart.s:                         # the optimum is known in closed form
            return _at_once(PROVED, "", nll, nll, started)
    except Unsuitable as error:
        reason = f"no proof is there for this design: {error}"
        return _at_once(OPEN, reason, -np.inf, nll, started)
    if not agrees(evaluate, problem, tolerance):
        return _at_once(OPEN, DIGITS, -np.inf, nll, started)
    search = _Search(evaluate, problem, nll, nll - tolerance, started, keep)
    while search.goes_on():
        search.round()
        if search.verdict is None and perf_counter() - started > seconds:
            search.end(OPEN, f"{search.left} boxes are left after {seconds:g} seconds")
    return search.verdict


def agrees(evaluate, problem, tolerance):
    """Whether the criterion, as the bounds know it, is the engine's at some points."""
    if not isinstance(problem.chart, Boxes):
        return True
    points = np.array(TRIED)[:, None] / problem.chart.units
    for point, value in zip(points, criterion(problem, points)):
        if np.isfinite(value):
            exact = evaluate(problem.theta_of(point), problem.setup)
            if abs(value - exact) > AGREED * tolerance + AS_GOOD_AS * max(1.0, abs(exact)):
                return False
    return True


def _at_once(verdict, reason, lower, nll, started):
    """A `Verdict` without a search."""
    taken = perf_counter() - started
    return Verdict(verdict, reason, lower, None, nll, 0, 0, taken, np.zeros((0, 0)))


class _Search:
    """Branch and bound: the cells that are left, by chart, and what is known so far."""

    def __init__(self, evaluate, problem, nll, target, started, keep):
        self.evaluate = evaluate
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
        most = int(np.clip(NUMBERS_IN_A_ROUND // problem.numbers_of_a_cell, 1, AT_A_TIME))
        now = order[:most]
        later = order[most:]
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
        values, allowances = with_allowance(problem, middle)
        best = int(values.argmin())
        if values[best] < self.target:
            self._put(problem, left, bounds)
            self._refuted_at(problem.theta_of(middle[best]))
            return
        allowed = allowances[best]
        if values[best] - allowed < self.target and allowed > self.nll - self.target:
            self._put(problem, left, bounds)
            self.end(OPEN, TOO_ROUGH.format(allowed, self.nll - self.target))
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

    def _refuted_at(self, theta):
        """The verdict where the bounds' criterion is lower: whether the engine's is, too."""
        value = float(self.evaluate(theta, self.problem.setup))
        if value < min(self.target, self.nll - SURELY * max(1.0, abs(self.nll))):
            self.end(REFUTED, "", theta, value)
        else:
            self.end(OPEN, DIGITS)

    def _put_at_zero(self, problem, cell, bound):
        """The cell in charts with a term in sigma's place; whether there are such charts."""
        n = self.problem.setup.design.n
        if not isinstance(problem.chart, Boxes) or n > MOST_DENSE_ROWS:
            return False
        for reference, cells in relative_to_terms(problem, cell):
            if reference not in self.problems:
                self.problems[reference] = AtZero(self.problem, reference)
            self._put(self.problems[reference], cells, bound)
        return True
