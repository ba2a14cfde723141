"""Whose deviance is lower: this fit's, or that at the claimed variance parameters."""

from dataclasses import dataclass, replace
from itertools import product

import numpy as np

from ..errors import LMMError
from ..fit import certify
from ..fitting import rescaled
from ..practical import LMMprof
from .claims import BY_BLOCK, VARIANCES
from .conventions import LME4_ORDER, lme4_places

EQUAL = 1e-10           # of a deviance: the same
STOPPED_SHORT = 0.1     # of a deviance, up to which a search has ended beside the same optimum
OTHER_IS_NEARER = 1e-3  # of the distance by this criterion: the claim is by the other one
MOST_CORNERS = 8        # parameters, beyond which rounding is not followed into all corners
UNCLAIMED = "no variance parameters are claimed, so none can be compared"


@dataclass(frozen=True)
class Verdict:
    """Whose deviance is lower.

    Attributes
    ----------
    words : str
        The verdict.
    lower : {"fit", "claim", "neither", ""}
        Whose is lower; "" where none can be compared.
    fit, claim : float
        The deviance of the fit, and that at the claimed variance parameters; nan if there is none.
    rounding : float
        How much more of deviance the rounding of the claimed numbers may cost; nan if not known.
    """

    words: str
    lower: str = ""
    fit: float = np.nan
    claim: float = np.nan
    rounding: float = np.nan

    def __str__(self):
        return self.words

    @property
    def excess(self):
        """How much higher the deviance of the claim is."""
        return self.claim - self.fit

    def to_dict(self):
        """As plain Python; what is not known is None."""
        numbers = {"fit": self.fit, "claim": self.claim, "rounding": self.rounding}
        plain = {name: float(one) if np.isfinite(one) else None for name, one in numbers.items()}
        return {"words": self.words, "lower": self.lower, **plain}


def verdict_on_deviance(fit, claims, scales, facts):
    """The `Verdict`, from the `Claims`; `scales` has the `Alternative` that explains a quantity."""
    try:
        theta = claimed_theta(fit, claims, scales)
    except LMMError as error:
        return Verdict(f"it cannot be compared, for {error}")
    if theta is None:
        return Verdict(UNCLAIMED)
    by_other = any(scales.get(name) and len(facts.bases) > 1
                   and set(facts.bases[1][0]) <= set(scales[name].parts)
                   for name in ("sd", "var", "theta", "sigma"))
    best = facts.bases[1][1] if by_other else fit
    found = _verdict(best, theta, rounding_of(fit, claims, scales, best))
    if by_other:
        return Verdict(f"{_criterion(best)}'s, by which the claim is: {found.words}", found.lower,
                       found.fit, found.claim, found.rounding)
    return _by_the_other_criterion(found, theta, facts) or found


def _criterion(fit):
    return "REML" if fit.reml else "maximum likelihood"


def _by_the_other_criterion(found, theta, facts):
    """The `Verdict` where the claim is, by far, nearer to the optimum of the other criterion."""
    if found.excess <= max(EQUAL, found.rounding) or not np.isfinite(found.excess):
        return None
    if len(facts.bases) < 2:
        return None
    words, other = facts.bases[1]
    excess = deviance_at(theta, other) - other.deviance
    if not excess < OTHER_IS_NEARER * found.excess:
        return None
    return Verdict(
        f"{found.words}; but it is {_amount(excess)} above the optimum of {words[0]}",
        found.lower, found.fit, found.claim, found.rounding,
    )


# -- the claimed theta -----------------------------------------------------------------------------


def claimed_theta(fit, claims, scales):
    """The theta that is claimed; None if there is none, an LMMError where something is missing."""
    design = fit.setup.design
    covariance = fit.setup.covariance
    if claims.of("theta"):
        return _of_theta(fit, claims, scales.get("theta"))
    quantity = next((name for name in BY_BLOCK if claims.of(name)), None)
    sigma = _claimed_sigma(fit, claims, quantity, scales)
    if quantity is None and (design.blocks or sigma is None):
        return None
    if sigma is None:
        raise LMMError("sigma is not claimed")
    logs = [sigma]
    if quantity is not None:
        names = [block.name for block in design.blocks]
        claimed = {one.term: one.value for one in claims.of(quantity)}
        missing = [name for name in names if name not in claimed]
        if missing:
            raise LMMError(f"{quantity} of {missing[0]!r} is not claimed")
        logs = _logs(np.array([claimed[name] for name in names]), quantity, sigma,
                     scales.get(quantity))
    if np.isnan(logs).any() or np.isposinf(logs).any():
        raise LMMError(f"{quantity or 'sigma'} holds a number that no standard deviation can be")
    sds = np.exp(logs[1:])
    R = _correlations(fit, claims, sds, scales)
    return covariance.theta(logs[0], R * sds * sds[:, None])


def _of_theta(fit, claims, alternative):
    """The theta that is claimed as such, in the scale that explains it; lme4's has no sigma."""
    values = np.array([one.value for one in claims.of("theta")])
    if len(values) < len(fit.theta):
        by_levels = alternative is not None and LME4_ORDER in alternative.parts
        return _of_lme4_theta(fit, values, by_levels)
    if alternative is not None and alternative.logs is not None:
        with np.errstate(all="ignore"):
            values = alternative.logs(values)
    if not fit.setup.covariance.accepts(values):
        raise LMMError("the claimed theta is none: an element is not finite")
    return values


