"""A fit as frames for further work, in the words of R's package broom.mixed: tidy, glance, augment.

Rows and terms are those of its methods for lme4, the names of columns with an underscore where it
has a dot, and `Intercept` for ``(Intercept)``.
"""

import numpy as np
import pandas as pd
from scipy.special import ndtri

from ..errors import LMMError, unknown_name
from ..result import check_level, correlation_pairs, natural, natural_se, parameter_names
from .intervals import BY_METHOD, conf_int

EFFECTS = ("fixed", "ran_pars", "ran_vals")
LABELS = ("effect", "group", "level", "term")
NUMBERS = ("estimate", "std_error", "statistic", "df", "p_value")
BOUNDS = ("conf_low", "conf_high")


# -- tidy ------------------------------------------------------------------------------------------


def tidy(fit, effects=EFFECTS, conf_int=None, level=0.95):
    """The estimates of a fit, one a row: broom.mixed's ``tidy``.

    Parameters
    ----------
    effects : str or list of str, optional
        Which of ``"fixed"``, the fixed effects; ``"ran_pars"``, the standard deviations and
        correlations of the random effects and of the residuals; ``"ran_vals"``, the conditional
        modes, which broom.mixed leaves out unless asked. They come in this order.
    conf_int : {None, "profile", "wald", "t", "boot"} or DataFrame, optional
        The method of `conf_int`, or a table that it has returned, such as
        ``fit.conf_int("boot", seed=1)``.
    level : float, optional
        Of the intervals, between 0 and 1.

    Returns
    -------
    DataFrame
        Here and in broom.mixed, columns and what is in them::

            effect      effect      one of the three above
            group       group       the grouping, "Residual" for the residuals
            level       level       of the grouping, as in `ranef`
            term        term        Days; sd__Days, cor__Intercept.Days, sd__Observation; Days
            estimate    estimate    in units of y, correlations without
            std_error   std.error   `bse`, of standard deviations by the delta method (there NA), of
                                    modes as in `ranef`
            statistic   statistic   `tvalues`
            df          df          Satterthwaite's
            p_value     p.value     `pvalues`
            conf_low    conf.low    with `conf_int` only; of modes they are always estimate -+
            conf_high   conf.high   normal quantile times std_error

        All columns but the last two are always there; None or nan where a row has none.

    Raises
    ------
    LMMError
        If an argument is none of the above; and as `conf_int`.

    References
    ----------
    Bolker and Robinson, broom.mixed: Tidying Methods for Mixed Models (R package).

    Examples
    --------
    >>> fit = lmer("Reaction ~ Days + (Days | Subject)", load_data("sleepstudy"))
    >>> fit.tidy("ran_pars")[["group", "term", "estimate"]].round(3)
          group                 term  estimate
    0   Subject        sd__Intercept    24.740
    1   Subject  cor__Intercept.Days     0.066
    2   Subject             sd__Days     5.922
    3  Residual      sd__Observation    25.592
    """
    wanted = _checked_effects(effects)
    bounds = _checked_bounds(fit, conf_int, level)
    made_by = {"fixed": _fixed, "ran_pars": _ran_pars, "ran_vals": _ran_vals}
    parts = [made_by[effect](fit, bounds, level) for effect in EFFECTS if effect in wanted]
    names = [*LABELS, *NUMBERS, *(BOUNDS if bounds is not None else ())]
    return pd.DataFrame({name: _joined(part[name] for part in parts) for name in names})


def _checked_effects(effects):
    """The effects that are wanted, a list; an LMMError if one is unknown, or there are none."""
    wanted = [effects] if np.ndim(effects) == 0 else list(effects)
    for effect in wanted:
        if effect not in EFFECTS:
            raise unknown_name("effect", effect, EFFECTS)
    if not wanted:
        raise LMMError(f"effects is empty; it is one or more of {', '.join(map(repr, EFFECTS))}")
    return wanted


def _checked_bounds(fit, method, level):
    """The intervals, lower and upper by `parameter_names`; None if none are wanted."""
    check_level(level)
    if method is None:
        return None
    names = parameter_names(fit)
    if isinstance(method, pd.DataFrame):
        if not method.index.equals(names) or list(method.columns) != ["lower", "upper"]:
            raise LMMError("conf_int is no table of this fit; it is what fit.conf_int() returns")
        return method
    if not isinstance(method, str) or method.lower() not in BY_METHOD:
        raise LMMError(
            f"conf_int is {method!r}; it is None, one of {', '.join(map(repr, BY_METHOD))}, "
            "or a table that fit.conf_int() returned"
        )
    return conf_int(fit, method, level)


def _fixed(fit, bounds, level):
    """The fixed effects."""
    k = len(fit.beta)
    return _part(
        "fixed",
        k,
        _rows_of(bounds, slice(k)),
        term=fit.params.index,
        estimate=fit.params,
        std_error=fit.bse,
        statistic=fit.tvalues,
        df=fit.df,
        p_value=fit.pvalues,
    )


def _ran_pars(fit, bounds, level):
    """The standard deviations and correlations, term by term, and the residuals' last."""
    groups, effects, places = zip(*random_parameters(fit))
    places = list(places)
    return _part(
        "ran_pars",
        len(places),
        _rows_of(bounds, len(fit.beta) + np.array(places)),
        group=groups,
        term=map(term_of, effects),
        estimate=natural(fit).iloc[places],
        std_error=natural_se(fit).iloc[places],
    )


