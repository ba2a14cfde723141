"""Models side by side, as papers have them: a column each, with standard errors beneath.

Rows and their labels are those of R's package modelsummary (Arel-Bundock 2022, "modelsummary: Data
and Model Summaries in R", Journal of Statistical Software 103).
"""

from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

import numpy as np
import pandas as pd

from ..errors import LMMError
from ..result import LMMResult, tables
from ..translation import explained, unknown_argument
from .comparison import check_same_data
from .simulation import check_count
from .tidy import random_parameters, term_of, tidy

STATISTICS = ("se", "ci", "p", None)
OPTIONS = ("statistic", "stars", "digits", "conf_int", "level")
STARS = ((0.001, "***"), (0.01, "**"), (0.05, "*"), (0.1, "+"))
OTHER_SCALE = 100       # times the smallest standard error of a row, from where decimals are others
BY_HEADING = {"AIC": "aic", "BIC": "bic", "logLik": "llf"}
IN_WORDS = {
    "profile": "profile likelihood",
    "wald": "Wald's method",
    "t": "Student's t with Satterthwaite's degrees of freedom",
    "boot": "parametric bootstrap",
}


@dataclass(frozen=True, eq=False, repr=False)
class SideBySide(tables.Shown):
    """What `compare_table` returns; printing it shows the table and the notes.

    Attributes
    ----------
    table : DataFrame
        The numbers with all their digits, a column for each model, nan where it has none. Rows are
        by effect (``fixed``, ``ran_pars``, ``glance``), group, term and statistic, in the words of
        `tidy` and `glance`.
    notes : tuple of str
        What the numbers are, and what about the models cannot be compared.
    """

    table: pd.DataFrame
    notes: tuple
    cells: tables.Table = field(repr=False)

    __repr__ = tables.Shown.__str__

    def _tables(self):
        return [self.cells, *map(tables.Table, self.notes)]


@explained
def compare_table(
    *fits, statistic="se", stars=False, digits=4, conf_int="t", level=0.95, **named
):
    """Put fits side by side in one table, as R's modelsummary does.

    Parameters
    ----------
    *fits, **named : LMMResult
        One or more. Those without a name are called m0, m1, ...
    statistic : {"se", "ci", "p", None}, optional
        What stands beneath an estimate: of the fixed effects the standard error, a confidence
        interval, the p-value by Satterthwaite's method, or nothing; intervals also of the standard
        deviations and correlations.
    stars : bool, optional
        Whether to mark p-values below 0.1, 0.05, 0.01 and 0.001 by ``+ * ** ***``.
    digits : int, optional
        How many significant digits the smallest standard error of a row has; what else is in the
        row has as many decimals.
    conf_int : {"t", "profile", "wald", "boot"}, optional
        For intervals: the method of `conf_int`. ``"t"`` agrees with the p-values.
    level : float, optional
        Of the intervals, between 0 and 1.

    Returns
    -------
    SideBySide
        Printing it shows the table. ``table``, ``notes``, ``to_latex()``, ``to_markdown()``,
        ``to_html()``, ``to_frame()``.

    Raises
    ------
    LMMError
        If an argument is none of the above, or two fits have one name.

    Notes
    -----
    Fits by different criteria, of different responses or of different rows are shown all the same,
    with a note that says so.

    Examples
    --------
    >>> slopes = lmer("Reaction ~ Days + (Days | Subject)", load_data("sleepstudy"))
    >>> both = compare_table(base=slopes.update(". ~ Days + (1 | Subject)"), slopes=slopes)
    >>> both.table.loc[("fixed", "", "Days", "std_error")].round(4).to_dict()
    {'base': 0.8042, 'slopes': 1.5458}
    """
    models = _named(fits, named)
    _check_options(statistic, stars, digits, conf_int)
    method = conf_int if statistic == "ci" else None
    numbers = {name: _numbers(fit, method, level) for name, fit in models.items()}

    # -- all rows, as they come in the models, those of a kind together
    rows = {}
    for of_model in numbers.values():
        for row, values in of_model.items():
            rows.setdefault(row, tuple(values))
    rows = dict(sorted(rows.items(), key=lambda item: _kind(item[0])))

    marks = max(len(mark) for _, mark in STARS) if stars else 0
    style = Style(statistic, marks, digits)
    cells = _cells(numbers, rows, _labels(models), style)
    notes = [*_legend(style, method, level), *_remarks(models)]
    return SideBySide(_table(numbers, rows), tuple(notes), cells)


