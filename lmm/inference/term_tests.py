"""F tests of the terms of one fit's fixed effects, of types I, II and III; terms that may go.

Source: lmerTest (Kuznetsova, Brockhoff and Christensen 2017), whose tables these are.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.special import chdtrc

from ..errors import LMMError
from ..fit import by_likelihood, update
from ..formula import ticked
from ..result import LMMResult, tables
from ..translation import explained
from .hypotheses import errors_of, f_test, remark_on_reml
from .term_rows import TYPES, coding_of, rows_of_terms

ROMAN = {1: "I", 2: "II", 3: "III"}
CENTRED = 1e-6          # |mean| of a covariate relative to its sd, below which it is centred


@dataclass(frozen=True, eq=False, repr=False)
class TermTests(tables.Shown):
    """What `anova` of one fit and `drop1` return; printing it shows the table and the notes.

    Attributes
    ----------
    title : str
        Which tests these are, and by which method.
    table : DataFrame
        By term: ``sum_sq mean_sq num_df den_df F pvalue``, or of likelihood ratios ``df aic chisq
        pvalue``.
    notes : tuple of str
        What to know about them.
    """

    title: str
    table: pd.DataFrame
    notes: tuple = ()

    __repr__ = tables.Shown.__str__

    def _tables(self):
        cells = _F_CELLS if "F" in self.table else _CHISQ_CELLS
        headings = ["<", *(heading for heading, _ in cells.values())]
        columns = [made(self.table[name]) for name, (_, made) in cells.items()]
        rows = tables.rows_of(self.table.index, *columns)
        notes = [tables.Table(f"Note: {note}") for note in self.notes]
        return [tables.Table(self.title, tuple(headings), rows), *notes]


def _counts(values):
    return tables.rounded(values, 0, missing="")


def _p_values(values):
    return [tables.p_value(p) for p in values]


_F_CELLS = {
    "sum_sq": ("Sum Sq", tables.numbers),
    "mean_sq": ("Mean Sq", tables.numbers),
    "num_df": ("NumDF", _counts),
    "den_df": ("DenDF", lambda values: tables.rounded(values, 3)),
    "F": ("F value", lambda values: tables.rounded(values, 4)),
    "pvalue": ("Pr(>F)", _p_values),
}
_CHISQ_CELLS = {
    "df": ("Df", _counts),
    "aic": ("AIC", lambda values: tables.rounded(values, 2)),
    "chisq": ("Chisq", lambda values: tables.rounded(values, 4, missing="")),
    "pvalue": ("Pr(>Chisq)", _p_values),
}


def tests_of_terms(fit, type=3, df="satterthwaite"):
    """The `TermTests` of all terms; see `anova`."""
    if isinstance(type, bool) or type not in TYPES:
        raise LMMError(f"type is {type!r}; it is 1, 2 or 3")
    errors = errors_of(fit, df)
    named = rows_of_terms(fit, type)
    notes = remark_on_reml(fit, errors)
    if not named:
        notes.append("the fixed effects have no term to test but the constant")
    if type > 1:
        notes += remarks_on_covariates(fit, [term for term, _ in named])
    title = f"Type {ROMAN[type]} analysis of variance table, by {errors.words}"
    return TermTests(title, _f_table(errors, named), tuple(notes))


def _f_table(errors, named):
    """The F test of each term's rows, whose sum of squares is that of F without its scale."""
    rows = {}
    for term, L in named:
        F, num_df, den_df, p, scale = f_test(errors, L, np.zeros(len(L)))
        mean_sq = F / scale * errors.fit.sigma**2
        rows[term.name] = {
            "sum_sq": mean_sq * num_df,
            "mean_sq": mean_sq,
            "num_df": num_df,
            "den_df": den_df,
            "F": F,
            "pvalue": p,
        }
    columns = ["sum_sq", "mean_sq", "num_df", "den_df", "F", "pvalue"]
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns)


