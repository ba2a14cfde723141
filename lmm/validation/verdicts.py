"""Whose deviance is lower: this fit's, or that at the claimed variance parameters."""

from dataclasses import dataclass, replace
from itertools import product

import numpy as np

from ..errors import LMMError
from ..fit import certify
from ..fitting import rescaled
from ..practical import LMMprof
from .claims import BY_BLOCK, VARIANCES
from .criteria import deviance_of
from .explaining import arranged, gives, with_orders
from .variances import correlations_in, lme4_places, turned_psi

EQUAL = 1e-10           # of a deviance: the same
STOPPED_SHORT = 0.1     # of a deviance, up to which a search has ended beside the same optimum
OTHER_IS_NEARER = 1e-3  # of the distance by this criterion: the claim is by the other one
FARTHEST_LOG = 150.0    # of standard deviations, beyond which the criterion overflows
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


def verdict_on_deviance(claims, named, facts):
    """The `Verdict`, from the `Claims`; `named` has the `Alternative`s that explain a quantity.

    They are a list for each quantity that differs, empty where nothing explains it.
    """
    try:
        by_other = _by_other(claims, named, facts)
        best = facts.bases[1][1] if by_other else facts.fit
        scales = _scales(named, by_other)
        theta = claimed_theta(best, claims, scales)
    except LMMError as error:
        return Verdict(f"it cannot be compared, for {error}")
    if theta is None:
        return Verdict(UNCLAIMED)
    found = _verdict(best, theta, rounding_of(best, claims, scales))
    if by_other:
        words = f"{_criterion(best)}'s, by which the claim is: {found.words}"
        return replace(found, words=words)
    return _by_the_other_criterion(found, theta, facts) or found


def _by_other(claims, named, facts):
    """Whether the claimed variances are by the criterion that was not fitted.

    An LMMError where some are by one and some by the other: they are then no point of either.
    """
    explained = {name: named[name] for name in VARIANCES if named.get(name)}
    other = [name for name, every in explained.items() if all(one.by_other for one in every)]
    if not other:
        return False
    for name in VARIANCES:
        is_right = claims.of(name) and name not in named
        differs = name in explained and name not in other
        if (is_right or differs) and not _may_be_by_other(claims.of(name), facts):
            here, there = (_criterion(fit) for _, fit in facts.bases)
            raise LMMError(f"{name} is by {here}, and {other[0]} by {there}")
    return True


def _may_be_by_other(claims, facts):
    """Whether claimed numbers of a quantity are, by some convention, the other criterion's."""
    every = with_orders(claims, facts)
    return any(one.by_other and gives(one, claims, facts.fit) for one in every)


def _scales(named, by_other):
    """The first `Alternative` of each quantity by this criterion, or else the first."""
    scales = {}
    for quantity, explained in named.items():
        if explained:
            scales[quantity] = min(explained, key=lambda one: one.by_other != by_other)
    return scales


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
    """The theta that is claimed; None if there is none, an LMMError where something is missing.

    `fit` is by the criterion of the claim; `scales` has the `Alternative` of a quantity, if any.
    """
    design = fit.setup.design
    claims = claims.arranging({
        name: arranged(claims.of(name), scales[name].order)
        for name in BY_BLOCK if scales.get(name)
    })
    for quantity in VARIANCES:
        if any(one.below for one in claims.of(quantity)):
            raise LMMError(f"{quantity} is claimed as a bound, which is no number")
    if claims.of("theta"):
        return _of_theta(fit, claims, scales)
    quantity = _of_blocks(claims, len(design.blocks))
    log_sigma = _claimed_log_sigma(claims, scales)
    if quantity is None and (design.blocks or log_sigma is None):
        return None
    if log_sigma is None:
        raise LMMError("sigma is not claimed")
    logs = [log_sigma]
    if quantity is not None:
        names = [block.name for block in design.blocks]
        values = _in_order(claims.of(quantity), names)
        logs = _logs(values, quantity, log_sigma, scales.get(quantity))
    if np.isnan(logs).any() or np.isposinf(logs).any():
        raise LMMError(f"{quantity or 'sigma'} holds a number that no standard deviation can be")
    _refuse_overflow(logs[0], logs[1:])
    sds = np.exp(logs[1:])
    turn = _turn_of(fit, claims, quantity, scales)
    R = _correlations(fit, claims, sds, scales if turn is None else {})
    psi = R * sds * sds[:, None]
    if turn is not None:
        back = np.linalg.inv(turn)
        psi = back @ psi @ back.T
    return fit.setup.covariance.theta(logs[0], psi)


def _turn_of(fit, claims, quantity, scales):
    """What turned the random effects to another coding, or None; an LMMError if it is of some."""
    of_sds, of_corr = scales.get(quantity), scales.get("corr")
    turn = None if of_sds is None else of_sds.turn
    if turn is None:
        if of_corr is not None and of_corr.turn is not None:
            raise LMMError(f"corr is with {of_corr.parts[-1]}, and {quantity} is not")
        return None
    expected = dict(zip(fit.corr.index, correlations_in(fit, turned_psi(fit, turn))))
    if not all(one.agrees(float(expected[one.term])) for one in claims.of("corr")):
        raise LMMError(f"{quantity} is with {of_sds.parts[-1]}, and corr is not")
    return turn


def _refuse_overflow(log_sigma, logs=()):
    """Raise an LMMError where the criterion cannot be evaluated."""
    if np.isneginf(log_sigma):
        raise LMMError("sigma is 0, where the likelihood has no value")
    if not abs(log_sigma) <= FARTHEST_LOG or (np.asarray(logs) > FARTHEST_LOG).any():
        raise LMMError("a standard deviation is so small or large that the likelihood overflows")