def _named(fits, named):
    """The models by name; an LMMError if there are none, if one is no fit, or two have one name."""
    models = {}
    for i, fit in enumerate(fits):
        if not isinstance(fit, LMMResult):
            advice = ""
            if isinstance(fit, (list, tuple)):
                advice = ", one by one: compare_table(*fits)"
            if isinstance(fit, dict):
                advice = ", by name: compare_table(**fits)"
            raise LMMError(
                f"argument {i} of compare_table is of type {type(fit).__name__}; it takes what lmm "
                f"returns{advice}"
            )
        models[f"m{i}"] = fit
    unknown = {name: fit for name, fit in named.items() if not isinstance(fit, LMMResult)}
    if unknown:
        takes = f"fits, and {', '.join(OPTIONS)}"
        raise unknown_argument("compare_table", unknown, OPTIONS, takes)
    for name in named:
        if name in models:
            raise LMMError(f"two fits are called {name!r}; name all of them, or none")
    models.update(named)
    if not models:
        raise LMMError("compare_table has no fit; give one or more, such as compare_table(m0, m1)")
    return models


def _check_options(statistic, stars, digits, conf_int):
    """Raise an LMMError if an argument of `compare_table` is none that it takes."""
    if statistic not in STATISTICS:
        known = ", ".join(map(repr, STATISTICS))
        raise LMMError(f"statistic is {statistic!r}; it is one of {known}")
    if not isinstance(stars, (bool, np.bool_)):
        raise LMMError(f"stars is {stars!r}; it is True or False")
    if not isinstance(conf_int, str) or conf_int.lower() not in IN_WORDS:
        raise LMMError(f"conf_int is {conf_int!r}; it is one of {', '.join(map(repr, IN_WORDS))}")
    check_count(digits, "digits", "significant digits")


# -- the numbers, and how their rows are called ----------------------------------------------------


def _numbers(fit, method, level):
    """The numbers of one model: by row, which is effect, group and term, and by statistic."""
    numbers = {}
    for values in tidy(fit, ("fixed", "ran_pars"), method, level).to_dict("records"):
        statistics = ["estimate", "std_error"]
        if values["effect"] == "fixed":
            statistics.append("p_value")
            values["group"] = ""
        if method is not None:
            statistics += ["conf_low", "conf_high"]
        row = values["effect"], values["group"], values["term"]
        numbers[row] = {statistic: values[statistic] for statistic in statistics}
    numbers["glance", "", "nobs"] = {"": fit.nobs}
    for block in fit.setup.design.blocks:
        if block.group:
            numbers["glance", block.group, "ngroups"] = {"": len(block.levels)}
    for heading, name in BY_HEADING.items():
        numbers["glance", "", heading] = {"": getattr(fit, name)}
    return numbers


def _kind(row):
    """The place of a row's kind among the kinds of rows."""
    effect, group, term = row
    if effect == "fixed":
        return 0
    if effect == "glance":
        return {"nobs": 4, "ngroups": 5}.get(term, 6)
    if group == "Residual":
        return 3
    return 1 if term.startswith("sd__") else 2


def _table(numbers, rows):
    """All numbers as a DataFrame, nan where a model has none."""
    keys = [(row, statistic) for row, statistics in rows.items() for statistic in statistics]
    columns = {}
    for name, of_model in numbers.items():
        columns[name] = [of_model.get(row, {}).get(statistic, np.nan) for row, statistic in keys]
    tuples = [(*row, statistic) for row, statistic in keys]
    names = ["effect", "group", "term", "statistic"]
    return pd.DataFrame(columns, pd.MultiIndex.from_tuples(tuples, names=names))


def _labels(models):
    """What the rows of standard deviations and correlations are called."""
    labels = {}
    for fit in models.values():
        for group, effects, _ in random_parameters(fit):
            kind = "SD" if len(effects) == 1 else "Cor"
            what = f"{'~'.join(effects)} {group}".strip()
            labels["ran_pars", group, term_of(effects)] = f"{kind} ({what})"
        labels["ran_pars", group, term_of(effects)] = "SD (Observations)"       # the last one
    return labels


def _label(row, labels):
    """What a row is called."""
    _, group, term = row
    if term == "nobs":
        return "Num.Obs."
    if term == "ngroups":
        return f"Num. groups: {group}"
    return labels.get(row, term)


# -- the cells -------------------------------------------------------------------------------------


class Style(NamedTuple):
    """How numbers are written: what is beneath an estimate, room for stars, digits."""

    statistic: str
    marks: int
    digits: int

    def beneath(self, row):
        """Whether a row of estimates has something beneath it."""
        return self.statistic == "ci" or (self.statistic is not None and row[0] == "fixed")