def remarks_on_covariates(fit, terms):
    """What to know where a term is tested where the covariates it interacts with are 0."""
    found = {}
    for term in terms:
        for other in terms:
            added = other.covariates - term.covariates
            if added and term.is_marginal_to(other):
                for covariate in sorted(added):
                    if not _is_centred(fit, covariate):
                        found.setdefault(covariate, []).append(term.name)
    return [
        f"{', '.join(dict.fromkeys(names))} {'is' if len(set(names)) == 1 else 'are'} tested where "
        f"{covariate} is 0; centre it, as in center({covariate}), to test at its mean"
        for covariate, names in found.items()
    ]


def _is_centred(fit, covariate):
    """Whether a covariate's mean is 0, as far as it is a column, or a function that centres."""
    if covariate.startswith(("center(", "scale(", "poly(")):
        return True
    column = fit.setup.design.data.get(covariate)
    if column is None:
        return False
    values = np.asarray(column, float)
    return abs(values.mean()) <= CENTRED * values.std()


# -- terms that may go -----------------------------------------------------------------------------


@explained
def drop1(fit, test="F", *, df="satterthwaite"):
    """Test each term of the fixed effects that may go: those in no other, as higher ones need it.

    Parameters
    ----------
    fit : LMMResult
    test : {"F", "chisq"}, optional
        F tests within the fit, or likelihood ratios of refits by maximum likelihood without it.
    df : {"satterthwaite", "kr", "normal"} or float, optional
        Of F tests, as in `fit.contrast`.

    Returns
    -------
    TermTests
        Printing it shows the table.

    Raises
    ------
    LMMError
        If `test` is neither, or the fit is one of matrices.

    Examples
    --------
    >>> fit = lmm("Reaction ~ Days", load_data("sleepstudy"), ["Subject", ["Subject", "Days"]])
    >>> float(drop1(fit, test="chisq").table.chisq["Days"].round(4))
    23.5998
    """
    _check_fit(fit, "drop1")
    if test not in ("F", "chisq"):
        raise LMMError(f"test is {test!r}; it is 'F' or 'chisq'")
    if test == "F":
        errors = errors_of(fit, df)
        named = rows_of_terms(fit, 2)
        terms = [term for term, _ in named]
        free = [pair for pair in named if not any(pair[0].is_marginal_to(one) for one in terms)]
        notes = remark_on_reml(fit, errors)
        title = f"Single term deletions, F tests by {errors.words}"
        return TermTests(title, _f_table(errors, free), tuple(notes))
    return _ratios(fit)


def _ratios(fit):
    """Likelihood ratio tests of the terms that may go."""
    terms = coding_of(fit).terms
    notes = ()
    if fit.reml:
        notes = ("fits by maximum likelihood, the one given being by REML",)
    whole = by_likelihood(fit)
    rows = {"<none>": {"df": np.nan, "aic": whole.aic, "chisq": np.nan, "pvalue": np.nan}}
    for term in terms:
        if any(term.is_marginal_to(other) for other in terms):
            continue
        less = update(whole, f". ~ . - {_written(fit, term)}")
        number = whole.npar - less.npar
        chisq = max(0.0, 2 * (less.nll - whole.nll))
        p = chdtrc(number, chisq) if number else np.nan
        rows[term.name] = {"df": number, "aic": less.aic, "chisq": chisq, "pvalue": p}
    table = pd.DataFrame.from_dict(rows, orient="index")
    return TermTests("Single term deletions, likelihood ratio tests", table, notes)


def _written(fit, term):
    """A term as a formula has it: names that are no words in backticks."""
    for summand in fit.setup.design.formula.summands:
        name = ":".join(expression.shown for expression in summand)
        if name == term.name:
            parts = [ticked(one.shown) if one.column else one.shown for one in summand]
            return ":".join(parts)
    return term.name


def _check_fit(fit, name):
    """Raise an LMMError unless it is a fit."""
    if not isinstance(fit, LMMResult):
        raise LMMError(f"{name} takes what lmm or lmer returns, not a {type(fit).__name__}")
