"""A case: a model that a submission is asked to fit, and what the answer is."""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import pandas as pd

from ..fitting import Plan
from ..practical import LMMprof, LMMsetup, fit_of

NLL_TOLERANCE = 1e-4        # see Case.nll_tolerance
BETA_TOLERANCE = 5e-3       # see Case.beta_tolerance
OFF_OPTIMUM = (0.3, -0.5, 0.4, -0.2, 0.1, 0.25)       # of theta, from the optimum: see Case.thetas
LINE_POINTS = 25            # see Case.lines
LINE_REACH = 1.5            # of a log standard deviation, to either side
DENSER = 1.5                # a power above 1: points of a line lie denser where it is steepest
AS_ZERO = 9.0               # below log sigma, where a standard deviation counts as zero


@dataclass(frozen=True, eq=False)
class Case:
    """A model to fit.

    Attributes
    ----------
    name : str
        What it is called in a report.
    form, dat, ref : str, DataFrame, list of lists of str
        What the submission's `lmm` is called with.
    why : str
        What it tells right from wrong by, for the report.
    points : float
        What it is worth.
    hidden : bool
        Whether students should not see what was asked, only whether they passed.
    source : str
        Where the answer comes from.
    known : dict, optional
        The answer where it is known exactly: ``"sd"``, sigma first, ``"beta"``, or both. By
        default, and for the criterion always, this package's own certified fit.
    nll_tolerance : float
        How far above its minimum, in log-likelihood, the criterion may be at the submission's
        theta. The practical asks for an optimiser, whose default tolerance is 1e-4 (scipy's
        Nelder-Mead), in the criterion: so that is let through, and with it every theta on a flat
        stretch, in whatever direction, such as log sd = -9 where the sd is zero. It is a
        five-hundredth of a likelihood ratio that would make anybody change a model.
    beta_tolerance : float
        How far beta may be off, in standard errors; a theta as good as that moves it less.
    same_as : str
        The name of the case that this is in other words: units, order of rows.
    costs : bool
        Whether it is there for time and memory.
    files : tuple of Path
        What it was read from, which no submission may read.
    """

    name: str
    form: str
    dat: pd.DataFrame = field(repr=False)
    ref: list
    why: str
    points: float = 1.0
    hidden: bool = False
    source: str = "this package's certified fit"
    known: dict = field(default=None, repr=False)
    nll_tolerance: float = NLL_TOLERANCE
    beta_tolerance: float = BETA_TOLERANCE
    same_as: str = ""
    costs: bool = False
    files: tuple = field(default=(), repr=False)

    @cached_property
    def setup(self):
        return LMMsetup(self.form, self.dat, self.ref)

    @cached_property
    def fit(self):
        """This package's fit."""
        return fit_of(self.setup, Plan())

    @cached_property
    def theta(self):
        """The best theta: log sigma, log standard deviations."""
        if self.known is None or "sd" not in self.known:
            return self.fit.theta
        with np.errstate(divide="ignore"):
            return np.log(self.known["sd"])

    @cached_property
    def best(self):
        """The criterion there, and the estimate of beta."""
        return LMMprof(self.theta, self.setup)

    @property
    def beta(self):
        """The best beta."""
        if self.known is None or "beta" not in self.known:
            return self.best.beta
        return np.asarray(self.known["beta"])

    @cached_property
    def thetas(self):
        """Where `LMMprof` is checked: off the optimum, on the scale of the data.

        At the first all elements are moved alike, at the others each on its own.
        """
        base = np.where(np.isfinite(self.theta), self.theta, self.theta[0] - 1.0)
        moves = np.resize(OFF_OPTIMUM, len(base))
        each = [base + np.roll(moves, shift) for shift in range(len(base))]
        return [base + 0.2, *each]

    @cached_property
    def lines(self):
        """Where `LMMprof` is drawn: an array (points, elements of theta) for each element.

        Along a line that element moves, the others are at the optimum. Where its optimum is -inf,
        the line ends at log sigma, and where another's is, that is so small as to count as zero.
        """
        is_finite = np.isfinite(self.theta)
        held = np.where(is_finite, self.theta, self.theta[0] - AS_ZERO)
        centres = np.where(is_finite, self.theta, self.theta[0] - LINE_REACH)
        steps = np.linspace(-1, 1, LINE_POINTS)
        moves = LINE_REACH * np.sign(steps) * np.abs(steps) ** DENSER
        lines = []
        for i, centre in enumerate(centres):
            line = np.tile(held, (LINE_POINTS, 1))
            line[:, i] = centre + moves
            lines.append(line)
        return tuple(lines)

    @cached_property
    def drawn(self):
        """The criterion along each of the `lines`, from its best value."""
        best = float(self.best)
        return tuple(
            np.array([float(LMMprof(theta, self.setup)) for theta in line]) - best
            for line in self.lines
        )
