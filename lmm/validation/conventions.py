"""By which convention numbers of the same fit are printed differently.

`Facts.alternatives` has what a quantity would be by each convention, from the exact fit. A
convention is a number of parts, in words: maximum likelihood in place of REML, variances in place
of standard deviations, without the constant, and so on. Scales of theta are the grader's.
"""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from scipy.special import stdtr

from ..conventions import THETA_ORDERS, THETA_SCALES, codings
from ..errors import LMMError
from ..fit import refitted
from .criteria import aics, bics, multiples
from .freedoms import freedoms, kenward_roger_errors
from .variances import (
    SD_SCALES,
    SIGMA_FORMS,
    correlations_in,
    half_logs,
    lme4_places,
    lme4_theta,
    relative,
    turn_of,
    turned_psi,
    with_sigma,
)

BY_ML = "maximum likelihood, where this fit is by REML"
BY_REML = "REML, where this fit is by maximum likelihood"
BY_LEAST_SQUARES = "least squares, without random effects"
KR_ERRORS = "Kenward and Roger's standard errors"
NLME_ERRORS = "standard errors times the root of n / (n - k), as nlme's by maximum likelihood"
ONE_SIDED = "one-sided p-values"
NEW_UNIT = "the unit of the response, {:g} of the data's"
OTHER_N = "sigma with n - k in place of n"
OTHER_N_K = "sigma with n in place of n - k"
RELATIVE_VARIANCES = "variances relative to sigma^2"
LME4_THETA = "lme4's theta, relative and without sigma"
LME4_ORDER = "lme4's theta, relative and without sigma, terms with most levels first"
COVARIANCES = "covariances in place of correlations"
FISHERS_Z = "Fisher's z in place of correlations"
OTHER_SIGN = "the opposite sign"
WITH_DROPPED = "rows with missing values counted too"
RESPONSE_UNITS = (1e-3, 1e-2, 0.1, 10.0, 100.0, 1e3)
IN_UNITS_OF_Y = {"beta": 1, "se": 1, "sd": 1, "var": 2, "sigma": 1}    # and to which power


@dataclass(frozen=True)
class Alternative:
    """What a quantity is by a convention: its parts in words, and its numbers.

    `names` are those of the numbers, where they are not the fit's; `logs` is, of scales, how
    claimed numbers become log standard deviations, the numbers being these then. `log_sigma` is how
    a claimed sigma becomes the log of the criterion's; `places` are, of lme4's theta, those in T;
    `order` has, of a list of standard deviations, the place where each number would be. `turn` is
    what made the random effects those of another coding, (J, J).
    """

    parts: tuple
    values: np.ndarray
    names: tuple = ()
    logs: object = None
    log_sigma: object = None
    places: tuple = ()
    order: tuple = ()
    turn: object = None

    @property
    def by_other(self):
        """Whether its numbers are by the criterion that was not fitted."""
        return BY_ML in self.parts or BY_REML in self.parts

    @property
    def is_plain(self):
        """Whether its numbers are a fit's, by whichever criterion, and nothing else."""
        return set(self.parts) <= {BY_ML, BY_REML}


class Facts:
    """A fit, its refit by the other criterion, and its least squares, each made when asked for."""

    def __init__(self, fit):
        self.fit = fit

    @classmethod
    def of(cls, fit):
        """The facts of a fit, which keeps them."""
        known = fit.__dict__.get("_facts")
        if known is None:
            known = fit.__dict__["_facts"] = cls(fit)
        return known

    def __reduce__(self):
        return Facts, (self.fit,)                   # what is kept is made again, so a fit pickles

    @cached_property
    def bases(self):
        """(words, fit) of this criterion, "", and of the other one where it can be fitted."""
        words = BY_ML if self.fit.reml else BY_REML
        try:
            other = refitted(self.fit, reml=not self.fit.reml, quiet=True)
        except LMMError:
            return [((), self.fit)]
        return [((), self.fit), ((words,), other)]

    @cached_property
    def codings(self):
        """(parts, T, names) of the codings of X, its own first."""
        names = list(self.fit.setup.design.x_names)
        own = ((), np.eye(len(names)), names)
        return [own, *(((words,), T, other) for words, T, other in codings(self.fit))]

    @cached_property
    def turns(self):
        """(parts, what turns the random effects) of the codings of covariates with slopes."""
        found = [(parts, turn_of(self.fit, T, names)) for parts, T, names in self.codings[1:]]
        return [(parts, turn) for parts, turn in found if turn is not None]

    @cached_property
    def least_squares(self):
        """(beta, its standard errors, sigma) by least squares; None where rows are not kept."""
        design = self.fit.setup.design
        n, k = self.fit.nobs, len(self.fit.beta)
        if not design.keeps_rows or n <= k:
            return None
        X = design.weighted(design.X)
        y = design.weighted(design.y - design.offset)
        beta, *_ = np.linalg.lstsq(X, y, rcond=None)
        sigma = np.linalg.norm(y - X @ beta) / np.sqrt(n - k)
        R = np.linalg.qr(X, mode="r")
        roots = np.linalg.solve(R, np.eye(k))
        return beta, sigma * np.linalg.norm(roots, axis=1), sigma

    def alternatives(self, quantity):
        """The `Alternative`s of a quantity, a list, made once."""
        if quantity not in self._alternatives:
            with np.errstate(all="ignore"):
                self._alternatives[quantity] = list(_alternatives(quantity, self))
        return self._alternatives[quantity]

    @cached_property
    def _alternatives(self):
        return {}

    @cached_property
    def freedoms(self):
        """The rules of degrees of freedom, by whether they are of this fit or of the other."""
        return [(base, list(freedoms(fit)), fit) for base, fit in self.bases]