def _cells(numbers, rows, labels, style):
    """The table as cells, with lines between the fixed effects, the random ones and the rest."""
    lines = []
    rules = []
    before = next(iter(rows))[0]
    for row in rows:
        if row[0] != before:
            rules.append(len(lines))
            before = row[0]
        values = [of_model.get(row) for of_model in numbers.values()]
        label = _label(row, labels)
        if row[0] == "glance":
            lines.append((label, *(_criterion(row, one, style) for one in values)))
            continue
        written = list(zip(values, _writers(values, style.digits)))
        lines.append((label, *(_estimate(one, write, style) for one, write in written)))
        if style.beneath(row):
            lines.append(("", *(_beneath(one, write, style) for one, write in written)))
    return tables.Table("", ("<", *numbers), tuple(lines), tuple(rules))


def _writers(values, digits):
    """How each model's numbers in one row are written: with the decimals of the row.

    These are what its smallest standard error needs; but a model on quite another scale has its
    own.
    """
    sizes = [_size(one) for one in values]
    smallest = min((size for size in sizes if size is not None), default=1.0)
    writers = []
    for one, size in zip(values, sizes):
        if size is None or size < OTHER_SCALE * smallest:
            size = smallest
        largest = 0.0 if one is None else abs(one["estimate"])
        if largest >= tables.TOO_LONG or tables.is_odd(size, digits):
            writers.append(partial(tables.scientific, digits=digits))
        else:
            decimals = max(tables.decimals_of(size, digits), 0)
            writers.append(f"{{:.{decimals}f}}".format)
    return writers


def _size(values):
    """The standard error of an estimate, or if it has none its size; None if that is zero, too."""
    if values is None:
        return None
    for size in (values["std_error"], abs(values["estimate"])):
        if np.isfinite(size) and size > 0:
            return size
    return None


def _estimate(values, write, style):
    """The cell of an estimate with its stars, "" for a model that has not this row.

    Blanks at its end bring its digits over those of what is beneath.
    """
    if values is None:
        return ""
    p = values.get("p_value", np.nan)
    stars = next((mark for limit, mark in STARS if p < limit), "") if style.marks else ""
    bracket = " " if style.statistic is not None else ""
    return write(values["estimate"]) + stars.ljust(style.marks) + bracket


def _beneath(values, write, style):
    """The cell beneath an estimate."""
    if values is None:
        return ""
    if style.statistic == "se":
        cell = f"({write(values['std_error'])})"
    elif style.statistic == "p":
        cell = f"({tables.p_value(values['p_value'])})"
    else:
        cell = f"[{write(values['conf_low'])}, {write(values['conf_high'])}]"
    return cell + " " * style.marks


def _criterion(row, values, style):
    """The cell of a count or a criterion."""
    if values is None:
        return ""
    value = values[""]
    cell = f"{value:.2f}" if row[2] in BY_HEADING else str(value)
    bracket = " " if style.statistic is not None else ""
    return cell + " " * style.marks + bracket


# -- the notes -------------------------------------------------------------------------------------


def _legend(style, method, level):
    """What stands beneath the estimates, and what the stars mean."""
    if style.statistic == "se":
        yield "Standard errors in parentheses"
    if style.statistic == "p":
        yield "p-values in parentheses, by Satterthwaite's method"
    if style.statistic == "ci":
        yield f"{100 * level:g} % confidence intervals in brackets, by {IN_WORDS[method.lower()]}"
    if style.marks:
        meanings = ", ".join(f"{mark} p < {limit:g}" for limit, mark in reversed(STARS))
        yield f"{meanings}, by Satterthwaite's method"


def _remarks(models):
    """By which criterion the models were fitted, and what of them cannot be compared."""
    by_reml = [name for name, fit in models.items() if fit.reml]
    by_ml = [name for name, fit in models.items() if not fit.reml]
    of_reml = f"AIC, BIC and logLik of {', '.join(by_reml)} are by the REML criterion"
    if by_reml and by_ml:
        yield (
            f"Note: {of_reml}, those of {', '.join(by_ml)} by the likelihood; "
            "the two cannot be compared"
        )
    elif by_reml:
        yield of_reml if len(models) > 1 else "AIC, BIC and logLik are by the REML criterion"
    if len({_columns_of_x(models[name]) for name in by_reml}) > 1:
        yield (
            f"Note: the fixed effects of {', '.join(by_reml)} differ, so their REML criteria "
            "cannot be compared; those of fit.update(reml=False) can"
        )

    (m0, first), *others = models.items()
    for name, fit in others:
        try:
            check_same_data(first.setup.design, fit.setup.design, m0, name)
        except LMMError as difference:
            yield f"Note: {difference}"
    for name, fit in models.items():
        if not fit.converged:
            yield f"Note: the optimum of {name} is NOT certified"


def _columns_of_x(fit):
    """The model matrix of the fixed effects, to be compared: REML's criterion depends on it."""
    design = fit.setup.design
    return (design.X if design.keeps_rows else design.R_X).tobytes()
