"""Confidence intervals for the fixed effects, standard deviations and correlations: Wald's, from profiles, from a bootstrap."""

import numpy as np
import pandas as pd
from scipy.special import ndtri, stdtrit

from ..errors import LMMError
from ..result import check_level, on_straight_scale, parameter_names
from .profiles import intervals
from .satterthwaite import satterthwaite
from .simulation import bootstrap


def conf_int(fit, method="profile", level=0.95, **options):
    """Confidence intervals for the fixed effects, the standard deviations and the correlations.

    Parameters
    ----------
    method : {"profile", "wald", "t", "boot"}, optional
        ``"profile"``: where twice the drop of the profile log-likelihood reaches the chi-squared quantile; of the
        likelihood also for a REML fit, as in lme4. ``"wald"``: estimate -+ normal quantile times standard error, for
        standard deviations on the log scale, for correlations on Fisher's; not to be trusted near the boundary.
        ``"t"``: the same with Student's t and Satterthwaite's `df`, which agrees with `pvalues`. ``"boot"``: quantiles
        of a parametric bootstrap.
    level : float, optional
        Between 0 and 1.
    **options
        For ``"boot"``: those of `bootstrap`, such as ``nsim`` and ``seed``.

    Returns
    -------
    DataFrame
        With lower and upper, by ``("beta", column of X)``, ``("sd", "sigma")``, ``("sd", block)`` and ``("corr", pair)``. 0
        where an interval for a standard deviation reaches 0, -+1 for a correlation; nan for Wald's if the estimate is
        there, or not certified, and for a profile that has no bound.

    Raises
    ------
    LMMError
        For an unknown method or a level outside (0, 1); for profiles, if the optimum of the likelihood is not certified,
        or a better one is found on the way: the message gives its start.

    Warns
    -----
    LMMWarning
        If a profile has no bound on a side, which is nan then: one warning names all of them, with the reasons.

    Notes
    -----
    A bound is the first crossing outwards from the estimate. With at most 50 rows, or a singular covariance, the
    minimum over the other parameters is looked for from many starts at each bound.
    """
    check_level(level)
    method = method.lower() if isinstance(method, str) else method
    if not isinstance(method, str) or method not in METHODS:
        raise LMMError(f"method is {method!r}; it is one of {', '.join(map(repr, METHODS))}")
    if unknown := [name for name in options if name not in BOOTSTRAP_OPTIONS]:
        raise LMMError(f"conf_int has no argument {unknown[0]!r}; it takes method, level and, for method='boot', "
                       f"{', '.join(BOOTSTRAP_OPTIONS)}")
    if options and method != "boot":
        raise LMMError(f"{', '.join(options)} belongs to method='boot', not to {method!r}")
    return METHODS[method](fit, level, **options)


def wald(fit, level):
    return around(fit, ndtri(0.5 + level / 2), level)


def t_intervals(fit, level):
    return around(fit, stdtrit(satterthwaite(fit), 0.5 + level / 2), level)


def around(fit, quantiles, level):
    """beta -+ quantiles standard errors, and log sd and Fisher's z of correlations -+ normal quantiles standard errors.

    nan where an sd is zero, or a correlation -+1.
    """
    widths, sds = quantiles * fit.bse.to_numpy(), 1 + len(fit.sd)
    centre, errors = on_straight_scale(fit)
    half = ndtri(0.5 + level / 2) * np.where(np.isfinite(centre), errors, np.nan)

    def bounds(sign):
        u = centre + sign * half
        return np.concatenate([fit.beta + sign * widths, np.exp(u[:sds]), np.tanh(u[sds:])])

    return _frame(fit, bounds(-1), bounds(1))


def profiled(fit, level):
    return _frame(fit, *intervals(fit, -ndtri(0.5 * (1 - level))).T)


def bootstrapped(fit, level, **options):
    return bootstrap(fit, **options).conf_int(level)


BOOTSTRAP_OPTIONS = ("nsim", "seed", "processes", "progress")
METHODS = {"profile": profiled, "wald": wald, "t": t_intervals, "boot": bootstrapped}


def _frame(fit, lower, upper):
    return pd.DataFrame({"lower": lower, "upper": upper}, parameter_names(fit))
