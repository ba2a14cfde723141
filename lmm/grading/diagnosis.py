"""What is wrong, and why: first the likelihood at fixed thetas, then the fit.

A cause is named only where its numbers match.
"""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from ..practical import LMMprof
from .answers import Unusable, raised, read_answer, read_value
from .mistakes import (
    Model,
    in_another_scale_or_order,
    is_flat,
    is_minimum,
    matches,
    mistakes,
    wrong_beta,
)
from .report import either

# -- sentences -----------------------------------------------------------------------------------

UNKNOWN = "wrong, the cause is unknown"
NO_PROFILE = "no LMMsetup and LMMprof: the likelihood could not be checked alone"
MAXIMISED = (
    "LMMprof is the log-likelihood, and seems to have been minimised; its negative is to be"
)
GOES_WITH_THETA = (
    "beta is that of this theta, to all digits: perhaps X, Z and the weights are right, and the "
    "sums of the criterion, or the search, are not"
)
OVERFLOWS = (
    "log(det()) overflows: the determinant is exp({:.0f}), which no double holds; take twice the "
    "sum of the logs of the Cholesky factor's diagonal"
)
STOPPED = (
    "LMMprof is right, but the search stopped short, or theta was changed after it"
)
SIGMA_BY_REML = (
    "sigma is sqrt(RSS / (n - k)), as by REML; by maximum likelihood it is sqrt(RSS / n)"
)
OF_ANOTHER_CASE = (
    "these are the numbers of the case {!r}: something is kept from one call to the next"
)
AT_ITS_MINIMUM = "this is where the criterion is smallest with one mistake: "
NOT_MOVED = "all elements of theta are equal: the search seems not to have left its start"
SIGMA_IS_ONE = "log sigma is 0 to all digits: sigma seems to be fixed at 1, and not searched for"
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
MOST_ROWS_DENSE = 500       # beyond which n x n algebra, a thousand times, would take minutes
ENOUGH_ELEMENTS = 3         # of theta that must agree for a coincidence to be out of the question
CLOSE_OPTIMUM = 1e-5        # in log-likelihood: found by a search, ...
HARDLY_APART = 1e-4         # ... and too near to another to be told from it
CLOSED_FORM = 1e-6          # relative, of a variance that no search has found


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


@dataclass(frozen=True)
class Verdict:
    """Whether a case is passed, why not, and what else is to be said.

    Attributes
    ----------
    passed : bool
    causes, notes : tuple of str
    mistakes : tuple of str
        The mistakes that the fit's numbers are those of, as they would be said of any case.
    supposed : tuple of str
        Mistakes that the fit's numbers agree with, but too few of them to tell: to be named only
        where another case shows the same.
    """

    passed: bool
    causes: tuple = ()
    notes: tuple = ()
    mistakes: tuple = ()
    supposed: tuple = ()


