"""In what forms variance parameters stand: scales of them, lme4's theta, another coding of Z."""

import numpy as np

SMALL_IN_CODING = 1e-12 # of the largest element of T: it is the rounding of a zero

# -- scales ----------------------------------------------------------------------------------------


def half_logs(variances):
    return np.log(variances) / 2


def _halves(logs):
    return logs / 2


def relative(to_log):
    """The same scale, of blocks relative to sigma."""
    def logs(given):
        found = to_log(given)
        return np.append(found[:1], found[1:] + found[:1])

    return logs


# what may stand in place of sds or variances, and how it becomes logs of sds
SD_SCALES = (
    ("sd", np.log),
    ("variance", half_logs),
    ("log sd", np.array),
    ("log variance", _halves),
    ("relative sd", relative(np.log)),
    ("relative variance", relative(half_logs)),
    ("log relative sd", relative(np.array)),
)


def in_scale(to_log, log_sigma):
    """How sigma stands in a scale: the number whose log standard deviation it is."""
    with np.errstate(all="ignore"):
        for one in (log_sigma, 2 * log_sigma, np.exp(log_sigma), np.exp(2 * log_sigma)):
            if np.allclose(to_log(np.array([one, 1.0]))[0], log_sigma, atol=1e-12):
                return float(one)
    return np.nan


def with_sigma(to_log, known):
    """From the numbers of blocks, and sigma's where it is among them, to all logs.

    Where it is not, its log is `log_sigma`, or else the known one.
    """
    def logs(blocks, sigma=(), log_sigma=None):
        if not len(sigma):
            sigma = [in_scale(to_log, known if log_sigma is None else log_sigma)]
        return to_log(np.concatenate([sigma, blocks]))

    return logs


# what stands in place of sigma, from sigma, and from it to log sigma
SIGMA_FORMS = (
    ((), lambda s: s, np.log),
    (("the residual variance in place of sigma",), lambda s: s**2, lambda v: np.log(v) / 2),
    (("log sigma in place of sigma",), np.log, lambda v: v),
    (("the log residual variance in place of sigma",), lambda s: 2 * np.log(s), lambda v: v / 2),
    (("1 / sigma^2 in place of sigma",), lambda s: s**-2.0, lambda v: -np.log(v) / 2),
)


# -- lme4's theta ----------------------------------------------------------------------------------


def lme4_places(fit, by_levels=False):
    """The places in T of lme4's theta: each term by columns; terms as in ref, or as lme4 has them.

    lme4 puts terms with more levels first.
    """
    covariance = fit.setup.covariance
    blocks = fit.setup.design.blocks
    terms = list(zip(covariance.spans, covariance.structures))
    if by_levels:
        terms.sort(key=lambda term: -len(blocks[term[0].start].levels))
    places = []
    for span, structure in terms:
        own = range(span.start, span.stop)
        if structure.kind == "independent":
            places += [(j, j) for j in own]
        else:
            places += [(i, j) for j in own for i in own if i >= j]
    return tuple(places)


def lme4_theta(fit, places):
    """lme4's theta of a fit: the elements of T / sigma in these places."""
    T = fit.setup.covariance.root(fit.theta) / fit.sigma
    return np.array([T[place] for place in places])


# -- another coding --------------------------------------------------------------------------------


def turn_of(fit, T, names):
    """What a coding of the fixed effects makes of the random ones, (J, J); None if nothing.

    None too where no psi of the model is that of this coding.
    """
    covariance = fit.setup.covariance
    known = list(fit.setup.design.x_names)
    effects = [block.effect for block in fit.setup.design.blocks]
    turn = np.eye(len(effects))
    if list(names) != known:
        return None
    T = np.where(np.abs(T) > SMALL_IN_CODING * np.abs(T).max(), T, 0.0)
    for span, structure in zip(covariance.spans, covariance.structures):
        if not all(effect in known for effect in effects[span]):
            continue
        places = [known.index(effect) for effect in effects[span]]
        share = T[np.ix_(places, places)]
        others = np.delete(T[places], places, axis=1)
        is_diagonal = not (share - np.diag(np.diag(share))).any()
        if others.any() or (structure.kind == "independent" and not is_diagonal):
            return None
        turn[span, span] = share
    return None if np.array_equal(turn, np.eye(len(effects))) else turn


def turned_psi(fit, turn):
    """The covariance of the random effects in another coding, (J, J)."""
    return turn @ fit.setup.covariance.psi(fit.theta) @ turn.T


def correlations_in(fit, psi):
    """The correlations of the pairs of `fit.corr` that a covariance of its blocks has."""
    sds = np.sqrt(np.diag(psi))
    with np.errstate(divide="ignore", invalid="ignore"):
        R = psi / sds / sds[:, None]
    return np.array([R[i, j] for i, j in fit.setup.covariance.entries.pairs if i != j])