def _of_blocks(claims, count):
    """"sd" or "var", whichever is claimed of all blocks, or else of any; None if none is."""
    claimed = {name: sum(not one.of_sigma for one in claims.of(name)) for name in BY_BLOCK}
    whole = [name for name in BY_BLOCK if claimed[name] == count]
    some = [name for name in BY_BLOCK if claims.of(name)]
    return next(iter(whole + some), None)


def _in_order(claims, names):
    """The claimed numbers in the order of `names`; an LMMError where one is missing."""
    claimed = {one.term: one.value for one in claims if not one.of_sigma}
    for name in names:
        if name not in claimed:
            raise LMMError(f"{claims[0].quantity} of {name!r} is not claimed")
    return np.array([claimed[name] for name in names])


def _refuse_large(elements):
    """Raise an LMMError where elements of T overflow when they are squared."""
    if not (np.abs(elements) < np.exp(FARTHEST_LOG)).all():
        raise LMMError("the claimed theta holds a number so large that the likelihood overflows")


def _of_theta(fit, claims, scales):
    """The theta that is claimed as such, in the scale that explains it; lme4's has no sigma."""
    alternative = scales.get("theta")
    given = claims.of("theta")
    if len(given) < len(fit.theta) and given[0].place is not None:
        values = np.array([one.value for one in given])
        places = alternative.places if alternative is not None else lme4_places(fit)
        return _of_lme4_theta(fit, values, places, _claimed_log_sigma(claims, scales))
    values = _in_order(given, fit.setup.design.labels)
    if alternative is not None and alternative.logs is not None:
        with np.errstate(all="ignore"):
            values = alternative.logs(values)
    if not fit.setup.covariance.accepts(values):
        raise LMMError("the claimed theta is none: an element is not finite")
    is_log = fit.setup.covariance.logs[1:]
    _refuse_overflow(values[0], values[1:][is_log])
    _refuse_large(values[1:][~is_log])
    return values


def _of_lme4_theta(fit, values, places, log_sigma):
    """The theta of lme4's, with the claimed sigma, or else the one that is best for it."""
    _refuse_large(values)
    T = np.zeros((len(fit.sd), len(fit.sd)))
    for place, value in zip(places, values):
        T[place] = value
    psi = T @ T.T
    if log_sigma is not None:
        _refuse_overflow(log_sigma)
        return fit.setup.covariance.theta(log_sigma, np.exp(2 * log_sigma) * psi)
    theta = fit.setup.covariance.theta(0.0, psi)
    value = LMMprof(theta, fit.setup)
    if not np.isfinite(value):
        raise LMMError("the criterion is not finite at the claimed theta")
    return rescaled(theta, value, fit.setup)[0]


def _claimed_log_sigma(claims, scales):
    """log sigma, claimed alone or among the standard deviations; None if it is not."""
    alone = claims.value("sigma")
    with np.errstate(all="ignore"):
        if alone is not None:
            alternative = scales.get("sigma")
            if alternative is None:
                return float(np.log(alone.value))
            if alternative.log_sigma is None:
                raise LMMError(f"sigma is that of {alternative.parts[0]}")
            return float(alternative.log_sigma(alone.value))
        for quantity in BY_BLOCK:
            among = claims.sigma_among(quantity)
            if among is not None:
                return _log_among(among.value, quantity, scales.get(quantity))
    return None


def _log_among(value, quantity, alternative):
    """log sigma, of a number among standard deviations or variances."""
    if alternative is not None and alternative.logs is not None:
        return float(alternative.logs(np.ones(1), np.array([value]))[0])
    return float(np.log(value)) / (2 if quantity == "var" else 1)


def _logs(values, quantity, log_sigma, alternative):
    """log sigma and the log standard deviations of the blocks."""
    with np.errstate(all="ignore"):
        if alternative is not None and alternative.logs is not None:
            return np.append(log_sigma, alternative.logs(values, (), log_sigma)[1:])
        return np.append(log_sigma, np.log(values) / (2 if quantity == "var" else 1))


def _correlations(fit, claims, sds, scales):
    """(J, J): the claimed correlations; an LMMError where one is missing that matters."""
    J = len(sds)
    R = np.eye(J)
    claimed = {one.term: one.value for one in claims.of("corr")}
    if claimed and scales.get("corr") is not None:
        claimed = dict(fit.corr)                    # a convention explains them: they are these
    pairs = [(i, j) for i, j in fit.setup.covariance.entries.pairs if i != j]
    for (i, j), name in zip(pairs, fit.corr.index):
        if name in claimed:
            R[i, j] = R[j, i] = claimed[name]
        elif sds[i] > 0 and sds[j] > 0:
            raise LMMError(f"corr of {name!r} is not claimed")
    if (np.abs(R) > 1).any():
        raise LMMError("corr holds a number beyond 1")
    return R


# -- the verdict -----------------------------------------------------------------------------------


def deviance_at(theta, fit):
    """-2 times the log-likelihood, or REML's, at a theta."""
    return deviance_of(LMMprof(theta, fit.setup), fit.setup.df)


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


def rounding_of(best, claims, scales):
    """How far rounded numbers can be above an optimum: the worst corner around it.

    nan where there are too many numbers, or one whose rounding reaches beyond what it may be.
    """
    steps = _steps(best, claims, scales)
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
