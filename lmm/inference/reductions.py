"""Each random-effect term reduced or dropped: likelihood ratios, by REML for a REML fit.

Source: lmerTest's ``ranova``, whose table this is; the mixture of Self and Liang (1987) beside.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from ..errors import LMMError
from ..fit import update
from ..formula import ticked
from ..model import Matrices
from ..result import LMMResult, tables
from ..translation import explained
from .comparison import ratio, test


@dataclass(frozen=True, eq=False, repr=False)
class RandomTests(tables.Shown):
    """What `ranova` returns; printing it shows the table and the notes.

    Attributes
    ----------
    table : DataFrame
        By what was taken away: ``npar llf aic chisq df pvalue pvalue_mixture``, llf REML's after a
        REML fit.
    models : dict
        By the same: the formula of what is left.
    notes : tuple of str
    """

    table: pd.DataFrame
    models: dict
    notes: tuple

    __repr__ = tables.Shown.__str__

    def _tables(self):
        table = self.table
        by_heading = {
            "<": table.index,
            "npar": table["npar"].map(str),
            "logLik": tables.rounded(table["llf"], 3),
            "AIC": tables.rounded(table["aic"], 2),
            "Chisq": tables.rounded(table["chisq"], 4, missing=""),
            "Df": tables.rounded(table["df"], 0, missing=""),
            "Pr(>Chisq)": [tables.p_value(p) for p in table["pvalue"]],
            "p (50:50)": [tables.p_value(p) for p in table["pvalue_mixture"]],
        }
        rows = tables.rows_of(*by_heading.values())
        notes = [tables.Table(f"Note: {note}") for note in self.notes]
        title = "Likelihood ratio tests of the random effects"
        return [tables.Table(title, tuple(by_heading), rows), *notes]


@explained
def ranova(fit, reduce=True):
    """Test each random-effect term by what the fit loses without it.

    Parameters
    ----------
    fit : LMMResult
    reduce : bool, optional
        Whether of a term with several effects one at a time is taken away, as
        ``(Days | Subject)`` becomes ``(1 | Subject)``; otherwise the whole term.

    Returns
    -------
    RandomTests
        Printing it shows the table.

    Raises
    ------
    LMMError
        If the fit has no random effects, or is one of matrices.

    Notes
    -----
    The fixed effects being the same, the criteria of REML can be compared. A variance is tested at
    the boundary of what it may be, where the chi-squared p-value is conservative; beside it stands
    the 50:50 mixture, where one variance is tested.

    Examples
    --------
    >>> fit = lmer("Reaction ~ Days + (Days | Subject)", load_data("sleepstudy"))
    >>> float(ranova(fit).table.chisq.iloc[1].round(4))
    42.8368
    """
    if not isinstance(fit, LMMResult):
        raise LMMError(f"ranova takes what lmm or lmer returns, not a {type(fit).__name__}")
    if not isinstance(reduce, (bool, np.bool_)):
        raise LMMError(f"reduce is {reduce!r}; it is True or False")
    design = fit.setup.design
    if isinstance(design.formula, Matrices):
        raise LMMError("this is a fit of matrices; compare fits of other matrices by anova")
    if not design.terms:
        raise LMMError("the fit has no random effects to test")
    rows = {"<none>": _row(fit)}
    models = {"<none>": design.form}
    notes = []
    for name, less in smaller_models(fit, reduce):
        row = _row(less)
        row["chisq"] = ratio(less, fit)
        row["df"] = fit.npar - less.npar
        p_values, remarks = test(row["chisq"], row["df"], f"without {name}", less, "the fit", fit)
        row.update(p_values)
        if not p_values:
            notes += remarks
        rows[name] = row
        models[name] = less.setup.design.form
    columns = ["npar", "llf", "aic", "chisq", "df", "pvalue", "pvalue_mixture"]
    table = pd.DataFrame.from_dict(rows, orient="index").reindex(columns=columns)
    notes.append(
        "a variance is tested on the boundary, where the chi-squared p is conservative (too "
        "large); the 50:50 mixture is beside it where one variance is tested"
    )
    if not fit.reml:
        notes.append("by maximum likelihood, as the fit was")
    return RandomTests(table, models, tuple(notes))


def _row(fit):
    return {"npar": fit.npar, "llf": fit.llf, "aic": fit.aic, "chisq": np.nan, "df": np.nan}


def smaller_models(fit, reduce):
    """``(what was taken away, fit without it)`` for each term, or effect of one."""
    design = fit.setup.design
    if not any(term.bar for term in design.terms):
        refs = [list(term.variables) for term in design.terms]
        for t, name in enumerate(design.term_names):
            yield name, update(fit, ref=refs[:t] + refs[t + 1 :])
        return
    bars = [term.written for term in design.terms]
    for t, term in enumerate(design.terms):
        lesser = (reduced(term) if reduce else {}) or {term.written: ""}
        for name, bar in lesser.items():
            left = [*bars[:t], *filter(None, [bar]), *bars[t + 1 :]]
            yield name, update(fit, " + ".join([design.formula.form, *left]))


def reduced(term):
    """The bars that a term becomes without one of its effects, by what is taken away.

    None of those which a higher one of the same term needs, nor the constant of correlated effects.
    """
    if term.effects is None or term.structure == "compound symmetry":
        return {}
    summands = term.effects.summands
    if len(summands) < 2:
        return {}
    separate = term.structure == "diagonal"
    found = {}
    for summand in summands:
        others = [one for one in summands if one != summand]
        is_needed = any(set(summand) < set(one) for one in others)
        if is_needed and not (separate and not summand):
            continue
        bar = "||" if separate and len(others) > 1 else "|"
        constant = [] if () in others else ["0"]
        effects = " + ".join([*constant, *map(_written, others)])
        grouping = term.bar.rpartition("|")[2].strip()
        found[f"{_written(summand)} in {term.written}"] = f"({effects} {bar} {grouping})"
    return found


def _written(summand):
    """A summand as a formula has it."""
    parts = [ticked(one.shown) if one.column else one.shown for one in summand]
    return ":".join(parts) or "1"