def _of_lme4_theta(fit, values, by_levels):
    """The theta of lme4's, with the sigma that is best for it."""
    T = np.zeros((len(fit.sd), len(fit.sd)))
    for place, value in zip(lme4_places(fit, by_levels), values):
        T[place] = value
    theta = fit.setup.covariance.theta(0.0, T @ T.T)
    value = LMMprof(theta, fit.setup)
    if not np.isfinite(value):
        raise LMMError("the criterion is not finite at the claimed theta")
    return rescaled(theta, value, fit.setup)[0]


def _claimed_sigma(fit, claims, quantity, scales):
    """log sigma, claimed alone or among the standard deviations; None if it is not."""
    alone = claims.of("sigma")
    if alone:
        alternative = scales.get("sigma")
        value = alone[0].value
        if alternative is not None:                 # it stands for the exact one
            return float(np.log(fit.sigma)) if _same_fit(alternative) else _log(value)
        return _log(value)
    among = claims.value(quantity, "Residual") if quantity else None
    if among is None:
        return None
    alternative = scales.get(quantity)
    value = np.array([among.value])
    if alternative is not None and alternative.logs is not None:
        with np.errstate(all="ignore"):
            return float(alternative.logs(np.ones(1), value)[0])
    return _log(among.value) / (2 if quantity == "var" else 1)


def _same_fit(alternative):
    """Whether it is this fit's sigma in another form, a number of one part."""
    return len(alternative.parts) == 1 and "in place of sigma" in alternative.parts[0]


def _log(value):
    with np.errstate(all="ignore"):
        return float(np.log(value))


def _logs(values, quantity, log_sigma, alternative):
    """log sigma and the log standard deviations of the blocks."""
    with np.errstate(all="ignore"):
        if alternative is not None and alternative.logs is not None:
            return np.append(log_sigma, alternative.logs(values)[1:])
        return np.append(log_sigma, np.log(values) / (2 if quantity == "var" else 1))


def _correlations(fit, claims, sds, scales):
    """(J, J): the claimed correlations; an LMMError where one is missing that matters."""
    J = len(sds)
    R = np.eye(J)
    claimed = {one.term: one.value for one in claims.of("corr")}
    pairs = [(i, j) for i, j in fit.setup.covariance.entries.pairs if i != j]
    for (i, j), name in zip(pairs, fit.corr.index):
        if name in claimed:
            value = claimed[name]
            if "corr" in scales and scales["corr"] is not None:
                value = float(fit.corr[name])       # a convention explains it: it is the exact one
            R[i, j] = R[j, i] = value
        elif sds[i] > 0 and sds[j] > 0:
            raise LMMError(f"corr of {name!r} is not claimed")
    if (np.abs(R) > 1).any():
        raise LMMError("corr holds a number beyond 1")
    return R


# -- the verdict -----------------------------------------------------------------------------------


def deviance_at(theta, fit):
    """-2 times the log-likelihood, or REML's, at a theta."""
    return 2 * float(LMMprof(theta, fit.setup)) + fit.setup.df * float(np.log(2 * np.pi))


def _amount(value):
    """A difference of deviances in words."""
    return f"{value:.2g}" if abs(value) < 100 else f"{value:.1f}"


def _verdict(fit, theta, rounding):
    """The `Verdict` by the criterion of a fit."""
    here = fit.deviance
    there = deviance_at(theta, fit)
    excess = there - here
    shown = f"{here:.10g} for the fit, {there:.10g} at the claimed variances"
    if not np.isfinite(there):
        return Verdict(f"{here:.10g} for the fit, and none at the claimed variances", "fit", here,
                       there, rounding)
    if excess < -EQUAL * max(1.0, abs(here)):
        words = f"{shown}: the claim is lower by {_amount(-excess)}, so the fit is not the best"
        return Verdict(words, "claim", here, there, rounding)
    if excess <= EQUAL * max(1.0, abs(here)):
        return Verdict(f"{shown}: the same", "neither", here, there, rounding)
    if excess <= rounding:
        words = f"{shown}: higher by {_amount(excess)}, no more than the rounding of the claim"
        return Verdict(words, "neither", here, there, rounding)
    words = f"{shown}: the fit's is lower by {_amount(excess)}; {_ended(theta, fit, excess)}"
    return Verdict(words, "fit", here, there, rounding)


def _ended(theta, fit, excess):
    """What the claimed point is."""
    try:
        optimum = certify(theta, fit.setup)
    except ArithmeticError:
        return "there is no gradient at the claimed point"
    if optimum.certified:
        return "the claimed point is another optimum, the best near by"
    if excess < STOPPED_SHORT:
        return "the claimed point is no optimum: a search that stopped short of this one"
    return "the claimed point is no optimum: the criterion falls from there"


def rounding_of(fit, claims, scales, best):
    """How far rounded numbers can be above an optimum: the worst corner around it.

    nan where there are too many numbers, or one whose rounding reaches beyond what it may be.
    """
    steps = _steps(fit, claims, scales)
    if steps is None or not 0 < len(steps) <= MOST_CORNERS or not np.isfinite(best.theta).all():
        return np.nan
    worst = 0.0
    for corner in product((-1.0, 1.0), repeat=len(steps)):
        moved = best.theta + np.array(corner) @ steps
        worst = max(worst, deviance_at(moved, best) - best.deviance)
    return worst


def _steps(fit, claims, scales):
    """How theta changes with half a unit of the last digit of each claimed number, or None."""
    steps = []
    try:
        theta = claimed_theta(fit, claims, scales)
        for quantity in VARIANCES:
            for one in claims.of(quantity):
                moved = claims.replacing(one, replace(one, value=one.value + one.half))
                with np.errstate(invalid="ignore"):
                    steps.append(claimed_theta(fit, moved, scales) - theta)
    except LMMError:
        return None
    steps = np.array(steps)
    return steps if np.isfinite(steps).all() else None
