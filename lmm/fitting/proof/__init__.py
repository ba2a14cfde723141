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

Every bound is lowered by an allowance for rounding errors, see `Problem._allowances` in problem.py.

Sources: branch and bound, Land and Doig (1960); concavity of log|V|, Boyd and Vandenberghe (2004),
section 3.1.5; that y'V^-1 y is convex in V, there, 3.1.7.
"""

from .at_zero import AtZero
from .bounds import criterion, with_allowance
from .branching import OPEN, PROVED, REFUTED, Verdict, proved
from .cells import Boxes, Sectors, turned
from .problem import Problem

__all__ = [
    "OPEN",
    "PROVED",
    "REFUTED",
    "AtZero",
    "Boxes",
    "Problem",
    "Sectors",
    "Verdict",
    "criterion",
    "proved",
    "turned",
    "with_allowance",
]
