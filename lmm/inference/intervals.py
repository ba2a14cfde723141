"""Confidence intervals: Wald's, Student's, from profiles, from a bootstrap.

For the fixed effects, the standard deviations and the correlations.
"""

import numpy as np
import pandas as pd
from scipy.special import ndtri, stdtrit

from ..errors import LMMError
from ..result import check_level, on_straight_scale, parameter_names
from ..translation import unknown_argument
from .hypotheses import contrast
from .profiles import intervals
from .satterthwaite import satterthwaite
from .simulation import bootstrap


def conf_int(fit, method="profile", level=0.95, *, df="satterthwaite", **options):
    """Confidence intervals for the fixed effects, the standard deviations and the correlations.

    Parameters
    ----------
    method : {"profile", "wald", "t", "boot"}, optional
        ``"profile"``: where twice the drop of the profile log-likelihood reaches the chi-squared
        quantile; of the likelihood also for a REML fit, as in lme4. ``"wald"``: estimate -+ normal
        quantile times standard error, for standard deviations on the log scale, for correlations
        on Fisher's; not to be trusted near the boundary. ``"t"``: the same with Student's t and
        Satterthwaite's `df`, which agrees with `pvalues`. ``"boot"``: quantiles of a parametric
        bootstrap.
    level : float, optional
        Between 0 and 1.
    df : {"satterthwaite", "kr"}, optional
        For ``"t"``: whose degrees of freedom; ``"kr"`` are Kenward and Roger's, with their standard
        errors, of the refit by REML where the fit was by maximum likelihood.
    **options
        For ``"boot"``: those of `bootstrap`, such as ``nsim`` and ``seed``.

    Returns
    -------
    DataFrame
        With lower and upper, by ``("beta", column of X)``, ``("sd", "sigma")``, ``("sd", block)``
        and ``("corr", pair)``. 0 where an interval for a standard deviation reaches 0, -+1 for a
        correlation; nan for Wald's if the estimate is there, or not certified, and for a profile
        that has no bound.

    Raises
    ------
    LMMError
        For an unknown method or a level outside (0, 1); for profiles, if the optimum of the
        likelihood is not certified, or a better one is found on the way: the message gives its
        start.

    Warns
    -----
    LMMWarning
        If a profile has no bound on a side, which is nan then: one warning names all of them, with
        the reasons.

    Notes
    -----
    A bound is the first crossing outwards from the estimate. With at most 50 rows, or a singular
    covariance, the minimum over the other parameters is looked for from many starts at each bound.

    Examples
    --------
    >>> fit = lmm("Yield ~ 1", load_data("Dyestuff"), "Batch")
    >>> fit.conf_int().loc[("sd", "Batch")].round(2).tolist()
    [12.2, 84.06]
    """
    check_level(level)
    method = method.lower() if isinstance(method, str) else method
    if not isinstance(method, str) or method not in BY_METHOD:
        raise _unknown_method(method)
    unknown = {name: options[name] for name in options if name not in BOOTSTRAP_OPTIONS}
    if unknown:
        known = ["method", "level", *BOOTSTRAP_OPTIONS]
        takes = f"method, level and, for method='boot', {', '.join(BOOTSTRAP_OPTIONS)}"
        raise unknown_argument("conf_int", unknown, known, takes)
    if options and method != "boot":
        raise LMMError(f"{', '.join(options)} belongs to method='boot', not to {method!r}")
    if df != "satterthwaite":
        if method != "t":
            raise LMMError(f"df belongs to method='t', not to {method!r}")
        return t_intervals(fit, level, df)
    return BY_METHOD[method](fit, level, **options)


def _unknown_method(method):
    """The LMMError about a method that there is not, or a level in its place."""
    message = f"method is {method!r}; it is one of {', '.join(map(repr, BY_METHOD))}"
    if isinstance(method, float) and 0 < method < 1:
        level = max(method, round(1 - method, 12))          # statsmodels' first argument is alpha
        message += f", and a level is given by name: level={level}"
    return LMMError(message)


def wald(fit, level):
    """beta -+ normal quantiles times standard errors; see `around`."""
    return around(fit, ndtri(0.5 + level / 2), level)


def t_intervals(fit, level, df="satterthwaite"):
    """beta -+ quantiles of Student's t times standard errors; see `around`."""
    table = around(fit, stdtrit(satterthwaite(fit), 0.5 + level / 2), level)
    if df != "satterthwaite":
        k = len(fit.beta)
        of_beta = contrast(fit, np.eye(k), df=df, level=level)
        table.iloc[:k] = of_beta[["lower", "upper"]].to_numpy()
    return table


def around(fit, quantiles, level):
    """beta -+ quantiles times standard errors; normal quantiles for the other parameters.

    These are log sd and Fisher's z of correlations: exp(log sd -+ ...), tanh(z -+ ...). nan where
    an sd is zero, or a correlation -+1.
    """
    of_beta = quantiles * fit.bse.to_numpy()
    centre, errors = on_straight_scale(fit)
    errors = np.where(np.isfinite(centre), errors, np.nan)
    of_others = ndtri(0.5 + level / 2) * errors
    sds = 1 + len(fit.sd)

    def bounds(sign):
        u = centre + sign * of_others
        return np.concatenate([
            fit.beta + sign * of_beta,
            np.exp(u[:sds]),
            np.tanh(u[sds:]),
        ])

    return _frame(fit, bounds(-1), bounds(1))


def profiled(fit, level):
    """Where zeta, the signed root of twice the profile's drop, is -+ the normal quantile."""
    quantile = -ndtri(0.5 * (1 - level))
    lower, upper = intervals(fit, quantile).T
    return _frame(fit, lower, upper)


def bootstrapped(fit, level, **options):
    """Quantiles of a parametric bootstrap."""
    return bootstrap(fit, **options).conf_int(level)


BOOTSTRAP_OPTIONS = ("nsim", "seed", "processes", "progress")
BY_METHOD = {
    "profile": profiled,
    "wald": wald,
    "t": t_intervals,
    "boot": bootstrapped,
}


def _frame(fit, lower, upper):
    """The table of intervals, by parameter."""
    return pd.DataFrame({"lower": lower, "upper": upper}, parameter_names(fit))
