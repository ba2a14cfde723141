"""What is found of a submission's `LMMprof`, asked at fixed thetas."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..practical import LMMprof
from .answers import Unusable, raised, read_value
from .mistakes import Model, matches, mistakes, wrong_beta
from .report import either

# -- sentences -----------------------------------------------------------------------------------

UNKNOWN = "wrong, the cause is unknown"
NO_PROFILE = "no LMMsetup and LMMprof: the likelihood could not be checked alone"
OVERFLOW = "log(det()) overflows"
OVERFLOWS = (
    OVERFLOW + ": the determinant is exp({:.0f}), which no double holds; take twice the "
    "sum of the logs of the Cholesky factor's diagonal"
)
OF_ANOTHER_CASE = "these are the numbers of {}: something is kept from one call to the next"
FEW_DIGITS = (
    "LMMprof has some seven right digits and no more, as of single precision: float64 is asked"
)
SCALE_WORDS = {             # by what the criterion is multiplied with
    1.0: "",
    2.0: ", as twice the negative log-likelihood",
    -1.0: ", but for its sign: it is the log-likelihood, not its negative",
    -2.0: ", but for its sign: it is twice the log-likelihood, not its negative",
}

# -- limits --------------------------------------------------------------------------------------

EQUAL_BETAS = 1e-5          # of a standard error: beta is that of a formula
APART_BETAS = 1e-2          # of a standard error: two betas that can be told apart
SINGLE_PRECISION = 2e-6     # relative: what it leaves right, at the least
EQUAL_CONSTANTS = 1e-6      # relative: the constant of the likelihood is there, or is not
LARGEST_LOG = 700.0         # |log| of the numbers that a double can hold, about
MOST_ROWS_DENSE = 500       # beyond which n x n algebra, a thousand times, would take minutes


@dataclass(frozen=True)
class Likelihood:
    """What was found of `LMMprof`.

    Attributes
    ----------
    right : bool or None
        Whether it is right; None where that is not known.
    words : str
        The same in words.
    mistakes : tuple of str
        The mistakes whose numbers these are, if any; several where they come to the same.
    negative : bool
        Whether it has the sign of the log-likelihood.
    values : ndarray or None
        What it is at the case's thetas, where it is anything.
    """

    right: bool | None
    words: str
    mistakes: tuple = ()
    negative: bool = False
    values: np.ndarray | None = None

    @property
    def mistake(self):
        """The mistakes in a sentence, or ""."""
        return either(self.mistakes)


class LikelihoodJudge:
    """A case and what its answers are compared with; computed when it is needed, then kept."""

    def __init__(self, case):
        design = case.setup.design
        self.case = case
        self.setup = case.setup
        self.names = design.x_names
        self.blocks = [block.name for block in design.blocks]
        self.others = ()                # the judges of the other cases that are asked

    @cached_property
    def model(self):
        """The dense `Model` of the case."""
        return Model.of(self.setup.design)

    @cached_property
    def se(self):
        """The standard errors of beta."""
        return self.case.fit.bse.to_numpy()

    @property
    def is_small(self):
        """Whether mistakes are looked for, by n x n algebra."""
        return not self.case.costs and self.setup.design.n <= MOST_ROWS_DENSE

    @cached_property
    def mistakes(self):
        """The usual mistakes; none for many rows, n x n algebra being too slow."""
        if not self.is_small:
            return []
        return list(mistakes(self.case, self.model))

    @cached_property
    def informative(self):
        """How many elements of theta the likelihood knows: not those of an sd that is zero."""
        return int(np.sum(np.isfinite(self.case.theta)))

    def nll(self, theta):
        return float(LMMprof(theta, self.setup))

    def excess(self, theta):
        """How far the criterion at theta is above its minimum; inf where there is none."""
        has_sigma = np.isfinite(theta[0])
        if not has_sigma or np.isnan(theta).any() or (theta == np.inf).any():
            return np.inf
        return self.nll(theta) - float(self.case.best)

    def is_right(self, theta):
        return self.excess(theta) <= self.case.nll_tolerance

    def far(self, beta, expected):
        """The largest difference of two betas, in standard errors."""
        return np.abs((beta - expected) / self.se).max(initial=0)

    def is_ols(self, beta, theta=None):
        """Whether a beta is that of least squares, and could not be the model's as well.

        The model's is that at its best theta, or at this one.
        """
        ols = self.model.ols
        of_model = [self.case.beta]
        if theta is not None:
            of_model.append(LMMprof(theta, self.setup).beta)
        apart = all(self.far(ols, other) > APART_BETAS for other in of_model)
        return self.far(beta, ols) <= EQUAL_BETAS and apart

    # -- the likelihood --------------------------------------------------------------------------

    @np.errstate(all="ignore")                          # a submission's theta may be anything
    def likelihood(self, evaluations):
        """A `Likelihood` from the description of `LMMprof` at the case's thetas."""
        if evaluations is None:
            return Likelihood(None, NO_PROFILE)
        try:
            values, betas = _values_and_betas(evaluations)
        except Unusable as error:
            return Likelihood(None, f"the likelihood could not be checked alone: {error}")
        thetas = self.case.thetas
        shown = self._shown_value(thetas[0], values[0])
        found = matches(values, self.nll, thetas)
        if found is not None:
            return self._right(*found, betas)
        return self._wrong(values, shown)

    def _wrong(self, values, shown):
        """The `Likelihood` of values that are not the criterion's: with the mistakes that fit.

        They fit with the usual constant, or none; with another one, a criterion that few terms
        move would fit by chance.
        """
        found = []
        for mistake in self.mistakes:
            match = matches(values, mistake.nll, self.case.thetas)
            words = "" if match is None else self._constant(*match, mistake.n)
            if words:
                found.append((mistake.sentence, match[0], words))
        if found:
            sentences, negative = _likeliest(found)
            return Likelihood(False, shown, sentences, negative, values)
        for other in self._comparable():
            if matches(values, other.nll, self.case.thetas) is not None:
                return Likelihood(False, shown, (of_another(other.case),), values=values)
        return Likelihood(False, *self._unnamed(values, shown), values=values)

    def _unnamed(self, values, shown):
        """What is said of values that no known mistake makes, and why, as far as it is known."""
        finite = np.isfinite(values)
        if not finite.all():
            return shown, self._overflow(self.case.thetas[np.flatnonzero(~finite)[0]])
        right = np.array([self.nll(theta) for theta in self.case.thetas])
        relative = values / right - 1
        largest = np.abs(relative).max()
        if largest <= SINGLE_PRECISION and np.ptp(relative) > largest / 2:      # no common factor
            return shown, (FEW_DIGITS,)
        return f"{shown}: {UNKNOWN}", ()

    def _comparable(self):
        """The other cases with as many elements of theta and beta."""
        return [
            other
            for other in self.others
            if len(other.blocks) == len(self.blocks) and len(other.names) == len(self.names)
        ]

    def _shown_value(self, theta, value):
        """What `LMMprof` gives at a theta, with what was expected."""
        elements = ", ".join(f"{element:.3g}" for element in theta)
        expected = self.nll(theta)
        digits = 7 if f"{value:.7g}" != f"{expected:.7g}" else 12
        shown = f"{value:.{digits}g}, expected {expected:.{digits}g}"
        return f"LMMprof at theta = ({elements}) is {shown}"

    def _constant(self, scale, constant, n):
        """With or without which constant a criterion times a scale is; "" if it is another one.

        The likelihood's own is scale n/2 log(2 pi), which may be left out.
        """
        log_two_pi = scale * 0.5 * np.log(2 * np.pi)
        full = n * log_two_pi
        of_reml = (n - len(self.names)) * log_two_pi
        if abs(constant) < EQUAL_CONSTANTS * max(1.0, abs(self.case.best)):
            return ", without the constant n/2 log(2 pi)"
        if abs(constant - full) < EQUAL_CONSTANTS * abs(full):
            return ", with the constant n/2 log(2 pi)"
        if abs(constant - of_reml) < EQUAL_CONSTANTS * abs(full):
            return ", with the constant (n - k)/2 log(2 pi)"
        return ""

    def _overflow(self, theta):
        """The sentence on a determinant that no double holds, if there is one.

        It may be that of the p x p matrix, whose log is A's, or that of V.
        """
        n, p = self.model.n, self.model.p
        logdet_V = 2 * self.model.parts(theta).half_logdet
        logdet_A = logdet_V - max(n - p, 0) * 2 * theta[0]
        for logdet in (logdet_A, logdet_V):
            if abs(logdet) > LARGEST_LOG:
                return (OVERFLOWS.format(logdet),)
        return ()

    def _right(self, scale, constant, betas):
        """The `Likelihood` of values that are the criterion times a scale plus a constant."""
        words = f"LMMprof is right at fixed thetas{SCALE_WORDS[scale]}"
        usual = self._constant(scale, constant, self.model.n)
        words += usual or f", with another constant, {constant:.6g}"
        words += self._wrong_beta_of_profile(betas)
        return Likelihood(True, words, (), scale < 0)

    def _wrong_beta_of_profile(self, betas):
        """A clause on the first beta of `LMMprof` that is not that of its theta, or ""."""
        for theta, beta in zip(self.case.thetas, betas):
            expected = LMMprof(theta, self.setup).beta
            if beta is None or len(beta) != len(expected):
                continue
            if self.far(beta, expected) > EQUAL_BETAS:
                return f"; but its beta is not that of theta{self._what_it_is(beta, theta)}"
        return ""

    def _what_it_is(self, beta, theta):
        """A clause on a beta that is not that of theta, or ""."""
        if self.is_ols(beta, theta):
            return ", it is that of OLS"
        explained = self._wrong_beta(beta, theta)
        return f": {explained}" if explained else ""

    def _wrong_beta(self, beta, theta):
        """The sentence on a beta beside a right theta, or ""."""
        if not self.is_small:
            return ""
        expected = LMMprof(theta, self.setup).beta

        def is_same(other):
            apart = self.far(other, expected) > APART_BETAS
            return apart and self.far(beta, other) <= EQUAL_BETAS

        return wrong_beta(self.case, self.model, theta, is_same)


def of_another(case):
    """The sentence on numbers that are another case's."""
    which = "another, hidden case" if case.hidden else f"the case {case.name!r}"
    return OF_ANOTHER_CASE.format(which)


def _likeliest(found):
    """The sentences of the mistakes that come to the same, and whether their sign is the wrong one.

    The constant tells twice the criterion from the criterion; where it is left out, none can tell.
    """
    with_constant = [one for one in found if "with the constant" in one[2]]
    found = with_constant or found
    positive = [one for one in found if one[1] > 0] or found
    positive.sort(key=lambda one: abs(one[1]))
    return tuple(dict.fromkeys(sentence for sentence, *_ in positive)), positive[0][1] < 0


def _values_and_betas(evaluations):
    """The values of `LMMprof`, an array, and its betas, None where it has none.

    Raises `Unusable`, with the exception where there was one.
    """
    if "error" in evaluations:
        raise Unusable(raised(evaluations["error"], "LMMsetup"))
    values = []
    betas = []
    for one in evaluations["values"]:
        if "error" in one:
            raise Unusable(raised(one["error"], "LMMprof"))
        value, beta = read_value(one["returned"])
        values.append(value)
        betas.append(beta)
    return np.array(values), betas