def _alternatives(quantity, facts):
    """The `Alternative`s of a quantity, the fit's own number first, the others in any order."""
    makers = {
        "beta": _beta,
        "se": _errors,
        "df": _df,
        "pvalue": _pvalues,
        "sd": _sds,
        "var": _variances,
        "sigma": _sigma,
        "theta": _theta,
        "corr": _correlations,
        "llf": lambda facts: _alone(multiples(facts.bases, -0.5)),
        "deviance": lambda facts: _alone(multiples(facts.bases, 1.0)),
        "aic": lambda facts: _alone(aics(facts.bases)),
        "bic": lambda facts: _alone(bics(facts.bases)),
        "nobs": _counts,
    }
    power = IN_UNITS_OF_Y.get(quantity, 0)
    for one in makers[quantity](facts):
        yield one
        if power and one.is_plain:
            for unit in RESPONSE_UNITS:
                yield _in_unit(one, unit, power)


def _in_unit(one, unit, power):
    """The same numbers where the response is in another unit."""
    parts = (*one.parts, NEW_UNIT.format(unit))
    larger = float(np.log(unit))
    if one.logs is not None:
        return replace(one, parts=parts, logs=lambda *given: one.logs(*given) + larger)
    log_sigma = one.log_sigma and (lambda given: one.log_sigma(given) + larger)
    return replace(one, parts=parts, values=one.values / unit**power, log_sigma=log_sigma)


# -- the fixed effects -----------------------------------------------------------------------------


def _beta(facts):
    for base, fit in facts.bases:
        for coding, T, names in facts.codings:
            yield Alternative(base + coding, T @ fit.beta, tuple(names))
    if facts.least_squares is not None:
        yield Alternative((BY_LEAST_SQUARES,), facts.least_squares[0])


def _plain_errors(fit, T):
    C = fit.cov_params().to_numpy()
    return np.sqrt(np.einsum("ri,ij,rj->r", T, C, T))


def _errors(facts):
    for base, fit in facts.bases:
        for coding, T, names in facts.codings:
            errors = _plain_errors(fit, T)
            yield Alternative(base + coding, errors, tuple(names))
            n, k = fit.nobs, len(fit.beta)
            if not fit.reml and n > k:
                longer = errors * np.sqrt(n / (n - k))
                yield Alternative((*base, NLME_ERRORS, *coding), longer, tuple(names))
    for coding, T, names in facts.codings:
        adjusted = kenward_roger_errors(facts.bases[-1][1] if not facts.fit.reml else facts.fit, T)
        if adjusted is not None:
            by_reml = () if facts.fit.reml else (BY_REML,)
            yield Alternative((*by_reml, KR_ERRORS, *coding), adjusted, tuple(names))
    if facts.least_squares is not None:
        yield Alternative((BY_LEAST_SQUARES,), facts.least_squares[1])


def _by_rule(facts):
    """(parts, T, names, fit, df, adjusted) of each rule of degrees of freedom."""
    for base, rules, fit in facts.freedoms:
        if base and not fit.converged:
            continue
        for words, df_of, adjusted in rules:
            if adjusted and not fit.reml:
                continue                            # that is of the refit by REML
            for coding, T, names in facts.codings:
                try:
                    df = df_of(T, coding)
                except LMMError:
                    break
                if df is not None:
                    rule = () if words.startswith("Satterthwaite") else (words,)
                    yield base + rule + coding, T, tuple(names), fit, df, adjusted


def _df(facts):
    for parts, _, names, _, df, _ in _by_rule(facts):
        yield Alternative(parts, df, names)


def _pvalues(facts):
    for parts, T, names, fit, df, adjusted in _by_rule(facts):
        errors = kenward_roger_errors(fit, T) if adjusted else _plain_errors(fit, T)
        with np.errstate(divide="ignore", invalid="ignore"):
            t = T @ fit.beta / errors
        yield Alternative(parts, 2 * stdtr(df, -np.abs(t)), names)
        yield Alternative((*parts, ONE_SIDED), stdtr(df, -np.abs(t)), names)


