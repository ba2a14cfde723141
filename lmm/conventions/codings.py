"""The same fixed effects in another coding: contrasts, reference levels, units, centres.

X' spans what X does, so X' T = X for one T, and beta' = T beta.
"""

import re

import numpy as np
from patsy import PatsyError

from ..errors import LMMError
from ..fit import functions_of
from ..inference import variables_of
from ..model import make_design

UNITS = (1e-3, 1e-2, 0.1, 10.0, 100.0, 1e3, 7.0, 12.0, 24.0, 60.0, 365.25)
CODED_BY = (("Sum", "contrasts that sum to zero"), ("Helmert", "Helmert's contrasts"))
SAME_SPAN = 1e-9        # of the length of a column of X, beyond which X' does not make it
MOST_LEVELS = 12        # of a factor, beyond which other reference levels are not tried


def codings(fit):
    """(words, T, names of T's rows) for each coding of the same columns that there is."""
    design = fit.setup.design
    if not design.keeps_rows:
        return
    try:
        factors, covariates = variables_of(fit)
    except LMMError:
        return
    dat = design.dat.iloc[design.rows].copy()
    for name in factors:
        dat[name] = np.asarray(design.data[name])
    for words, form, other in _others(design, dat, factors, covariates):
        found = _turned(design, form, other)
        if found is not None:
            yield words, *found


def _turned(design, form, dat):
    """(T, names) of the coding that another formula or other data make; None if it is no other."""
    try:
        new = make_design(form, dat, (), functions=functions_of(design))
    except (LMMError, PatsyError, ValueError, TypeError):
        return None
    X = design.X
    if new.X.shape != X.shape:
        return None
    T, *_ = np.linalg.lstsq(new.X, X, rcond=None)
    lengths = np.linalg.norm(X, axis=0)
    off = np.linalg.norm(new.X @ T - X, axis=0)
    if (off > SAME_SPAN * lengths).any() or np.allclose(new.X, X):
        return None
    return T, _as_in_r(new.x_names)


def _as_in_r(names):
    """Names with R's numbers of contrasts: ``Machine1`` of ``C(Machine, Sum)[S.A]``."""
    places = {}

    def number(found):
        of_factor = places.setdefault(found[1], {})
        return f"{found[1]}{of_factor.setdefault(found[2], len(of_factor) + 1)}"

    return [re.sub(r"C\((.+?), (?:Sum|Helmert)\)\[[SH]\.(.*?)\]", number, name) for name in names]


# -- the codings ---------------------------------------------------------------------------------


def _others(design, dat, factors, covariates):
    """(words, form, data) of other codings."""
    form = design.formula.form
    with_levels = dat.assign(**{
        name: _categories(dat[name], levels) for name, levels in factors.items()
    })
    yield from _reference_levels(form, with_levels, factors)
    yield from _contrasts(form, with_levels, factors)
    if factors:
        response, _, fixed = form.partition("~")
        words = "a column for each level of a factor, in place of the intercept"
        yield words, f"{response}~ 0 + {fixed}", with_levels
    for name in covariates:
        values = dat[name].to_numpy(float)
        yield from _centred(form, with_levels, name, values)
        for unit in UNITS:
            words = f"the unit of {name}, {unit:g} of the data's"
            yield words, form, with_levels.assign(**{name: values / unit})


def _categories(values, levels):
    """A column as categories in this order."""
    return values.astype("category").cat.set_categories(levels)


def _reference_levels(form, dat, factors):
    """Each other level first; then the last level of all of them, as in SAS."""
    for name, levels in factors.items():
        for level in levels[1:MOST_LEVELS]:
            order = [level, *(one for one in levels if one != level)]
            words = f"the reference level of {name}, {level!s}"
            yield words, form, dat.assign(**{name: _categories(dat[name], order)})
    if len(factors) > 1:
        last = {
            name: _categories(dat[name], [levels[-1], *levels[:-1]])
            for name, levels in factors.items()
        }
        yield "the last level of each factor as the reference, as in SAS", form, dat.assign(**last)


def _contrasts(form, dat, factors):
    """Contrasts that sum to zero, and Helmert's, of one factor or of all."""
    sets = [[name] for name in factors]
    if len(factors) > 1:
        sets.append(list(factors))
    for names in sets:
        for contrast, word in CODED_BY:
            changed = form
            for name in names:
                changed = re.sub(rf"(?<![\w.]){re.escape(name)}(?![\w.(])",
                                 f"C({name}, {contrast})", changed)
            yield f"{word} of {' and '.join(names)}", changed, dat


def _centred(form, dat, name, values):
    """A covariate counted from its mean, or its least value; in standard deviations."""
    mean, least, sd = values.mean(), values.min(), values.std(ddof=1)
    if mean:
        yield f"{name} counted from its mean", form, dat.assign(**{name: values - mean})
    if least:
        yield f"{name} counted from its least value", form, dat.assign(**{name: values - least})
    if sd > 0:
        scaled = dat.assign(**{name: (values - mean) / sd})
        yield f"{name} standardised", form, scaled