def random_parameters(fit):
    """For each row of ``ran_pars``: group, effects, and its place in `natural`.

    One effect stands for its standard deviation, two for their correlation. Those of a term are in
    the order of the lower triangle of its psi, column by column; the residuals' is the last.
    """
    design = fit.setup.design
    blocks = design.blocks
    pairs, _ = correlation_pairs(design)
    for i, j in design.covariance.entries.pairs:
        if i == j:
            yield blocks[j].group, (blocks[j].effect,), 1 + j
        else:
            effects = blocks[j].effect, blocks[i].effect
            yield blocks[j].group, effects, 1 + len(blocks) + pairs.index((i, j))
    yield "Residual", ("Observation",), 0


def term_of(effects):
    """broom.mixed's name for the standard deviation of an effect, or the correlation of two."""
    return ("sd__" if len(effects) == 1 else "cor__") + ".".join(effects)


def _ran_vals(fit, bounds, level):
    """The conditional modes, with normal intervals."""
    modes = fit.ranef(tidy=True)
    half = ndtri(0.5 + level / 2) * modes["sd"]
    return _part(
        "ran_vals",
        len(modes),
        (modes["estimate"] - half, modes["estimate"] + half),
        group=modes["group"],
        level=modes["level"],
        term=modes["name"],
        estimate=modes["estimate"],
        std_error=modes["sd"],
    )


def _rows_of(bounds, places):
    """The lower and the upper bounds at these places; two of no length where there are none."""
    if bounds is None:
        return (), ()
    return bounds["lower"].iloc[places], bounds["upper"].iloc[places]


def _part(effect, n, bounds, **columns):
    """The columns of one kind of effect, each of n values: None or nan where it has none."""
    part = {
        **{name: [None] * n for name in LABELS},
        **{name: [np.nan] * n for name in NUMBERS},
        **dict(zip(BOUNDS, bounds)),
        **columns,
    }
    part["effect"] = [effect] * n
    return part


def _joined(columns):
    """The values of several columns, one after another."""
    return [value for column in columns for value in column]


# -- glance ----------------------------------------------------------------------------------------


def glance(fit):
    """What a fit is as a whole, in one row: broom.mixed's ``glance``.

    Returns
    -------
    DataFrame
        ``nobs``; ``sigma``; ``logLik``, `llf`; ``AIC``, ``BIC``; ``REMLcrit``, after a fit by
        maximum likelihood ``deviance``; ``df_residual``, there ``df.residual``. Rows of several
        fits are put together by ``pd.concat``.

    Examples
    --------
    >>> fit = lmer("Reaction ~ Days + (Days | Subject)", load_data("sleepstudy"))
    >>> fit.glance().round(2).to_dict("records")[0]                            # doctest: +SKIP
    {'nobs': 180, 'sigma': 25.59, 'logLik': -871.81, 'AIC': 1755.63, 'BIC': 1774.79,
     'REMLcrit': 1743.63, 'df_residual': 174}
    """
    criterion = "REMLcrit" if fit.reml else "deviance"
    row = {
        "nobs": fit.nobs,
        "sigma": fit.sigma,
        "logLik": fit.llf,
        "AIC": fit.aic,
        "BIC": fit.bic,
        criterion: fit.deviance,
        "df_residual": fit.df_resid,
    }
    return pd.DataFrame([row])


# -- augment ---------------------------------------------------------------------------------------


def augment(fit):
    """The data of a fit and what it says of each row: broom.mixed's ``augment``.

    Returns
    -------
    DataFrame
        By the index of the rows used: the response, if it is not a column itself; the columns of
        `dat` that the model uses; then ``.fitted``, `fittedvalues`; ``.resid``; ``.fixed``, the
        prediction without random effects; ``.hat``, `leverage`; ``.cooksd``, `cooks_distance`;
        ``.offset`` and ``.weights``, if there are any.

    Raises
    ------
    LMMError
        If the data have a column of one of these names.

    Examples
    --------
    >>> fit = lmer("Reaction ~ Days + (Days | Subject)", load_data("sleepstudy"))
    >>> fit.augment().iloc[0].drop("Subject").astype(float).round(2).to_dict()
    {'Reaction': 249.56, 'Days': 0.0, '.fitted': 253.66, '.resid': -4.1, '.fixed': 251.41,
     '.hat': 0.23, '.cooksd': 0.0}
    """
    design = fit.setup.design
    used = [name for name in design.data if name in design.dat]
    frame = design.dat.iloc[design.rows][used].copy()
    if design.response not in used:
        frame.insert(0, design.response, design.y)
    columns = {
        ".fitted": fit.fittedvalues,
        ".resid": fit.resid,
        ".fixed": fit.predict(random=False),
        ".hat": fit.leverage,
        ".cooksd": fit.cooks_distance,
    }
    if design.given["offset"] is not None or design.offset.any():
        columns[".offset"] = design.offset
    if design.root_weights is not None:
        columns[".weights"] = design.root_weights**2
    for name, values in columns.items():
        if name in frame:
            raise LMMError(f"dat has a column {name!r}, as augment makes one; rename that of dat")
        frame[name] = np.asarray(values)
    return frame
