"""What is wrong, and why: first the likelihood at fixed thetas, then the fit. A cause is named only where its numbers match."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..practical import LMMprof
from .answers import Unusable, raised, read_answer, read_value
from .forms import in_another_form
from .mistakes import Model, is_flat, is_minimum, matches, mistakes

UNKNOWN = "wrong, the cause is unknown"
MAXIMISED = "LMMprof is the log-likelihood, and seems to have been minimised; its negative is to be"
PERHAPS = ("beta is that of this theta, to all digits: perhaps the likelihood is right, and the search started in the wrong "
           "units or stopped short")
OVERFLOWS = ("log(det()) overflows: the determinant is exp({:.0f}), which no double holds; take twice the sum of the logs of "
             "the Cholesky factor's diagonal")
SCALES = {1.0: "", 2.0: ", as twice the negative log-likelihood",
          -1.0: ", but for its sign: it is the log-likelihood, not its negative",
          -2.0: ", but for its sign: it is twice the log-likelihood, not its negative"}
EQUAL = 1e-5            # of a standard error: beta is that of a formula
APART = 1e-2            # of a standard error: two betas that can be told apart
LOWER = 1e-6            # in log-likelihood: a better optimum than was known
SEARCHED = 5e-4         # relative: a variance found by a search in one dimension
LARGEST_LOG = 700.0     # |log| of the numbers that a double can hold, about


@dataclass(frozen=True)
class Likelihood:
    """What was found of `LMMprof`: whether it is right (None: not known), in words, and the mistake that it matches, if any."""

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
        self.case, self.setup = case, case.setup
        self.names = case.setup.design.x_names
        self.blocks = [block.name for block in case.setup.design.blocks]

    @cached_property
    def model(self):
        return Model.of(self.setup.design)

    @cached_property
    def se(self):
        return self.case.fit.bse.to_numpy()

    @cached_property
    def rivals(self):
        """(sentence, criterion): the case's own misreadings."""
        return [(sentence, Model(self.model.y, self.model.X, blocks).nll) for sentence, blocks in self.case.rivals]

    @cached_property
    def mistakes(self):
        """(sentence, criterion): the usual mistakes; none for many rows, where n x n algebra takes too long."""
        return [] if self.case.costs else list(mistakes(self.model))

    def nll(self, theta):
        return float(LMMprof(theta, self.setup))

    def excess(self, theta):
        """How far the criterion at theta is above its minimum; inf where there is none."""
        if np.isnan(theta).any() or not np.isfinite(theta[0]) or (theta == np.inf).any():
            return np.inf
        return self.nll(theta) - float(self.case.best)

    def is_right(self, theta):
        return self.excess(theta) <= self.case.nll_tolerance

    def far(self, beta, expected):
        """The largest difference of two betas, in standard errors."""
        return np.abs((beta - expected) / self.se).max(initial=0)

    def is_ols(self, beta, theta=None):
        """Whether a beta is that of least squares, and could not be the model's as well, at its best theta or this one."""
        of_model = [self.case.beta] if theta is None else [self.case.beta, LMMprof(theta, self.setup).beta]
        ols = self.model.ols
        return self.far(beta, ols) <= EQUAL and all(self.far(ols, other) > APART for other in of_model)

    # -- the likelihood ------------------------------------------------------------------------------------

    @np.errstate(all="ignore")                          # a submission's theta may be anything
    def likelihood(self, profile):
        """A `Likelihood` from the description of `LMMprof` at the case's thetas."""
        if profile is None:
            return Likelihood(None, "no LMMsetup and LMMprof: the likelihood could not be checked alone")
        try:
            if "error" in profile:
                raise Unusable(raised(profile["error"], "LMMsetup"))
            values, betas = zip(*(_value(one) for one in profile["values"]))
        except Unusable as error:
            return Likelihood(None, f"the likelihood could not be checked alone: {error}")
        values, thetas = np.array(values), self.case.thetas
        shown = f"LMMprof at theta = ({', '.join(f'{t:.3g}' for t in thetas[0])}) is {values[0]:.7g}"
        shown += f", expected {self.nll(thetas[0]):.7g}"
        if not np.isfinite(values).all():
            return Likelihood(False, shown, self._overflow(thetas[np.flatnonzero(~np.isfinite(values))[0]]))
        if found := matches(values, self.nll, thetas):
            return self._right(*found, betas)
        found = {sentence: found for sentence, criterion in (*self.rivals, *self.mistakes)
                 if (found := matches(values, criterion, thetas))}
        usual = [sentence for sentence, (scale, constant) in found.items() if self._constant(scale, constant)]
        if usual or len(found) == 1:                    # with another constant each, none of several is sure
            sentence = (usual or list(found))[0]
            return Likelihood(False, shown, sentence, found[sentence][0] < 0)
        return Likelihood(False, f"{shown}: {UNKNOWN}")

    def _constant(self, scale, constant):
        """With or without which constant a criterion times a scale is, "" if it is neither 0 nor scale n/2 log(2 pi)."""
        full = scale * 0.5 * self.model.n * np.log(2 * np.pi)
        if abs(constant) < 1e-6 * max(1.0, abs(self.case.best)):
            return ", without the constant n/2 log(2 pi)"
        return ", with the constant n/2 log(2 pi)" if abs(constant - full) < 1e-6 * abs(full) else ""

    def _overflow(self, theta):
        """The sentence on a determinant that no double holds, of V or of the p x p matrix, or "" if both can be held."""
        n, p = self.model.n, self.model.p
        of_V = 2 * self.model.parts(theta)[0]
        of_A = of_V - max(n - p, 0) * 2 * theta[0]
        too_large = [log for log in (of_A, of_V) if abs(log) > LARGEST_LOG]
        return OVERFLOWS.format(too_large[0]) if too_large else ""

    def _right(self, scale, constant, betas):
        """The `Likelihood` of values that are the criterion times a scale plus a constant."""
        rest = self._constant(scale, constant) or f", with another constant, {constant:.6g}"
        for theta, beta in zip(self.case.thetas, betas):
            expected = LMMprof(theta, self.setup).beta
            if beta is not None and len(beta) == len(expected) and self.far(beta, expected) > EQUAL:
                rest += "; but its beta is not that of theta" + (", it is that of OLS" if self.is_ols(beta, theta) else "")
                break
        return Likelihood(True, f"LMMprof is right at fixed thetas{SCALES[scale]}{rest}", "", scale < 0)

    # -- the fit ---------------------------------------------------------------------------------------------

    @np.errstate(all="ignore")
    def fit(self, fit, likelihood):
        """A `Verdict` on the answer of `lmm`."""
        try:
            if "error" in fit:
                raise Unusable(raised(fit["error"], "lmm"))
            answer = read_answer(fit["returned"], len(self.names), len(self.blocks))
        except Unusable as error:
            return Verdict(False, (*_of_likelihood(likelihood), str(error)))
        theta, beta, notes = answer.theta, answer.beta, answer.notes
        if len(beta) == len(theta) and not self.is_right(theta) and self.is_right(beta):
            if answer.named:
                return Verdict(False, ("beta and theta are exchanged",), notes)
            theta, beta, notes = beta, theta, (*notes, "a tuple (theta, beta); the sheet lists beta first")
        excess, far = self.excess(theta), self.far(beta, self.case.beta)
        if self.is_right(theta):
            far = min(far, self.far(beta, LMMprof(theta, self.setup).beta))     # on a flat stretch, beta goes with theta
            if excess < -LOWER:
                notes = (*notes, f"its criterion is {-excess:.2g} below that of the answer it was compared with")
            right = far <= self.case.beta_tolerance
            return Verdict(right, () if right else (self._of_beta(beta, theta_is_right=True),), notes)
        form = "" if likelihood.mistake else in_another_form(theta, self.is_right)
        if form:
            wrong_beta = (self._of_beta(beta),) if far > self.case.beta_tolerance else ()
            return Verdict(False, (form, *wrong_beta), notes)
        return Verdict(False, tuple(self._of_theta(theta, beta, excess, likelihood)), notes)

    def _of_beta(self, beta, theta_is_right=False):
        """The cause of a wrong beta."""
        i = int(np.argmax(np.abs((beta - self.case.beta) / self.se)))
        shown = f"beta[{self.names[i]}] = {beta[i]:.6g}, expected {self.case.beta[i]:.6g}"
        if self.is_ols(beta):
            return f"{shown}: this is the OLS value; did theta reach the likelihood?"
        if np.abs((np.sort(beta) - np.sort(self.case.beta)) / self.se.max()).max() <= self.case.beta_tolerance:
            return f"{shown}: beta's elements are in another order than the columns of X, {', '.join(self.names)}"
        return f"{shown}: {UNKNOWN}" + ("; theta is right" if theta_is_right else "")

    def _of_theta(self, theta, beta, excess, likelihood):
        """The causes of a wrong theta: a mistake in the likelihood, or an optimiser that ended elsewhere."""
        shown = self._shown(theta)
        distance = f"the criterion is {excess:.2g} above its minimum there"
        cause = likelihood.mistake or self._of_no_blocks(theta)
        if not cause and likelihood.right is not True:
            cause = self._explained_by(theta)
        if cause:
            yield f"{shown}: {cause}"
        elif likelihood.negative:
            yield f"{shown}: {MAXIMISED}"
        elif likelihood.right:
            yield f"{shown}: LMMprof is right, but the search stopped short, or theta was changed after it; {distance}"
        else:
            yield f"{shown}: {UNKNOWN}; {distance}"
            of_theta = LMMprof(theta, self.setup).beta
            if likelihood.right is None and self.far(beta, of_theta) <= EQUAL and self.far(of_theta, self.model.ols) > APART:
                yield PERHAPS
        if len(set(theta.tolist())) == 1 < len(theta):
            yield "all elements of theta are equal: the search seems not to have left its start"
        if self.is_ols(beta, theta) and "OLS" not in cause:
            yield self._of_beta(beta)

    def _explained_by(self, theta):
        """The one mistake whose criterion has a minimum at theta, or "" if there is none."""
        J = len(self.blocks)
        within = self.case.nll_tolerance if J else SEARCHED**2      # many a number is a minimum in one dimension
        shared = J > 1 and len(set(theta[1:].tolist())) == 1
        if shared and is_minimum(lambda t: self.nll(np.append(t[0], [t[1]] * J)), theta[:2], within):
            return "all blocks share one variance"
        flat = not np.isfinite(theta).all() or is_flat(self.nll, theta)     # there, many mistakes look the same
        for sentence, criterion in self.rivals if flat else (*self.rivals, *self.mistakes):
            if is_minimum(criterion, theta, within):
                return f"this is where the criterion is smallest with one mistake: {sentence}"
        return ""

    def _of_no_blocks(self, theta):
        """The sentence on the sigma of least squares by REML, or ""."""
        n, k = self.setup.design.X.shape
        if self.blocks or n == k:
            return ""
        rss = float(np.sum((self.model.y - self.model.X @ self.model.ols) ** 2))
        by_reml = abs(np.exp(2 * theta[0]) * (n - k) / rss - 1) < SEARCHED
        return "sigma is sqrt(RSS / (n - k)), as by REML; by maximum likelihood it is sqrt(RSS / n)" if by_reml else ""

    def _shown(self, theta):
        """The standard deviation that is furthest off, with what was expected."""
        with np.errstate(over="ignore"):
            found, expected = np.exp(theta), np.exp(self.case.theta)
        i = int(np.argmax(np.abs(found - expected)))
        name = ["sigma", *(f"sd[{block}]" for block in self.blocks)][i]
        return f"{name} = {found[i]:.5g}, expected {expected[i]:.5g}"


def _value(one):
    """The number and the beta of an evaluation; raises `Unusable`."""
    if "error" in one:
        raise Unusable(raised(one["error"], "LMMprof"))
    return read_value(one["returned"])


def _of_likelihood(found):
    """The causes that are known from the likelihood alone."""
    if found.mistake:
        return (f"{found.words}: {found.mistake}",)
    return (MAXIMISED,) if found.negative else ()