class Judge:
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

    @cached_property
    def mistakes(self):
        """The usual mistakes; none for many rows, n x n algebra being too slow."""
        if self.case.costs or self.setup.design.n > MOST_ROWS_DENSE:
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
        finite = np.isfinite(values)
        if not finite.all():
            first = thetas[np.flatnonzero(~finite)[0]]
            return Likelihood(False, shown, self._overflow(first), values=values)
        found = matches(values, self.nll, thetas)
        if found is not None:
            return self._right(*found, betas)
        return self._wrong(values, shown)

    def _wrong(self, values, shown):
        """The `Likelihood` of values that are not the criterion's: with the mistake, if one fits.

        With the usual constant, or none, a mistake is sure; with another constant each, none of
        several is. Of two ways to say the same, the one without a factor is told.
        """
        usual = []
        unusual = []
        for mistake in self.mistakes:
            found = matches(values, mistake.nll, self.case.thetas)
            if found is None:
                continue
            scale, constant = found
            if self._constant(scale, constant, mistake.n):
                usual.append((mistake.sentence, scale))
            else:
                unusual.append((mistake.sentence, scale))
        if usual or len({sentence for sentence, _ in unusual}) == 1:
            sentences, scale = _likeliest(usual or unusual)
            return Likelihood(False, shown, sentences, scale < 0, values)
        for other in self._comparable():
            if matches(values, other.nll, self.case.thetas) is not None:
                stale = OF_ANOTHER_CASE.format(other.case.name)
                return Likelihood(False, shown, (stale,), values=values)
        return Likelihood(False, f"{shown}: {UNKNOWN}", values=values)

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
        expected = f"{self.nll(theta):.7g}"
        return f"LMMprof at theta = ({elements}) is {value:.7g}, expected {expected}"

    def _constant(self, scale, constant, n):
        """With or without which constant a criterion times a scale is; "" if it is another one.

        The likelihood's own is scale n/2 log(2 pi), which may be left out.
        """
        full = scale * 0.5 * n * np.log(2 * np.pi)
        if abs(constant) < EQUAL_CONSTANTS * max(1.0, abs(self.case.best)):
            return ", without the constant n/2 log(2 pi)"
        if abs(constant - full) < EQUAL_CONSTANTS * abs(full):
            return ", with the constant n/2 log(2 pi)"
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

        # -- a wrong theta: another case's, in another scale or order, or of another criterion
        for other in self._comparable():
            same_beta = other.far(beta, other.case.beta) <= other.case.beta_tolerance
            if same_beta and other.is_right(theta):
                stale = OF_ANOTHER_CASE.format(other.case.name)
                return Verdict(False, (f"{self._shown_sd(theta)}: {stale}",), notes, (stale,))
        if not likelihood.mistake:
            misread = self._misread(theta, beta, likelihood)
            if misread is not None:
                return replace(misread, notes=notes)
        supposed = () if likelihood.mistake else self._supposed(theta, likelihood)
        return Verdict(
            False,
            tuple(self._of_theta(theta, beta, likelihood)),
            notes,
            supposed=supposed,
        )

    def _misread(self, theta, beta, likelihood):
        """The `Verdict` on a theta that is right in another scale or order, or None.

        Where the likelihood knows few elements of theta, one may be right by chance: then beta
        must be right as well.
        """
        right_beta = self.far(beta, self.case.beta) <= self.case.beta_tolerance
        enough = self.informative >= ENOUGH_ELEMENTS
        if self.informative < 2 or not (enough or right_beta):
            return None
        for misread in self._scales(theta, likelihood):
            causes = [misread.shown]
            if not right_beta:
                causes.append(self._of_beta(beta))
            return Verdict(False, tuple(causes), mistakes=(misread.words,))
        return None

    def _supposed(self, theta, likelihood):
        """The scales and orders in which theta would be right, where that may be by chance."""
        misread = self._scales(theta, likelihood)
        return tuple(one.words for one in misread)

    def _scales(self, theta, likelihood):
        """The scales and orders in which theta is right, none that `LMMprof` speaks against."""
        n, k = self.setup.design.X.shape

        def is_right(logs):
            return self.excess(logs) <= CLOSE_OPTIMUM

        for misread in in_another_scale_or_order(theta, is_right, n, k):
            if likelihood.right is not False or self._is_of_scale(likelihood.values, misread):
                yield misread

    def _is_of_scale(self, values, misread):
        """Whether a wrong `LMMprof` is the right one with theta in another scale or order.

        Where a theta of the case has no place in that scale, neither may have a value.
        """
        if values is None:
            return False
        own = np.array([self._nll_or_nan(misread.to_logs(theta)) for theta in self.case.thetas])
        there = np.isfinite(own)
        if (np.isfinite(values) != there).any():
            return False
        kept = [theta for theta, known in zip(self.case.thetas, there) if known]

        def criterion(theta):
            return self._nll_or_nan(misread.to_logs(theta))

        return len(kept) < 2 or matches(values[there], criterion, kept) is not None

    def _nll_or_nan(self, theta):
        return self.nll(theta) if np.isfinite(theta).all() else np.nan

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
        explained = theta_is_right and self._wrong_beta(beta, self.case.theta)
        if explained:
            return f"{shown}: {explained}"
        moved = np.sort(beta) - np.sort(expected)
        if np.abs(moved / self.se.max()).max() <= self.case.beta_tolerance:
            order = ", ".join(self.names)
            return f"{shown}: beta's elements are in another order than the columns of X, {order}"
        right = "; theta is right" if theta_is_right else ""
        return f"{shown}: {UNKNOWN}{right}"

    def _wrong_beta(self, beta, theta):
        """The sentence on a beta beside a right theta, or ""."""
        if self.case.costs or self.setup.design.n > MOST_ROWS_DENSE:
            return ""
        expected = LMMprof(theta, self.setup).beta

        def is_same(other):
            apart = self.far(other, expected) > APART_BETAS
            return apart and self.far(beta, other) <= self.case.beta_tolerance

        return wrong_beta(self.case, self.model, theta, is_same)

    def _of_theta(self, theta, beta, likelihood):
        """The causes of a wrong theta: a mistake in the likelihood, or a search ended elsewhere."""
        shown = self._shown_sd(theta)
        distance = f"the criterion is {self.excess(theta):.2g} above its minimum there"
        cause = likelihood.mistake or self._of_no_blocks(theta, likelihood)
        if not cause and likelihood.right is None:
            cause = self._explained_by(theta, beta)
        if cause:
            yield f"{shown}: {cause}"
        elif likelihood.negative:
            yield f"{shown}: {MAXIMISED}"
        elif likelihood.right:
            yield f"{shown}: {STOPPED}; {distance}"
        else:
            yield f"{shown}: {UNKNOWN}; {distance}"
            if likelihood.right is None and self._goes_with(beta, theta):
                yield GOES_WITH_THETA
        if len(set(theta.tolist())) == 1 < len(theta):
            yield NOT_MOVED
        elif theta[0] == 0.0:
            yield SIGMA_IS_ONE
        if self.is_ols(beta, theta) and "OLS" not in cause:
            yield self._of_beta(beta)

    def _goes_with(self, beta, theta):
        """Whether beta is that of theta, and of nothing less: least squares, or fewer blocks."""
        if not np.isfinite(theta).all() or is_flat(self.nll, theta):
            return False
        of_theta = LMMprof(theta, self.setup).beta
        apart = self.far(of_theta, self.model.ols) > APART_BETAS
        return self.far(beta, of_theta) <= EQUAL_BETAS and apart

    def _explained_by(self, theta, beta):
        """The one mistake whose criterion has a minimum at theta, and beta there, or "".

        In one dimension many a number is the minimum of one. Where theta is flat, as where a
        standard deviation is zero, many mistakes look the same. So neither is told, nor is a
        mistake by which the right theta would hardly move.
        """
        J = len(self.blocks)
        has_zero = self.informative < 1 + J
        if not J or has_zero or not np.isfinite(theta).all() or is_flat(self.nll, theta):
            return ""

        def nll_of_shared(two):
            return self.nll(np.append(two[0], np.full(J, two[1])))

        is_shared = J > 1 and len(set(theta[1:].tolist())) == 1
        if is_shared and is_minimum(nll_of_shared, theta[:2], CLOSE_OPTIMUM):
            return "all blocks share one variance"
        found = [one.sentence for one in self.mistakes if self._explains(one, theta, beta)]
        return f"{AT_ITS_MINIMUM}{either(dict.fromkeys(found))}" if found else ""

    def _explains(self, mistake, theta, beta):
        """Whether theta is the minimum of a mistake's criterion, and beta its beta there."""
        return (
            is_minimum(mistake.nll, theta, CLOSE_OPTIMUM)
            and not is_minimum(mistake.nll, self.case.theta, HARDLY_APART)
            and self._is_beta_of(mistake, theta, beta)
        )

    def _is_beta_of(self, mistake, theta, beta):
        """Whether a beta is that of a mistake at theta."""
        other = mistake.beta(theta)
        same_length = len(other) == len(beta)
        return same_length and self.far(beta, other) <= self.case.beta_tolerance

    def _of_no_blocks(self, theta, likelihood):
        """The sentence on the sigma of least squares by REML, or "".

        A right `LMMprof` says that the number is no accident; by itself it must be that formula's.
        """
        n, k = self.setup.design.X.shape
        if self.blocks or n == k:
            return ""
        residuals = self.model.y - self.model.X @ self.model.ols
        rss = float(np.sum(residuals**2))
        relative = np.exp(2 * theta[0]) * (n - k) / rss - 1
        within = SEARCHED_VARIANCE if likelihood.right else CLOSED_FORM
        return SIGMA_BY_REML if abs(relative) < within else ""

    def _shown_sd(self, theta):
        """The standard deviation that is furthest off, with what was expected."""
        with np.errstate(over="ignore"):
            found = np.exp(theta)
            expected = np.exp(self.case.theta)
        i = int(np.argmax(np.abs(found - expected)))
        name = f"sd[{self.blocks[i - 1]}]" if i else "sigma"
        return f"{name} = {found[i]:.5g}, expected {expected[i]:.5g}"


def _likeliest(found):
    """The sentences of mistakes, and what their criterion is multiplied with: 1 sooner than 2."""
    scales = {scale for _, scale in found}
    likeliest = min(scales, key=lambda scale: (abs(scale), scale < 0))
    sentences = dict.fromkeys(sentence for sentence, scale in found if scale == likeliest)
    return tuple(sentences), likeliest


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
