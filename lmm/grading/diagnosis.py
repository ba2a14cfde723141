"""What is wrong, and why: first the likelihood at fixed thetas, then the fit.

A cause is named only where its numbers match.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..practical import LMMprof
from .answers import Unusable, raised, read_answer, read_value
from .mistakes import Model, is_flat, is_minimum, matches, mistakes
from .theta_scales import in_another_scale_or_order

# -- sentences -----------------------------------------------------------------------------------

UNKNOWN = "wrong, the cause is unknown"
NO_PROFILE = "no LMMsetup and LMMprof: the likelihood could not be checked alone"
MAXIMISED = (
    "LMMprof is the log-likelihood, and seems to have been minimised; its negative is to be"
)
PERHAPS = (
    "beta is that of this theta, to all digits: perhaps the likelihood is right, and the search "
    "started in the wrong units or stopped short"
)
OVERFLOWS = (
    "log(det()) overflows: the determinant is exp({:.0f}), which no double holds; take twice the "
    "sum of the logs of the Cholesky factor's diagonal"
)
SIGMA_BY_REML = (
    "sigma is sqrt(RSS / (n - k)), as by REML; by maximum likelihood it is sqrt(RSS / n)"
)
AT_ITS_MINIMUM = "this is where the criterion is smallest with one mistake: "
NOT_MOVED = "all elements of theta are equal: the search seems not to have left its start"
EXCHANGED_TUPLE = "a tuple (theta, beta); the sheet lists beta first"
SCALE_WORDS = {             # by what the criterion is multiplied with
    1.0: "",
    2.0: ", as twice the negative log-likelihood",
    -1.0: ", but for its sign: it is the log-likelihood, not its negative",
    -2.0: ", but for its sign: it is twice the log-likelihood, not its negative",
}

# -- limits --------------------------------------------------------------------------------------

EQUAL_BETAS = 1e-5          # of a standard error: beta is that of a formula
APART_BETAS = 1e-2          # of a standard error: two betas that can be told apart
BETTER_OPTIMUM = 1e-6       # in log-likelihood: below the optimum that was known
SEARCHED_VARIANCE = 5e-4    # relative: found by a search in one dimension
EQUAL_CONSTANTS = 1e-6      # relative: the constant of the likelihood is there, or is not
LARGEST_LOG = 700.0         # |log| of the numbers that a double can hold, about


@dataclass(frozen=True)
class Likelihood:
    """What was found of `LMMprof`.

    Attributes
    ----------
    right : bool or None
        Whether it is right; None where that is not known.
    words : str
        The same in words.
    mistake : str
        The mistake whose numbers these are, if any.
    negative : bool
        Whether it has the sign of the log-likelihood.
    """

    right: bool | None
    words: str
    mistake: str = ""
    negative: bool = False


@dataclass(frozen=True)
class Verdict:
    """Whether a case is passed, why not, and what else is to be said."""

    passed: bool
    causes: tuple = ()
    notes: tuple = ()


class Judge:
    """A case and what its answers are compared with; computed when it is needed, then kept."""

    def __init__(self, case):
        design = case.setup.design
        self.case = case
        self.setup = case.setup
        self.names = design.x_names
        self.blocks = [block.name for block in design.blocks]

    @cached_property
    def model(self):
        """The dense `Model` of the case."""
        return Model.of(self.setup.design)

    @cached_property
    def se(self):
        """The standard errors of beta."""
        return self.case.fit.bse.to_numpy()

    @cached_property
    def rivals(self):
        """(sentence, criterion): the case's own misreadings."""
        y, X = self.model.y, self.model.X
        return [(sentence, Model(y, X, blocks).nll) for sentence, blocks in self.case.rivals]

    @cached_property
    def mistakes(self):
        """(sentence, criterion): the usual mistakes; none for many rows, n x n being too slow."""
        return [] if self.case.costs else list(mistakes(self.model))

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
        finite = np.isfinite(values)
        if not finite.all():
            first = thetas[np.flatnonzero(~finite)[0]]
            return Likelihood(False, shown, self._overflow(first))
        found = matches(values, self.nll, thetas)
        if found is not None:
            return self._right(*found, betas)
        return self._wrong(values, shown)

    def _wrong(self, values, shown):
        """The `Likelihood` of values that are not the criterion's: with the mistake, if one fits.

        With the usual constant, or none, a mistake is sure; with another constant each, none of
        several is.
        """
        usual = []
        unusual = []
        for sentence, criterion in (*self.rivals, *self.mistakes):
            found = matches(values, criterion, self.case.thetas)
            if found is None:
                continue
            scale, constant = found
            if self._constant(scale, constant):
                usual.append((sentence, scale))
            else:
                unusual.append((sentence, scale))
        if usual or len(unusual) == 1:
            sentence, scale = (usual or unusual)[0]
            return Likelihood(False, shown, sentence, scale < 0)
        return Likelihood(False, f"{shown}: {UNKNOWN}")

    def _shown_value(self, theta, value):
        """What `LMMprof` gives at a theta, with what was expected."""
        elements = ", ".join(f"{element:.3g}" for element in theta)
        expected = f"{self.nll(theta):.7g}"
        return f"LMMprof at theta = ({elements}) is {value:.7g}, expected {expected}"

    def _constant(self, scale, constant):
        """With or without which constant a criterion times a scale is; "" if it is another one.

        The likelihood's own is scale n/2 log(2 pi), which may be left out.
        """
        full = scale * 0.5 * self.model.n * np.log(2 * np.pi)
        if abs(constant) < EQUAL_CONSTANTS * max(1.0, abs(self.case.best)):
            return ", without the constant n/2 log(2 pi)"
        if abs(constant - full) < EQUAL_CONSTANTS * abs(full):
            return ", with the constant n/2 log(2 pi)"
        return ""

    def _overflow(self, theta):
        """The sentence on a determinant that no double holds, or "".

        It may be that of the p x p matrix, whose log is A's, or that of V.
        """
        n, p = self.model.n, self.model.p
        logdet_V = 2 * self.model.parts(theta)[0]
        logdet_A = logdet_V - max(n - p, 0) * 2 * theta[0]
        for logdet in (logdet_A, logdet_V):
            if abs(logdet) > LARGEST_LOG:
                return OVERFLOWS.format(logdet)
        return ""

    def _right(self, scale, constant, betas):
        """The `Likelihood` of values that are the criterion times a scale plus a constant."""
        words = f"LMMprof is right at fixed thetas{SCALE_WORDS[scale]}"
        words += self._constant(scale, constant) or f", with another constant, {constant:.6g}"
        words += self._wrong_beta_of_profile(betas)
        return Likelihood(True, words, "", scale < 0)

    def _wrong_beta_of_profile(self, betas):
        """A clause on the first beta of `LMMprof` that is not that of its theta, or ""."""
        for theta, beta in zip(self.case.thetas, betas):
            expected = LMMprof(theta, self.setup).beta
            if beta is None or len(beta) != len(expected):
                continue
            if self.far(beta, expected) > EQUAL_BETAS:
                ols = ", it is that of OLS" if self.is_ols(beta, theta) else ""
                return f"; but its beta is not that of theta{ols}"
        return ""

    # -- the fit ---------------------------------------------------------------------------------

    @np.errstate(all="ignore")
    def fit(self, fit, likelihood):
        """A `Verdict` on the answer of `lmm`."""
        try:
            if "error" in fit:
                raise Unusable(raised(fit["error"], "lmm"))
            answer = read_answer(fit["returned"], len(self.names), len(self.blocks))
        except Unusable as error:
            return Verdict(False, (*_of_likelihood(likelihood), str(error)))
        beta, theta, notes = answer.beta, answer.theta, answer.notes

        # -- exchanged, where the lengths do not tell
        if len(beta) == len(theta) and not self.is_right(theta) and self.is_right(beta):
            if answer.named:
                return Verdict(False, ("beta and theta are exchanged",), notes)
            beta, theta = theta, beta
            notes = (*notes, EXCHANGED_TUPLE)

        # -- a right theta, whose beta may be wrong
        if self.is_right(theta):
            return self._of_right_theta(beta, theta, notes)

        # -- a wrong theta: its scale or order, or else the likelihood or the search
        misread = "" if likelihood.mistake else in_another_scale_or_order(theta, self.is_right)
        if not misread:
            return Verdict(False, tuple(self._of_theta(theta, beta, likelihood)), notes)
        causes = [misread]
        if self.far(beta, self.case.beta) > self.case.beta_tolerance:
            causes.append(self._of_beta(beta))
        return Verdict(False, tuple(causes), notes)

    def _of_right_theta(self, beta, theta, notes):
        """The `Verdict` on a beta beside a right theta.

        On a flat stretch of the criterion beta goes with theta: either best beta is right.
        """
        of_theta = LMMprof(theta, self.setup).beta
        far = min(self.far(beta, self.case.beta), self.far(beta, of_theta))
        excess = self.excess(theta)
        if excess < -BETTER_OPTIMUM:
            below = f"its criterion is {-excess:.2g} below that of the answer it was compared with"
            notes = (*notes, below)
        if far <= self.case.beta_tolerance:
            return Verdict(True, (), notes)
        return Verdict(False, (self._of_beta(beta, theta_is_right=True),), notes)

    def _of_beta(self, beta, theta_is_right=False):
        """The cause of a wrong beta."""
        expected = self.case.beta
        i = int(np.argmax(np.abs((beta - expected) / self.se)))
        shown = f"beta[{self.names[i]}] = {beta[i]:.6g}, expected {expected[i]:.6g}"
        if self.is_ols(beta):
            return f"{shown}: this is the OLS value; did theta reach the likelihood?"
        moved = np.sort(beta) - np.sort(expected)
        if np.abs(moved / self.se.max()).max() <= self.case.beta_tolerance:
            order = ", ".join(self.names)
            return f"{shown}: beta's elements are in another order than the columns of X, {order}"
        right = "; theta is right" if theta_is_right else ""
        return f"{shown}: {UNKNOWN}{right}"

    def _of_theta(self, theta, beta, likelihood):
        """The causes of a wrong theta: a mistake in the likelihood, or a search ended elsewhere."""
        shown = self._shown_sd(theta)
        distance = f"the criterion is {self.excess(theta):.2g} above its minimum there"
        cause = likelihood.mistake or self._of_no_blocks(theta)
        if not cause and likelihood.right is not True:
            cause = self._explained_by(theta)
        if cause:
            yield f"{shown}: {cause}"
        elif likelihood.negative:
            yield f"{shown}: {MAXIMISED}"
        elif likelihood.right:
            yield (
                f"{shown}: LMMprof is right, but the search stopped short, "
                f"or theta was changed after it; {distance}"
            )
        else:
            yield f"{shown}: {UNKNOWN}; {distance}"
            if likelihood.right is None and self._goes_with(beta, theta):
                yield PERHAPS
        if len(set(theta.tolist())) == 1 < len(theta):
            yield NOT_MOVED
        if self.is_ols(beta, theta) and "OLS" not in cause:
            yield self._of_beta(beta)

    def _goes_with(self, beta, theta):
        """Whether beta is that of theta, and could not be that of least squares as well."""
        of_theta = LMMprof(theta, self.setup).beta
        apart = self.far(of_theta, self.model.ols) > APART_BETAS
        return self.far(beta, of_theta) <= EQUAL_BETAS and apart

    def _explained_by(self, theta):
        """The one mistake whose criterion has a minimum at theta, or "" if there is none.

        In one dimension, many a number is the minimum of one, so there the search must have been
        a good one. Where theta is flat, many mistakes look the same.
        """
        J = len(self.blocks)
        within = self.case.nll_tolerance if J else SEARCHED_VARIANCE**2

        def nll_of_shared(two):
            return self.nll(np.append(two[0], np.full(J, two[1])))

        is_shared = J > 1 and len(set(theta[1:].tolist())) == 1
        if is_shared and is_minimum(nll_of_shared, theta[:2], within):
            return "all blocks share one variance"
        candidates = list(self.rivals)
        if np.isfinite(theta).all() and not is_flat(self.nll, theta):
            candidates += self.mistakes
        for sentence, criterion in candidates:
            if is_minimum(criterion, theta, within):
                return f"{AT_ITS_MINIMUM}{sentence}"
        return ""

    def _of_no_blocks(self, theta):
        """The sentence on the sigma of least squares by REML, or ""."""
        n, k = self.setup.design.X.shape
        if self.blocks or n == k:
            return ""
        residuals = self.model.y - self.model.X @ self.model.ols
        rss = float(np.sum(residuals**2))
        relative = np.exp(2 * theta[0]) * (n - k) / rss - 1
        return SIGMA_BY_REML if abs(relative) < SEARCHED_VARIANCE else ""

    def _shown_sd(self, theta):
        """The standard deviation that is furthest off, with what was expected."""
        with np.errstate(over="ignore"):
            found = np.exp(theta)
            expected = np.exp(self.case.theta)
        i = int(np.argmax(np.abs(found - expected)))
        name = f"sd[{self.blocks[i - 1]}]" if i else "sigma"
        return f"{name} = {found[i]:.5g}, expected {expected[i]:.5g}"


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


def _of_likelihood(found):
    """The causes that are known from the likelihood alone."""
    if found.mistake:
        return (f"{found.words}: {found.mistake}",)
    return (MAXIMISED,) if found.negative else ()
