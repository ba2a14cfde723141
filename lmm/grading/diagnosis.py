"""What is wrong, and why: first the likelihood at fixed thetas, then the fit.

A cause is named only where its numbers match.
"""

from dataclasses import dataclass, replace

import numpy as np

from ..conventions import in_another_scale_or_order
from ..practical import LMMprof
from .answers import Unusable, raised, read_answer
from .likelihoods import (
    APART_BETAS,
    EQUAL_BETAS,
    UNKNOWN,
    LikelihoodJudge,
    of_another,
)
from .mistakes import is_flat, is_minimum, matches
from .report import either

# -- sentences -----------------------------------------------------------------------------------

MAXIMISED = (
    "LMMprof is the log-likelihood, and seems to have been minimised; its negative is to be"
)
GOES_WITH_THETA = (
    "beta is that of this theta, to all digits: perhaps X, Z and the weights are right, and the "
    "sums of the criterion, or the search, are not"
)
STOPPED = (
    "LMMprof is right, but the search stopped short, or theta was changed after it"
)
SIGMA_BY_REML = (
    "sigma is sqrt(RSS / (n - k)), as by REML; by maximum likelihood it is sqrt(RSS / n)"
)
AT_ITS_MINIMUM = "this is where the criterion is smallest with one mistake: "
NOT_MOVED = "all elements of theta are equal: the search seems not to have left its start"
SIGMA_IS_ONE = "log sigma is 0 to all digits: sigma seems to be fixed at 1, and not searched for"
EXCHANGED_TUPLE = "a tuple (theta, beta); the sheet lists beta first"

# -- limits --------------------------------------------------------------------------------------

BETTER_OPTIMUM = 1e-6       # in log-likelihood: below the optimum that was known
SEARCHED_VARIANCE = 5e-4    # relative: found by a search in one dimension
ENOUGH_ELEMENTS = 3         # of theta that must agree for a coincidence to be out of the question
CLOSE_OPTIMUM = 1e-5        # in log-likelihood: found by a search, ...
HARDLY_APART = 1e-4         # ... and too near to another to be told from it
CLOSED_FORM = 1e-6          # relative, of a variance that no search has found


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


class Judge(LikelihoodJudge):
    """The judge of a likelihood, and of the fit that `lmm` returns."""

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
                stale = of_another(other.case)
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
        def criterion(theta):
            return self._nll_or_nan(misread.to_logs(theta))

        return values is not None and matches(values, criterion, self.case.thetas) is not None

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
        return Verdict(False, (self._of_beta(beta, theta),), notes)

    def _of_beta(self, beta, right_theta=None):
        """The cause of a wrong beta, perhaps beside a right theta."""
        expected = self.case.beta
        i = int(np.argmax(np.abs((beta - expected) / self.se)))
        shown = f"beta[{self.names[i]}] = {beta[i]:.6g}, expected {expected[i]:.6g}"
        if self.is_ols(beta):
            return f"{shown}: this is the OLS value; did theta reach the likelihood?"
        explained = right_theta is not None and self._wrong_beta(beta, right_theta)
        if explained:
            return f"{shown}: {explained}"
        moved = np.sort(beta) - np.sort(expected)
        if np.abs(moved / self.se.max()).max() <= self.case.beta_tolerance:
            order = ", ".join(self.names)
            return f"{shown}: beta's elements are in another order than the columns of X, {order}"
        right = "" if right_theta is None else "; theta is right"
        return f"{shown}: {UNKNOWN}{right}"

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
        elif theta[0] == 0.0 and not likelihood.right:
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


def _of_likelihood(found):
    """The causes that are known from the likelihood alone."""
    if found.mistake:
        return (f"{found.words}: {found.mistake}",)
    return (MAXIMISED,) if found.negative else ()