# -- standard deviations ---------------------------------------------------------------------------


def _log_sds(fit):
    """log sigma, and the log standard deviations of the blocks."""
    return np.append(fit.theta[:1], fit.setup.covariance.log_sds(fit.theta))


def _of_scales(facts, own):
    """The logs to compare, and how numbers in each scale become logs.

    `own` is what the numbers are meant to be, "sd" or "variance".
    """
    for base, fit in facts.bases:
        logs = _log_sds(fit)
        for word, to_log in SD_SCALES:
            parts = base if word == own else (*base, f"{word}s in place of {own}s")
            yield Alternative(parts, logs, (), with_sigma(to_log, logs[0]))


def _turned(facts, to_log):
    """Standard deviations, or variances, where a covariate has another unit or centre."""
    for base, fit in facts.bases:
        for parts, turn in facts.turns:
            with np.errstate(divide="ignore"):
                logs = np.log(np.diag(turned_psi(fit, turn))) / 2
            values = np.append(fit.theta[:1], logs)
            logs_of = with_sigma(to_log, fit.theta[0])
            yield Alternative(base + parts, values, (), logs_of, turn=turn)


def _sds(facts):
    yield from _of_scales(facts, "sd")
    yield from _turned(facts, np.log)


def _variances(facts):
    yield from _of_scales(facts, "variance")
    yield from _turned(facts, half_logs)


def _sigma(facts):
    n, k = facts.fit.nobs, len(facts.fit.beta)
    longer = float(np.log(n / (n - k))) / 2 if n > k else 0.0
    other_n, shift = (OTHER_N_K, -longer) if facts.fit.reml else (OTHER_N, longer)
    for words, form, to_log in SIGMA_FORMS:

        def unshifted(given, to_log=to_log):
            return to_log(given) - shift

        for base, fit in facts.bases:
            yield Alternative(base + words, np.array([form(fit.sigma)]), log_sigma=to_log)
        shifted = form(facts.fit.sigma * np.exp(shift))
        yield Alternative((other_n, *words), np.array([shifted]), log_sigma=unshifted)
        if facts.least_squares is not None:
            of_ols = form(facts.least_squares[2])
            yield Alternative((BY_LEAST_SQUARES, *words), np.array([of_ols]))


def _theta(facts):
    """theta itself, in other scales and orders where it holds logs alone, and as lme4's."""
    for base, fit in facts.bases:
        yield Alternative(base, fit.theta)
        places = lme4_places(fit)
        yield Alternative((*base, LME4_THETA), lme4_theta(fit, places), places=places)
        by_levels = lme4_places(fit, by_levels=True)
        if places != by_levels:
            yield Alternative((*base, LME4_ORDER), lme4_theta(fit, by_levels), places=by_levels)
        if fit.setup.covariance.elementwise:
            yield from _scales_and_orders(base, fit.theta)


def _scales_and_orders(base, theta):
    """theta with all its elements in other scales and orders."""
    scales = [("", np.copy), *((words, to_log) for words, _, to_log in THETA_SCALES)]
    scales.append((f"sigma^2, then {RELATIVE_VARIANCES}", relative(half_logs)))
    for order, arranged in THETA_ORDERS:
        for words, to_log in scales:
            parts = tuple(part for part in (words, order) if part)

            def logs(claimed, arranged=arranged, to_log=to_log):
                return to_log(arranged(claimed))

            if parts:
                yield Alternative(base + parts, theta, (), logs)


def _correlations(facts):
    for base, fit in facts.bases:
        r = fit.corr.to_numpy()
        yield Alternative(base, r)
        yield Alternative((*base, OTHER_SIGN), -r)
        with np.errstate(divide="ignore", invalid="ignore"):
            yield Alternative((*base, FISHERS_Z), np.arctanh(r))
        psi = fit.setup.covariance.psi(fit.theta)
        pairs = [(i, j) for i, j in fit.setup.covariance.entries.pairs if i != j]
        yield Alternative((*base, COVARIANCES), np.array([psi[i, j] for i, j in pairs]))
        for parts, turn in facts.turns:
            turned = correlations_in(fit, turned_psi(fit, turn))
            yield Alternative(base + parts, turned, turn=turn)


# -- likelihoods, counts ---------------------------------------------------------------------------


def _alone(found):
    """The `Alternative`s of (parts, number)."""
    for parts, number in found:
        yield Alternative(parts, np.array([number]))


def _counts(facts):
    fit = facts.fit
    yield Alternative((), np.array([float(fit.nobs)]))
    if fit.n_dropped:
        yield Alternative((WITH_DROPPED,), np.array([float(fit.nobs + fit.n_dropped)]))
